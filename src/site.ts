/** A site: gateway.yaml with all that it names, loaded and checked as one. */
import { dirname, join, resolve } from 'node:path';
import { setImmediate as otherWork } from 'node:timers/promises';
import { drivers as builtIn } from '../drivers/index.js';
import { LOCAL } from './config/broker.js';
import { type ReadConfig, readConfig } from './config/load.js';
import type { GatewayConfig } from './config/schema.js';
import type { Source } from './config/source.js';
import { findWarnings } from './config/warnings.js';
import type { Configuration } from './devices/configuration.js';
import { readRegister } from './devices/journal.js';
import { buildRegistered, findMisfits, type Registered, type RegisteredContext } from './devices/registered.js';
import type { Registrations } from './devices/registration.js';
import {
  buildDevices,
  buildWires,
  checkAdmissions,
  checkDrivers,
  findIdle,
  type Mention,
  profilesNamed,
} from './devices/wiring.js';
import type { Driver } from './driver.js';
import { ProblemList, type SourcePlace, TidegateError } from './errors.js';
import type { Device } from './model.js';
import { withPlugins } from './plugins.js';
import { findBusyWires } from './polling/load.js';
import { listProfiles, shippedProfiles } from './profiles/find.js';
import { lintProfile } from './profiles/lint.js';
import { type Drivers, type Profile, unknownProfile } from './profiles/load.js';
import { provenProfiles } from './profiles/proven.js';
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
  readonly devices: readonly Device[];
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
export interface Configured extends RegisteredContext {
  readonly devices: readonly Device[];
  readonly disabled: readonly Device[];
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
  /** Told what the site is read from, also when something of it is wrong. */
  onRead?(from: Site['readFrom']): void;
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
  const [ownProfiles = ''] = folders;
  const folder = resolve(dirname(file), config.rules);
  const readFrom = { files: [file, ...read.secretFiles, ...certificatesOf(config)], folders: [folder, ownProfiles] };
  options.onRead?.(readFrom);

  const wires = await buildWires(read, available, problems);
  const named = profilesNamed(read, wires);
  const profiles = await loadProfiles(read, named, folders, available, options.thorough ?? false, problems);
  await otherWork();
  checkDrivers(read, wires, named, profiles, problems);
  checkAdmissions(read, problems);
  const taken = new Map<string, string>();
  const built = buildDevices(read, wires, profiles, problems, taken);
  const isOff = ({ id }: Device): boolean => config.devices[id]?.disabled === true;
  const own = { devices: built.filter((device) => !isOff(device)), disabled: built.filter(isOff) };
  const configured = { ...own, read, wires, drivers: available, folders, profiles, taken };
  const { registrations, ...lost } = await registrationsOf(file, config, options);
  const all = await allDevices(configured, registrations);
  // Where devices are wrong, rules cannot be held to their names.
  const sound = problems.length === 0;
  const points = new Map([...all.devices, ...all.disabled].map((device) => [device.id, device.points]));
  const others = [...registrations.values()].map(({ id, profile = '', tags }) => {
    return { id, profile, tags, points: points.get(id) ?? [] };
  });
  const upstreams = [...Object.keys(read.written.upstreams), ...(source.has(['broker']) ? [LOCAL] : [])];
  const context = sound ? { devices: built, others, upstreams } : undefined;
  await otherWork();
  const rules = await loadRules(folder, context, problems);
  if (options.thorough && sound) problems.push(...(await testRules(folder, config, all.devices)));
  await otherWork();
  if (problems.length > 0) throw new ProblemList(inOrder(problems, file));
  const { drivers, settings: connectionSettings } = wires;
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
    readFrom,
    warnings: [
      ...findWarnings(read, connectionsOf([...Object.values(config.devices), ...all.devices])),
      ...findIdle(read, wires),
      ...Object.values(lost),
      ...findMisfits(registrations, { read, ...all }),
      ...(options.thorough ? findBusyWires(read, wires, all.devices) : []),
    ],
  };
}

/** The site with another register. */
export async function withRegister(site: Site, registrations: Registrations): Promise<Site> {
  return { ...site, registrations, ...(await allDevices(site.configured, registrations)) };
}

/** What the register is told of a site. */
export function configurationOf({ configured: { devices, disabled }, unfit }: Site): Configuration {
  return { configured: [...devices, ...disabled], disabled: new Set(disabled.map(({ id }) => id)), unfit };
}

/** The devices of gateway.yaml with those of a register. */
async function allDevices(configured: Configured, registrations: Registrations): Promise<Registered> {
  const { devices, disabled, unfit } = await buildRegistered(registrations, configured);
  return {
    devices: [...configured.devices, ...devices],
    disabled: [...configured.disabled, ...disabled],
    unfit,
  };
}

function connectionsOf(devices: readonly Pick<Device, 'connection'>[]): Set<string> {
  return new Set(devices.map(({ connection }) => connection));
}

/** The folder of outboxes, register, lock and control socket. */
export function dataFolder(file: string, config: GatewayConfig): string {
  return resolve(dirname(file), config.data);
}

/** What a driver keeps lies in a folder of its own. */
export function driverFolder(data: string, driver: string): string {
  return join(data, driver);
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
async function testRules(folder: string, config: GatewayConfig, devices: readonly Device[]): Promise<TidegateError[]> {
  const { proveRules } = await import('./routing/prove.js');
  return proveRules(folder, { gateway: config.gateway, devices, upstreams: destinationsOf(config) });
}

/** Folders to look for profiles in: the site's own, then the shipped ones. */
export function profileFolders(config: GatewayConfig, file: string): string[] {
  return [resolve(dirname(file), config.profiles), shippedProfiles];
}

/** Loads and proves each profile that is named; undefined for those that are there but wrong. */
async function loadProfiles(
  { source }: ReadConfig,
  named: readonly Mention[],
  folders: string[],
  available: Drivers,
  thorough: boolean,
  problems: TidegateError[],
): Promise<Map<string, Profile | undefined>> {
  const wanted = named.map(({ name }) => name);
  const own = new Set(thorough ? listProfiles(folders.slice(0, 1)).keys() : []);
  const profiles = await provenProfiles(new Set([...wanted, ...own]), folders, available, problems);
  for (const name of own) {
    const profile = profiles.get(name);
    if (profile) problems.push(...lintProfile(profile));
  }
  const files = listProfiles(folders);
  for (const { name, path } of named) {
    if (profiles.has(name)) continue;
    const { code, message, hint = '' } = unknownProfile(name, files.keys());
    problems.push(source.problem(code, path, message, { hint }));
  }
  return profiles;
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
