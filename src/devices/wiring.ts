/** Wires and devices as written, checked against their drivers and profiles: what can be polled. */
import { check, type Where } from '../config/check.js';
import type { ReadConfig } from '../config/load.js';
import { isName } from '../config/pattern.js';
import { connectionSchema, deviceSchema } from '../config/schema.js';
import type { Path } from '../config/source.js';
import { hintFor } from '../config/suggest.js';
import type { Driver } from '../driver.js';
import type { TidegateError } from '../errors.js';
import type { Device } from '../model.js';
import type { Drivers, Profile } from '../profiles/load.js';

/** The wires of a site. */
export interface Wires {
  /** Driver of each connection, by id. */
  readonly drivers: Map<string, Driver>;
  /** Settings of each connection, as its driver's schema gives them. */
  readonly settings: Map<string, unknown>;
}

/** Finds each connection's driver and checks its settings. */
export async function buildWires(read: ReadConfig, available: Drivers, problems: TidegateError[]): Promise<Wires> {
  const wires: Wires = { drivers: new Map(), settings: new Map() };
  const claimed = new Map<string, string>();
  for (const [id, { driver: name, discover: _, ...settings }] of Object.entries(read.config.connections)) {
    const at = ['connections', id];
    const load = available[name];
    if (!load) {
      const hint = hintFor(name, Object.keys(available));
      problems.push(unknown(read, [...at, 'driver'], `no driver is called "${name}"`, hint));
      continue;
    }
    const driver = await load();
    wires.drivers.set(id, driver);
    const known = Object.keys(connectionSchema.shape);
    const checked = check(driver.connection, read.source, settings, at, problems, { known });
    if (checked === undefined) continue;
    wires.settings.set(id, checked);
    if (driver.isLocal?.(checked) && !read.source.has(['broker'])) {
      const hint = 'write `broker: {}` for a broker on this machine alone; docs/broker.md says how devices get in';
      problems.push(read.source.problem('CONFIG_MISSING_KEY', [...at, 'broker'], 'there is no local broker', { hint }));
    }
    const claim = driver.claims?.(checked);
    if (claim === undefined) continue;
    const other = claimed.get(claim);
    if (other !== undefined) {
      const hint = 'put all devices of one wire on one connection';
      const message = `${claim} belongs to the connection "${other}" already`;
      problems.push(read.source.problem('CONFIG_CONFLICT', at, message, { hint, key: true }));
    }
    claimed.set(claim, id);
  }
  return wires;
}

/** Names that `register` in gateway.yaml uses must exist. */
export function checkAdmissions({ config, written, source }: ReadConfig, problems: TidegateError[]): void {
  const connections = Object.keys(written.connections);
  for (const [index, { connection }] of config.register.entries()) {
    if (connections.includes(connection)) continue;
    const hint = hintFor(connection, connections);
    const message = `no connection is called "${connection}"`;
    problems.push(unknown({ source }, ['register', index, 'connection'], message, hint));
  }
}

/** A place in gateway.yaml that names a profile, and the wire that it is meant for. */
export interface Mention {
  readonly name: string;
  readonly path: Path;
  readonly connection: string | undefined;
}

/** Where gateway.yaml names profiles: its devices, its connections for devices that they find, and `register` for those that it admits. */
export function profilesNamed(read: ReadConfig, wires: Wires): Mention[] {
  const devices = Object.keys(read.written.devices).flatMap((id): Mention[] => {
    const [name, connection] = namesOf(read, id);
    return name === undefined ? [] : [{ name, connection, path: ['devices', id, 'profile'] }];
  });
  const found = [...wires.settings].flatMap(([connection, settings]) => {
    const named = wires.drivers.get(connection)?.profilesOf?.(settings) ?? [];
    return named.map(({ profile, path }) => ({
      name: profile,
      connection,
      path: ['connections', connection, ...path],
    }));
  });
  const admitted = read.config.register.flatMap(({ connection, profile }, index) =>
    profile.filter(isName).map((name) => ({ name, connection, path: ['register', index, 'profile'] })),
  );
  return [...devices, ...found, ...admitted];
}

/** Profiles are for the driver of the wire that they are named for. */
export function checkDrivers(
  { source }: ReadConfig,
  { drivers }: Wires,
  named: readonly Mention[],
  profiles: ReadonlyMap<string, Profile | undefined>,
  problems: TidegateError[],
): void {
  for (const { name, path, connection } of named) {
    const [profile, driver] = [profiles.get(name)?.driver.name, drivers.get(connection ?? '')?.name];
    if (profile === undefined || driver === undefined || profile === driver) continue;
    const message = `the profile ${name} is for the driver ${profile}, the connection "${connection}" is ${driver}`;
    problems.push(source.problem('CONFIG_CONFLICT', path, message));
  }
}

