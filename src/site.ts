/** A site: gateway.yaml with all that it names, loaded and checked as one. */
import { dirname, resolve } from 'node:path';
import { setImmediate as otherWork } from 'node:timers/promises';
import { drivers as builtIn } from '../drivers/index.js';
import { isLoopback, LOCAL, placeOf } from './config/broker.js';
import { type ReadConfig, readConfig } from './config/load.js';
import type { GatewayConfig } from './config/schema.js';
import type { Source } from './config/source.js';
import { buildDevices, buildWires, type Wires } from './devices/register.js';
import type { Driver } from './driver.js';
import { ProblemList, type SourcePlace, type TidegateError } from './errors.js';
import type { Device } from './model.js';
import { withPlugins } from './plugins.js';
import { FULL_WIRE, plannedShare } from './polling/load.js';
import { listProfiles, shippedProfiles } from './profiles/find.js';
import { lintProfile } from './profiles/lint.js';
import { type Drivers, type Profile, readProfile, unknownProfile } from './profiles/load.js';
import { proveProfile } from './profiles/prove.js';
import { loadRules } from './routing/load.js';
import type { Rule } from './routing/rule.js';

/** Everything that a gateway needs to run. */
export interface Site {
  readonly config: GatewayConfig;
  /** Path of gateway.yaml. */
  readonly file: string;
  /** Its text, to say where something is wrong. */
  readonly source: Source;
  readonly devices: Device[];
  /** Driver of each connection, by id. */
  readonly drivers: Map<string, Driver>;
  /** Settings of each connection, as its driver's schema gives them. */
  readonly connectionSettings: Map<string, unknown>;
  readonly rules: Rule[];
  /** Never to be logged. */
  readonly secrets: string[];
  /** What it was read from, beside what is shipped: files, and folders of `.yaml` files (profiles in folders of their vendors). */
  readonly readFrom: { readonly files: readonly string[]; readonly folders: readonly string[] };
  /** What works, but is likely not meant. */
  readonly warnings: TidegateError[];
}

/** How to load a site. */
export interface SiteOptions {
  /** Check also the own profiles that no device uses and the style of all own profiles, and run the tests of rules: for `tidegate check`. */
  readonly thorough?: boolean;
  readonly drivers?: Drivers;
  /** False: secrets that are not at hand are no problem, for those who only look on. */
  readonly secrets?: boolean;
}

/**
 * Loads gateway.yaml, the profiles and the rules.
 * @throws ProblemList with every problem of all of them, in the order of the files
 */
export async function loadSite(path: string, options: SiteOptions = {}): Promise<Site> {
  const file = resolve(path);
  const read = readConfig(file);
  const { config, source, secrets } = read;
  const problems = read.problems.filter(({ code }) => code !== 'CONFIG_SECRET' || options.secrets !== false);
  const available = await withPlugins(read, file, options.drivers ?? builtIn, problems);
  const folders = profileFolders(config, file);

  const profiles = await loadProfiles(read, folders, available, options.thorough ?? false, problems);
  await otherWork();
  const wires = await buildWires(read, available, problems);
  problems.push(...findHomeless(read, wires));
  const devices = buildDevices(read, wires, profiles, problems);
  // Where devices are wrong, rules cannot be held to their names.
  const sound = problems.length === 0;
  const upstreams = [...Object.keys(read.written.upstreams), ...(source.has(['broker']) ? [LOCAL] : [])];
  const context = sound ? { devices, upstreams } : undefined;
  const folder = resolve(dirname(file), config.rules);
  await otherWork();
  const rules = await loadRules(folder, context, problems);
  if (options.thorough && sound) problems.push(...(await testRules(folder, config, devices)));
  await otherWork();
  if (problems.length > 0) throw new ProblemList(inOrder(problems, file));
  const { drivers, settings: connectionSettings } = wires;
  const [ownProfiles = ''] = folders;
  return {
    config,
    file,
    source,
    devices,
    drivers,
    connectionSettings,
    rules,
    secrets,
    readFrom: { files: [file, ...read.secretFiles, ...certificatesOf(config)], folders: [folder, ownProfiles] },
    warnings: [...findWarnings(read), ...(options.thorough ? findBusyWires(read, wires, devices) : [])],
  };
}

function certificatesOf({ upstreams, broker }: GatewayConfig): string[] {
  const owners = [...Object.values(upstreams), { ca: undefined, cert: broker?.tls?.cert, key: broker?.tls?.key }];
  return owners.flatMap(({ ca, cert, key }) => [ca, cert, key].filter((file) => file !== undefined));
}

/** Where rules can send to, with the topic that each has of its own: the upstreams, and the local broker if there is one. */
export function destinationsOf({ upstreams, broker }: GatewayConfig): { id: string; topic: string }[] {
  const all = Object.entries(upstreams).map(([id, { topic }]) => ({ id, topic }));
  return broker ? [...all, { id: LOCAL, topic: 'site/{device}' }] : all;
}

/** Runs the tests that stand beside the rules. */
async function testRules(folder: string, config: GatewayConfig, devices: Device[]): Promise<TidegateError[]> {
  const { proveRules } = await import('./routing/prove.js');
  return proveRules(folder, { gateway: config.gateway, devices, upstreams: destinationsOf(config) });
}

