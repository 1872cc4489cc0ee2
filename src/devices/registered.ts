/** Devices of the register as they are polled: what was added or approved, checked like what gateway.yaml has. */
import type { ReadConfig } from '../config/load.js';
import { Source } from '../config/source.js';
import { TidegateError } from '../errors.js';
import type { Device } from '../model.js';
import { listProfiles } from '../profiles/find.js';
import { type Drivers, type Profile, unknownProfile } from '../profiles/load.js';
import { provenProfiles } from '../profiles/proven.js';
import type { Registration, Registrations } from './registration.js';
import { buildDevices, type Wires } from './wiring.js';

/** What became of the devices of the register. */
export interface Registered {
  readonly devices: readonly Device[];
  /** Known, and not polled. */
  readonly disabled: readonly Device[];
  /** Why others cannot run, by id: their profile or connection is gone, another has their place. */
  readonly unfit: ReadonlyMap<string, string>;
}

/** What they are checked against. */
export interface RegisteredContext {
  readonly read: ReadConfig;
  readonly wires: Wires;
  readonly drivers: Drivers;
  /** Where profiles are looked for. */
  readonly folders: readonly string[];
  /** Profiles that were read, undefined for one that is wrong. What the register needs beside them is added. */
  readonly profiles: Map<string, Profile | undefined>;
  /** Who has which place on which connection: see `buildDevices`. */
  readonly taken: ReadonlyMap<string, string>;
}

/** Where it is written has no lines. */
const NOWHERE = new Source('the register of devices', '');

/** Builds devices of the register. One that cannot run is a problem of nobody else. */
export async function buildRegistered(registrations: Registrations, context: RegisteredContext): Promise<Registered> {
  const { read, wires, profiles } = context;
  const wanted = [...registrations.values()].filter(
    (one) => wantsBuilding(one) && !Object.hasOwn(read.written.devices, one.id),
  );
  const absent = await readMissing(wanted, context);
  const taken = new Map(context.taken);
  const [devices, disabled, unfit] = [[] as Device[], [] as Device[], new Map<string, string>()];
  for (const { id, profile = '', connection, tags, settings, state } of wanted) {
    const written = { ...settings, profile, connection, tags };
    const one = { [id]: { profile, connection, tags, disabled: false } };
    const alone: ReadConfig = {
      ...read,
      source: NOWHERE,
      config: { ...read.config, devices: one },
      written: { ...read.written, devices: { [id]: written } },
    };
    const found: TidegateError[] = [];
    const [device] = buildDevices(alone, wires, profiles, found, taken);
    const missing = absent.get(profile);
    if (missing !== undefined) unfit.set(id, missing);
    else if (profiles.get(profile) === undefined) unfit.set(id, `the profile ${profile} is wrong`);
    else if (found.length > 0 || !device) unfit.set(id, found.map(inWords).join('; '));
    else (state === 'disabled' ? disabled : devices).push(device);
  }
  return { devices, disabled, unfit };
}

/** Warns of devices of the register that do not run as the register has them. */
export function findMisfits(
  registrations: Registrations,
  { read, unfit }: Pick<RegisteredContext, 'read'> & Pick<Registered, 'unfit'>,
): TidegateError[] {
  const lost = [...unfit].map(([id, reason]) => `the device ${id} of the register does not run: ${reason}`);
  const overruled = [...registrations.values()]
    .filter((one) => wantsBuilding(one) && Object.hasOwn(read.written.devices, one.id))
    .map(({ id }) => `the device ${id} of the register is in gateway.yaml too, which wins`);
  return [...lost, ...overruled].map((message) => new TidegateError('REGISTER_DEVICE', message));
}

/** True for what is to run, or would if it were enabled. Those of gateway.yaml are read there. */
function wantsBuilding({ origin, state }: Registration): boolean {
  return origin !== 'gateway.yaml' && state !== 'pending' && state !== 'retired';
}

/** Reads profiles that were not read yet, and those that were wrong. Gives what to say of those that are not there. */
async function readMissing(
  wanted: readonly Registration[],
  { profiles, folders, drivers }: RegisteredContext,
): Promise<Map<string, string>> {
  const names = wanted.map(({ profile = '' }) => profile).filter((name) => profiles.get(name) === undefined);
  const missing = new Set(names);
  for (const [name, profile] of await provenProfiles(missing, folders, drivers, [])) profiles.set(name, profile);
  const unknown = [...missing].filter((name) => !profiles.has(name));
  const files = unknown.length > 0 ? listProfiles(folders) : new Map<string, string>();
  return new Map(unknown.map((name) => [name, inWords(unknownProfile(name, files.keys()))]));
}

/** What is wrong, and what was probably meant. */
function inWords({ message, hint }: Pick<TidegateError, 'message' | 'hint'>): string {
  return hint === undefined ? message : `${message} (${hint})`;
}