/** Connections that name profiles for devices which nobody looks for. */
export function findIdle({ config, source }: ReadConfig, { drivers, settings }: Wires): TidegateError[] {
  return [...settings].flatMap(([id, connection]) => {
    const [named] = drivers.get(id)?.profilesOf?.(connection) ?? [];
    if (!named || config.connections[id]?.discover) return [];
    const [key = ''] = named.path;
    const hint = 'write `discover: true`, or remove it';
    const message = `${key} has no use: nobody looks for devices on "${id}"`;
    return [source.problem('CONFIG_CONFLICT', ['connections', id, key], message, { hint, key: true })];
  });
}

/**
 * Devices with their points; those with problems are left out. `profiles` has undefined for one that is there but wrong.
 * @param taken who has which place on which connection
 */
export function buildDevices(
  read: ReadConfig,
  wires: Wires,
  profiles: ReadonlyMap<string, Profile | undefined>,
  problems: TidegateError[],
  taken = new Map<string, string>(),
): Device[] {
  const devices: Device[] = [];
  const connections = Object.keys(read.written.connections);
  // As written: what is wrong in one key of a device must not hide what is wrong in another.
  for (const [id, keys] of Object.entries(read.written.devices)) {
    const { profile: _, connection: __, tags: ___, disabled: ____, ...own } = keys;
    const at = ['devices', id];
    const [name, connection] = namesOf(read, id);
    if (connection !== undefined && !connections.includes(connection)) {
      const hint = hintFor(connection, connections) ?? 'write it under `connections`';
      problems.push(unknown(read, [...at, 'connection'], `no connection is called "${connection}"`, hint));
    }
    const profile = profiles.get(name ?? '');
    const driver = wires.drivers.get(connection ?? '');
    if (driver && profile && driver.name !== profile.driver.name) continue;
    const settings = checkSettings(read, driver ?? profile?.driver, profile, own, at, problems);
    if (settings === undefined || name === undefined || connection === undefined) continue;

    // Where devices have no settings that tell them apart, their profiles do.
    const bare = typeof settings === 'object' && settings !== null && Object.keys(settings).length === 0;
    const place = JSON.stringify([connection, settings, bare && name]);
    const other = taken.get(place);
    if (other !== undefined) {
      const message = `"${other}" is the same device: same connection, same settings`;
      const hint = 'give each device its own settings (its unit id), or its own connection';
      problems.push(read.source.problem('CONFIG_CONFLICT', at, message, { hint, key: true }));
    }
    taken.set(place, id);
    const tags = read.config.devices[id]?.tags;
    if (driver && profile && tags)
      devices.push({ id, profile: name, connection, tags, settings, points: profile.points });
  }
  return devices;
}

/** The profile and the connection that a device names, as far as it does. */
function namesOf(read: ReadConfig, id: string): [profile: string | undefined, connection: string | undefined] {
  const { profile, connection } = read.config.devices[id] ?? read.written.devices[id] ?? {};
  return [textOf(profile), textOf(connection)];
}

function textOf(value: unknown): string | undefined {
  return value === undefined || value === null ? undefined : String(value);
}

/** A device's settings above those of its profile, checked by the driver. */
function checkSettings(
  read: ReadConfig,
  driver: Driver | undefined,
  profile: Profile | undefined,
  own: Readonly<Record<string, unknown>>,
  at: Path,
  problems: TidegateError[],
): unknown {
  if (!driver) return undefined;
  const shared = profile?.device ?? {};
  const where: Where = (path) =>
    profile && path[0] !== undefined && path[0] in shared && !(path[0] in own)
      ? { source: profile.text, path: ['device', ...path] }
      : { source: read.source, path: [...at, ...path] };
  const known = Object.keys(deviceSchema.shape);
  return check(driver.device, read.source, { ...shared, ...own }, where, problems, { known });
}

function unknown(
  read: Pick<ReadConfig, 'source'>,
  path: Path,
  message: string,
  hint: string | undefined,
): TidegateError {
  return read.source.problem('CONFIG_UNKNOWN_NAME', path, message, hint === undefined ? {} : { hint });
}
