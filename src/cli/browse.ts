/** `tidegate browse`: a server's tree of names, and a profile made of what is chosen from it. */

import { hintFor } from '../config/suggest.js';
import type { BrowsedNode } from '../driver.js';
import { TidegateError } from '../errors.js';
import type { BrowseAnswer } from '../field/answers.js';
import { browseAt } from '../field/look.js';
import { printable, toJson } from '../ops/text.js';
import { loadSite, profileFolders, type Site } from '../site.js';
import { newProfile, saveProfile } from './browsed-profile.js';
import { EXIT } from './exit.js';
import { find } from './find.js';
import { onConnection } from './on-wire.js';
import { valueText } from './quantity.js';

/** How to walk, and what to keep. */
export interface BrowseOptions {
  readonly config?: string;
  readonly json?: boolean;
  /** Levels below the place. */
  readonly depth?: number;
  /** Only values whose path or name has one of these texts, `*` standing for anything. */
  readonly match?: readonly string[];
  /** Name of the profile to write. */
  readonly save?: string;
}

/** Most nodes of one walk. */
const MOST = 20_000;

type List = (path: string) => Promise<readonly BrowsedNode[]>;
type Visit = (node: BrowsedNode, depth: number) => void;

/** Shows what a server has below a place, or writes a profile of it. Gives the exit code. */
export async function browse(connection: string, path = '', options: BrowseOptions = {}): Promise<number> {
  const site = await loadSite(options.config ?? 'gateway.yaml');
  const wires = [...site.drivers].map(([id, driver]) => ({ id, driver }));
  const { driver } = find(wires, connection, 'connection');
  const own = profileFolders(site.config, site.file)[0] ?? '.';
  const target = options.save === undefined ? undefined : newProfile(options.save, own);
  const chosen: BrowsedNode[] = [];
  const wanted = matcher(options.match);
  await walk(site, connection, path, options.depth ?? (target ? 10 : 1), (node, depth) => {
    if (node.kind === 'value' ? !wanted(node) : options.match !== undefined) return;
    if (node.kind === 'value' && (!node.aside || options.match)) chosen.push(node);
    if (!target) show(node, depth, options.json ?? false);
  });
  if (target) process.stdout.write(saveProfile(target, driver.name, chosen, path));
  if (target || options.match === undefined || chosen.length > 0) return EXIT.ok;
  if (!options.json) process.stdout.write('No value fits, as far as it was looked: --depth looks further down.\n');
  return EXIT.failed;
}

/** By way of the gateway that holds the wire, a place at a time; else on a wire of its own. */
async function walk(site: Site, connection: string, from: string, levels: number, visit: Visit): Promise<void> {
  const request = (path: string) => ({ ask: 'browse', path });
  const first = await onConnection<BrowseAnswer>(site, connection, request(''), async (run) => {
    const list: List = (path) => run((turn) => browseAt(turn, path));
    await descend(await placeOf(from, await list(''), list), levels, visit, list);
    return { nodes: [], walked: true };
  });
  if (first.walked) return;
  const list: List = async (path) =>
    path === '' ? first.nodes : (await onConnection<BrowseAnswer>(site, connection, request(path), gone)).nodes;
  await descend(await placeOf(from, first.nodes, list), levels, visit, list);
}

/** The path of a place that is written as the names on the way to it, as they are shown; a path (`/…`) or an id (`i=…`) is the driver's to understand. */
async function placeOf(written: string, roots: readonly BrowsedNode[], list: List): Promise<string> {
  const names = written.split('/').filter((name) => name !== '');
  const called = (nodes: readonly BrowsedNode[], name: string) => nodes.find((node) => node.name === name);
  if (written.startsWith('/') || (written.includes('=') && !called(roots, names[0] ?? ''))) return written;
  let at: BrowsedNode | undefined;
  for (const name of names) {
    const nodes: readonly BrowsedNode[] = at ? await list(at.path) : roots;
    const next = called(nodes, name);
    if (!next)
      throw new TidegateError('USAGE', `there is no ${name} ${at ? `below ${at.name}` : 'at the top'}`, {
        hint:
          hintFor(
            name,
            nodes.map((node) => node.name),
          ) ?? '`tidegate browse` without it lists what there is.',
      });
    at = next;
  }
  return at?.path ?? '';
}

function gone(): never {
  throw new TidegateError('GATEWAY_GONE', 'the gateway ended while it was browsing');
}

/** Depth first; what was seen on the way is not entered again. */
async function descend(from: string, levels: number, visit: Visit, list: List): Promise<void> {
  const seen = new Set<string>();
  let count = 0;
  const below = async (path: string, depth: number): Promise<void> => {
    for (const node of await list(path)) {
      count += 1;
      if (count > MOST)
        throw new TidegateError('USAGE', `more than ${MOST} nodes`, { hint: 'Begin further down: write a path.' });
      visit(node, depth);
      const key = node.id ?? node.path;
      if (node.aside || depth + 1 >= levels || seen.has(key)) continue;
      seen.add(key);
      await below(node.path, depth + 1);
    }
  };
  await below(from, 0);
}

function show(node: BrowsedNode, depth: number, json: boolean): void {
  if (json) {
    process.stdout.write(`${toJson({ ...node, depth })}\n`);
    return;
  }
  const indent = '  '.repeat(depth);
  const { name, kind, point = {}, value } = node;
  if (kind === 'folder') {
    process.stdout.write(`${indent}${printable(name)}/\n`);
    return;
  }
  const { type, ...where } = point;
  const now = value === undefined || value === null ? '' : ` = ${valueText(value).slice(0, 60)}`;
  const keys = Object.entries(where).map(([key, held]) => `${key}: ${typeof held === 'object' ? toJson(held) : held}`);
  process.stdout.write(
    `${indent}${printable(`${name}  ${String(type)}${now}`)}\n${indent}    ${printable(keys.join('  '))}\n`,
  );
}

function matcher(patterns: readonly string[] | undefined): (node: BrowsedNode) => boolean {
  if (patterns === undefined) return () => true;
  const plain = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const forms = patterns.map((pattern) => new RegExp(pattern.split('*').map(plain).join('.*'), 'i'));
  return ({ path, name }) => forms.some((form) => form.test(path) || form.test(name));
}
