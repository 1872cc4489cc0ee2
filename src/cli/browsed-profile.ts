/** A profile made of what was found by browsing: to be read and shortened by people. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeYaml } from '../config/write.js';
import type { BrowsedNode } from '../driver.js';
import { messageOf, TidegateError } from '../errors.js';
import { profileName } from '../profiles/schema.js';

/** How many values the example shows. */
const SHOWN = 5;

/** A profile that is to be written. */
export interface NewProfile {
  readonly name: string;
  readonly file: string;
}

/**
 * Where a profile of that name belongs.
 * @throws TidegateError USAGE when it is no name, or there is such a file
 */
export function newProfile(name: string, folder: string): NewProfile {
  const checked = profileName.safeParse(name);
  if (!checked.success)
    throw new TidegateError('USAGE', `"${name}" cannot be a profile's name: ${checked.error.issues[0]?.message}`);
  const file = join(folder, `${name}.yaml`);
  if (existsSync(file))
    throw new TidegateError('USAGE', `${file} is there already`, { hint: 'Choose another name, or remove it.' });
  return { name, file };
}

/**
 * Writes it, each value under an id of its own; gives what to tell.
 * @throws TidegateError USAGE when there is nothing to write, FILE_WRITE when it cannot be written
 */
export function saveProfile(
  { name, file }: NewProfile,
  driver: string,
  nodes: readonly BrowsedNode[],
  from: string,
): string {
  const found = new Map<string, BrowsedNode>();
  for (const node of nodes) if (node.point) found.set(freeId(node.name, node.path, found), node);
  const points = [...found].map(([id, { point }]) => [id, { ...point, ...statesOf(point) }]);
  const count = points.length;
  if (count === 0)
    throw new TidegateError('USAGE', 'nothing was found that can be read', {
      hint: 'Choose another place, or another --match.',
    });
  const profile = {
    profile: name,
    title: name,
    source: `browsed on ${new Date().toISOString().slice(0, 10)}${from === '' ? '' : ` below ${from}`}`,
    driver,
    defaults: { every: '1s' },
    points: Object.fromEntries(points),
    ...exampleOf(found),
  };
  try {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, writeYaml(profile), { flag: 'wx' });
  } catch (cause) {
    throw new TidegateError('FILE_WRITE', `cannot write ${file}: ${messageOf(cause)}`, { cause });
  }
  return `${count} point${count === 1 ? '' : 's'} written to ${file}\nGive it a title and units, remove what is not needed, then: tidegate check ${file}\n`;
}

/** An example of what was seen, for the first few values. */
function exampleOf(found: ReadonlyMap<string, BrowsedNode>): { examples?: object[] } {
  const shown = [...found].filter(([, { example }]) => example !== undefined).slice(0, SHOWN);
  if (shown.length === 0) return {};
  const wire: Record<string, Record<string, unknown>> = {};
  for (const [, { example = {} }] of shown)
    for (const [key, held] of Object.entries(example)) wire[key] = { ...wire[key], ...held };
  const gives = Object.fromEntries(
    shown.map(([id, { point, value }]) => [id, point?.states && typeof value === 'string' ? snake(value) : value]),
  );
  return { examples: [{ note: 'as browsed', ...wire, gives }] };
}

/** The states of a value, as profiles call them; none when two of them would be called the same. */
function statesOf(point: BrowsedNode['point']): { states?: Record<string, string> | undefined } {
  if (typeof point?.states !== 'object' || point.states === null) return {};
  const states = Object.entries(point.states).map(([number, name]) => [number, snake(String(name))] as const);
  return {
    states: new Set(states.map(([, name]) => name)).size < states.length ? undefined : Object.fromEntries(states),
  };
}

/** An id in snake_case; with more of the path before it where the name alone is taken. */
function freeId(title: string, path: string, taken: ReadonlyMap<string, unknown>): string {
  const names = path.startsWith('/') ? path.replaceAll(/nsu=[^;]*;|\b\d+:/g, '').split('/') : [];
  let id = snake(title);
  for (const above of names.slice(0, -1).reverse()) {
    if (!taken.has(id)) return id;
    id = snake(`${above}_${id}`);
  }
  const base = id.slice(0, 58);
  for (let number = 2; taken.has(id); number += 1) id = `${base}_${number}`;
  return id;
}

function snake(text: string): string {
  const words = text
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '_')
    .replaceAll(/^_+|_+$/g, '');
  return (/^[a-z]/.test(words) ? words : `p_${words}`).slice(0, 64).replace(/_+$/, '');
}
