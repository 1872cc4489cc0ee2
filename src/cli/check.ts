/** `tidegate check`: everything that people write, proven before it runs. */
import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { drivers as builtIn } from '../../drivers/index.js';
import { formatProblem } from '../config/format.js';
import { Source } from '../config/source.js';
import { ProblemList, TidegateError } from '../errors.js';
import { toJson } from '../ops/text.js';
import { listProfiles, shippedProfiles } from '../profiles/find.js';
import { lintProfile } from '../profiles/lint.js';
import { readProfile } from '../profiles/load.js';
import { proveProfile } from '../profiles/prove.js';
import { loadSite, type Site } from '../site.js';
import { EXIT, problemJson } from './exit.js';
import { warnOfExpiring } from './expiry.js';
import { countText } from './quantity.js';
import { useColor } from './terminal.js';

/** Checks a `gateway.yaml` with all that it names, or profiles alone. Gives the exit code. @throws ProblemList */
export async function check(path = 'gateway.yaml', options: { json?: boolean } = {}): Promise<number> {
  const profiles = profilesAt(path);
  if (profiles === undefined) await checkSite(siteFile(path), options.json ?? false);
  else await checkProfiles(profiles, options.json ?? false);
  return EXIT.ok;
}

async function checkSite(file: string, json: boolean): Promise<void> {
  const site = await loadSite(file, { thorough: true });
  const { config, devices, rules } = site;
  const warnings = [...site.warnings, ...(await warnOfExpiring(site))];
  const facts = {
    gateway: config.gateway,
    connections: site.drivers.size,
    devices: devices.length,
    points: devices.reduce((sum, { points }) => sum + points.length, 0),
    rules: rules.length,
    upstreams: Object.keys(config.upstreams).length,
    readingsPerSecond: Math.round(plannedRate(site) * 100) / 100,
  };
  if (json) {
    process.stdout.write(`${toJson({ ok: true, ...facts, warnings: warnings.map(problemJson) })}\n`);
    return;
  }
  const color = useColor(process.stderr);
  for (const warning of warnings) process.stderr.write(`${formatProblem(warning, { color })}\n\n`);
  const warned = warnings.length > 0 ? `, ${count(warnings.length, 'warning')}` : '';
  process.stdout.write(
    `ok: ${count(facts.devices, 'device')}, ${count(facts.points, 'point')}, ${count(facts.rules, 'rule')}, ${count(facts.upstreams, 'upstream')}; ${facts.readingsPerSecond} readings/s planned${warned}\n`,
  );
}

/** Readings per second when every device answers. */
function plannedRate({ devices }: Site): number {
  const read = devices
    .flatMap(({ points }) => points)
    .filter(({ access, kind }) => access !== 'write' && kind !== 'scale');
  return read.reduce((sum, { every }) => sum + 1_000 / every, 0);
}

async function checkProfiles(files: readonly string[], json: boolean): Promise<void> {
  const problems: TidegateError[] = [];
  for (const file of files) {
    const folders = [dirname(dirname(file)), shippedProfiles];
    const profile = await readProfile(file, folders, builtIn, problems);
    if (profile !== undefined) problems.push(...proveProfile(profile), ...lintProfile(profile));
  }
  if (problems.length > 0) throw new ProblemList(problems);
  if (json) process.stdout.write(`${toJson({ ok: true, profiles: files.length })}\n`);
  else process.stdout.write(`ok: ${count(files.length, 'profile')}\n`);
}

/** The profiles that a path means: a folder of them, a vendor's folder, or one file; undefined for a site. */
function profilesAt(path: string): string[] | undefined {
  const full = resolve(path);
  if (!existsSync(full)) return undefined;
  if (!statSync(full).isDirectory()) {
    const { value } = Source.read(full);
    return typeof value === 'object' && value !== null && 'profile' in value ? [full] : undefined;
  }
  if (existsSync(join(full, 'gateway.yaml'))) return undefined;
  const files = [...listProfiles([full]).values()];
  const vendor = [...listProfiles([dirname(full)])].filter(([name]) => name.startsWith(`${basename(full)}/`));
  const found = files.length > 0 ? files : vendor.map(([, file]) => file);
  if (found.length > 0) return found;
  throw new TidegateError('CONFIG_FILE', `${path} holds neither a gateway.yaml nor profiles`, {
    hint: 'Profiles lie in folders of their vendors: device-profiles/<vendor>/<model>.yaml.',
  });
}

function siteFile(path: string): string {
  return existsSync(path) && statSync(path).isDirectory() ? join(path, 'gateway.yaml') : path;
}

function count(number: number, what: string): string {
  return `${countText(number)} ${what}${number === 1 ? '' : 's'}`;
}
