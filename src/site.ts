/** A site: gateway.yaml with all that it names, loaded and checked as one. */
import { dirname, resolve } from 'node:path';
import { setImmediate as otherWork } from 'node:timers/promises';
import { drivers as builtIn } from '../drivers/index.js';
import { isLoopback, LOCAL, placeOf } from './config/broker.js';
import { type ReadConfig, readConfig } from './config/load.js';
import type { GatewayConfig } from './config/schema.js';
import type { Source } from './config/source.js';
import type { Configuration } from './devices/configuration.js';
import { readRegister } from './devices/journal.js';
import { buildRegistered, inWords, type RegisteredContext, wantsBuilding } from './devices/registered.js';
import { apply, isActive, type JournalEntry, type Registrations } from './devices/registration.js';
import { buildDevices, buildWires, checkAdmissions, type Wires } from './devices/wiring.js';
import type { Driver } from './driver.js';
import { ProblemList, type SourcePlace, TidegateError } from './errors.js';
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
  /** All that are to be polled: those of gateway.yaml, and those of the register. */
  readonly devices: Device[];
  /** Known, and not polled. */
  readonly disabled: readonly Device[];
  /** Why some devices of the register cannot run, by id. */
  readonly unfit: ReadonlyMap<string, string>;
  /** The register, as it was when the site was loaded. */
  readonly registrations: Registrations;
  /** What gateway.yaml alone says. */
  readonly configured: Configured;
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

/** What gateway.yaml alone says: what the devices of the register are held to, and added to. */
export interface Configured extends Omit<RegisteredContext, 'profiles' | 'absent'> {
  readonly devices: readonly Device[];
  readonly disabled: readonly Device[];
  readonly profiles: Map<string, Profile | undefined>;
  readonly drivers: Drivers;
}

/** How to load a site. */
export interface SiteOptions {
  /** The register, where it is in memory; else it is read. */
  readonly registrations?: Registrations;
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
  checkAdmissions(read, problems);
  const taken = new Map<string, string>();
  const built = buildDevices(read, wires, profiles, problems, taken);
  const isOff = ({ id }: Device): boolean => config.devices[id]?.disabled === true;
  const own = { devices: built.filter((device) => !isOff(device)), disabled: built.filter(isOff) };
  const configured = { ...own, read, wires, profiles, taken, drivers: available };
  const { registrations, ...lost } = await registrationsOf(file, config, options);
  const all = await withRegister(configured, file, registrations);
  // Where devices are wrong, rules cannot be held to their names.
  const sound = problems.length === 0;
  const others = [...registrations.values()].map(({ id, profile = '', tags }) => {
    const points = [...all.devices, ...all.disabled].find((device) => device.id === id)?.points ?? [];
    return { id, profile, tags, points };
  });
  const upstreams = [...Object.keys(read.written.upstreams), ...(source.has(['broker']) ? [LOCAL] : [])];
  const context = sound ? { devices: built, others, upstreams } : undefined;
  const folder = resolve(dirname(file), config.rules);
  await otherWork();
  const rules = await loadRules(folder, context, problems);
  if (options.thorough && sound) problems.push(...(await testRules(folder, config, all.devices)));
  await otherWork();
  if (problems.length > 0) throw new ProblemList(inOrder(problems, file));
  const { drivers, settings: connectionSettings } = wires;
  const [ownProfiles = ''] = folders;
  return {
    config,
    file,
    source,
    ...all,
    registrations,
    configured,
    drivers,
    connectionSettings,
    rules,
    secrets,
    readFrom: { files: [file, ...read.secretFiles, ...certificatesOf(config)], folders: [folder, ownProfiles] },
    warnings: [
      ...findWarnings(read, all.devices),
      ...Object.values(lost),
      ...findTrouble(registrations, all.unfit, config),
      ...(options.thorough ? findBusyWires(read, wires, all.devices) : []),
    ],
  };
}

/**
 * A site with what entries make of its register.
 * @throws TidegateError REGISTER_DEVICE when a device that they put into service cannot run
 */
export async function withEntries(site: Site, before: Registrations, entries: readonly JournalEntry[]): Promise<Site> {
  const registrations = new Map(before);
  for (const entry of entries) apply(registrations, entry);
  const next = { ...site, registrations, ...(await withRegister(site.configured, site.file, registrations)) };
  for (const { device, set } of entries) {
    const reason = isActive({ state: set.state ?? 'retired' }) ? next.unfit.get(device) : undefined;
    const hint = 'Nothing was changed.';
    if (reason !== undefined) throw new TidegateError('REGISTER_DEVICE', `${device} cannot run: ${reason}`, { hint });
  }
  return next;
}