/** Folders to look for profiles in: the site's own, then the shipped ones. */
export function profileFolders(config: GatewayConfig, file: string): string[] {
  return [resolve(dirname(file), config.profiles), shippedProfiles];
}

/** Loads and proves each profile that a device uses; undefined for those that are there but wrong. */
async function loadProfiles(
  { written, source }: ReadConfig,
  folders: string[],
  available: Drivers,
  thorough: boolean,
  problems: TidegateError[],
): Promise<Map<string, Profile | undefined>> {
  const files = listProfiles(folders);
  const own = listProfiles(folders.slice(0, 1));
  const profiles = new Map<string, Profile | undefined>();
  const wanted = new Set(Object.values(written.devices).map(({ profile }) => String(profile)));
  for (const name of thorough ? new Set([...wanted, ...own.keys()]) : wanted) {
    const file = files.get(name);
    if (file === undefined) continue;
    const found: TidegateError[] = [];
    // A running gateway polls between two files.
    await otherWork();
    const profile = await readProfile(file, folders, available, found);
    if (profile) found.push(...proveProfile(profile));
    profiles.set(name, found.length === 0 ? profile : undefined);
    if (profile && thorough && own.has(name) && found.length === 0) found.push(...lintProfile(profile));
    problems.push(...found);
  }
  for (const [id, { profile }] of Object.entries(written.devices)) {
    if (profile === undefined || profile === null || profiles.has(String(profile))) continue;
    const { code, message, hint = '' } = unknownProfile(String(profile), files.keys());
    problems.push(source.problem(code, ['devices', id, 'profile'], message, { hint }));
  }
  return profiles;
}

/** Connections to the local broker, where there is none. */
function findHomeless({ source }: ReadConfig, { drivers, settings }: Wires): TidegateError[] {
  if (source.has(['broker'])) return [];
  return [...settings].flatMap(([id, connection]) => {
    if (!drivers.get(id)?.isLocal?.(connection)) return [];
    const hint = 'write `broker: {}` for a broker on this machine alone; docs/broker.md says how devices get in';
    return [source.problem('CONFIG_MISSING_KEY', ['connections', id, 'broker'], 'there is no local broker', { hint })];
  });
}

/** Wires that are asked for more than they can well carry. */
function findBusyWires({ source }: ReadConfig, wires: Wires, devices: readonly Device[]): TidegateError[] {
  return [...wires.drivers].flatMap(([id, driver]) => {
    const shares = devices
      .filter(({ connection }) => connection === id)
      .map((device) => ({ device: device.id, share: plannedShare(driver, wires.settings.get(id), device) ?? 0 }))
      .sort((a, b) => b.share - a.share);
    const total = shares.reduce((sum, { share }) => sum + share, 0);
    const [most] = shares;
    if (total <= FULL_WIRE || !most) return [];
    const message = `reading all devices of "${id}" takes ${percent(total)} of its time`;
    const share = shares.length > 1 ? `; ${most.device} alone takes ${percent(most.share)}` : '';
    const hint = `poll less often (every), raise its speed (baud), or use another wire for some devices${share}`;
    return [source.problem('WIRE_LOAD', ['connections', id], message, { hint, key: true })];
  });
}

const percent = (share: number): string => `${Math.round(share * 100)} %`;

function findWarnings({ config, source }: ReadConfig): TidegateError[] {
  const used = new Set(Object.values(config.devices).map(({ connection }) => connection));
  const warnings = Object.keys(config.connections)
    .filter((id) => !used.has(id))
    .map((id) => {
      const hint = 'give it a device, or remove it';
      return source.problem('CONFIG_CONFLICT', ['connections', id], `no device uses the connection "${id}"`, {
        hint,
        key: true,
      });
    });
  const { broker } = config;
  if (broker && !isLoopback(placeOf(broker.listen)?.host ?? '')) {
    const message = `the local broker listens on ${broker.listen} without TLS: passwords and readings can be read on the way`;
    const hint = 'add `tls:` and keep `listen:` on 127.0.0.1, unless all that reach it are trusted';
    warnings.push(source.problem('BROKER_PLAIN', ['broker', 'listen'], message, { hint }));
  }
  if (broker && !broker.anonymous && Object.keys(broker.users).length === 0) {
    const hint = 'add `users:`, or `anonymous:` for programs on this machine; see docs/broker.md';
    warnings.push(
      source.problem('CONFIG_MISSING_KEY', ['broker'], 'nobody may connect to the local broker', { hint, key: true }),
    );
  }
  if (Object.keys(config.upstreams).length === 0 && !broker) {
    const hint = 'write where readings go under `upstreams`';
    warnings.push(source.problem('CONFIG_MISSING_KEY', [], 'there is no upstream: nothing will be sent', { hint }));
  }
  return warnings;
}

/** Each problem once, gateway.yaml first, each file from top to bottom. */
function inOrder(problems: readonly TidegateError[], first: string): TidegateError[] {
  const unique = new Map(problems.map((problem) => [`${JSON.stringify(problem.place)} ${problem.message}`, problem]));
  const rank = (place: SourcePlace | undefined) => (place === undefined || place.file === first ? '' : place.file);
  return [...unique.values()].sort(
    (a, b) =>
      compare(rank(a.place), rank(b.place)) ||
      (a.place?.line ?? 0) - (b.place?.line ?? 0) ||
      (a.place?.column ?? 0) - (b.place?.column ?? 0),
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