/** What the register is told of a site. */
export function configurationOf({ configured: { devices, disabled }, unfit }: Site): Configuration {
  return { configured: [...devices, ...disabled], disabled: new Set(disabled.map(({ id }) => id)), unfit };
}

/** The devices of a site with those of a register. */
async function withRegister(
  configured: Configured,
  file: string,
  registrations: Registrations,
): Promise<Pick<Site, 'devices' | 'disabled' | 'unfit'>> {
  const { read, profiles, drivers } = configured;
  const folders = profileFolders(read.config, file);
  const wanted = [...registrations.values()].filter(wantsBuilding).map(({ profile = '' }) => profile);
  const missing = new Set(wanted.filter((name) => profiles.get(name) === undefined));
  for (const [name, profile] of await readProfiles(missing, folders, drivers, [])) profiles.set(name, profile);
  const unknown = [...missing].filter((name) => !profiles.has(name));
  const files = unknown.length > 0 ? listProfiles(folders) : new Map<string, string>();
  const absent = new Map(unknown.map((name) => [name, inWords(unknownProfile(name, files.keys()))]));
  const { devices, disabled, unfit } = buildRegistered(registrations.values(), { ...configured, absent });
  return {
    devices: [...configured.devices, ...devices],
    disabled: [...configured.disabled, ...disabled],
    unfit,
  };
}

/** The folder of outboxes, register, lock and control socket. */
export function dataFolder(file: string, config: GatewayConfig): string {
  return resolve(dirname(file), config.data);
}

/** The register; one that cannot be read is no reason not to start. */
async function registrationsOf(
  file: string,
  config: GatewayConfig,
  { registrations }: SiteOptions,
): Promise<{ registrations: Registrations; reason?: TidegateError }> {
  if (registrations) return { registrations };
  try {
    return { registrations: await readRegister(dataFolder(file, config)) };
  } catch (error) {
    if (!(error instanceof TidegateError)) throw error;
    return { registrations: new Map(), reason: error };
  }
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
  const wanted = new Set(Object.values(written.devices).map(({ profile }) => String(profile)));
  const own = new Set(thorough ? listProfiles(folders.slice(0, 1)).keys() : []);
  const profiles = await readProfiles(new Set([...wanted, ...own]), folders, available, problems);
  for (const name of own) {
    const profile = profiles.get(name);
    if (profile) problems.push(...lintProfile(profile));
  }
  const files = listProfiles(folders);
  for (const [id, { profile }] of Object.entries(written.devices)) {
    if (profile === undefined || profile === null || profiles.has(String(profile))) continue;
    const { code, message, hint = '' } = unknownProfile(String(profile), files.keys());
    problems.push(source.problem(code, ['devices', id, 'profile'], message, { hint }));
  }
  return profiles;
}

/** Those of the named profiles that are there: undefined for one that is wrong. */
async function readProfiles(
  names: ReadonlySet<string>,
  folders: string[],
  available: Drivers,
  problems: TidegateError[],
): Promise<Map<string, Profile | undefined>> {
  const profiles = new Map<string, Profile | undefined>();
  if (names.size === 0) return profiles;
  const files = listProfiles(folders);
  for (const name of names) {
    const file = files.get(name);
    if (file === undefined) continue;
    const found: TidegateError[] = [];
    // A running gateway polls between two files.
    await otherWork();
    const profile = await readProfile(file, folders, available, found);
    if (profile) found.push(...proveProfile(profile));
    profiles.set(name, found.length === 0 ? profile : undefined);
    problems.push(...found);
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

/** Devices of the register that do not run as the register has them. */
function findTrouble(
  registrations: Registrations,
  unfit: ReadonlyMap<string, string>,
  { devices }: GatewayConfig,
): TidegateError[] {
  const lost = [...unfit].map(([id, reason]) => `the device ${id} of the register does not run: ${reason}`);
  const overruled = [...registrations.values()]
    .filter(({ id, origin, state }) => Object.hasOwn(devices, id) && origin !== 'gateway.yaml' && state !== 'retired')
    .map(({ id }) => `the device ${id} of the register is in gateway.yaml too, which wins`);
  return [...lost, ...overruled].map((message) => new TidegateError('REGISTER_DEVICE', message));
}

function findWarnings({ config, source }: ReadConfig, devices: readonly Device[]): TidegateError[] {
  const used = new Set([...Object.values(config.devices), ...devices].map(({ connection }) => connection));
  const warnings = Object.entries(config.connections)
    .filter(([id, { discover }]) => !used.has(id) && !discover)
    .map(([id]) => id)
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
