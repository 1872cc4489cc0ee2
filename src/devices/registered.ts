/** Devices of the register as they are polled: what was added or approved, checked like what gateway.yaml has. */
import type { ReadConfig } from '../config/load.js';
import { Source } from '../config/source.js';
import type { TidegateError } from '../errors.js';
import type { Device } from '../model.js';
import type { Profile } from '../profiles/load.js';
import type { Registration } from './registration.js';
import { buildDevices, type Wires } from './wiring.js';

/** What became of the devices of the register. */
export interface Registered {
  readonly devices: Device[];
  /** Known, and not polled. */
  readonly disabled: Device[];
  /** Why others cannot run, by id: their profile or connection is gone, another has their place. */
  readonly unfit: Map<string, string>;
}

/** What they are checked against. */
export interface RegisteredContext {
  readonly read: ReadConfig;
  readonly wires: Wires;
  /** Undefined for a profile that is there but wrong. */
  readonly profiles: ReadonlyMap<string, Profile | undefined>;
  /** Profiles that are not there, each with what to say of it. */
  readonly absent: ReadonlyMap<string, string>;
  /** Who has which place on which connection: see `buildDevices`. */
  readonly taken: ReadonlyMap<string, string>;
}

/** Where it is written has no lines. */
const NOWHERE = new Source('the register of devices', '');

/** True for what is to run, or would if it were enabled. Those of gateway.yaml are read there. */
export function wantsBuilding({ origin, state }: Registration): boolean {
  return origin !== 'gateway.yaml' && state !== 'pending' && state !== 'retired';
}

/** Builds devices of the register. One that cannot run is a problem of nobody else. */
export function buildRegistered(registrations: Iterable<Registration>, context: RegisteredContext): Registered {
  const { read, wires, profiles, absent } = context;
  const taken = new Map(context.taken);
  const built: Registered = { devices: [], disabled: [], unfit: new Map() };
  for (const registration of registrations) {
    const { id, profile = '', connection, tags, settings, state } = registration;
    if (!wantsBuilding(registration)) continue;
    if (Object.hasOwn(read.written.devices, id)) continue;
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
    if (missing !== undefined) built.unfit.set(id, missing);
    else if (profiles.get(profile) === undefined) built.unfit.set(id, `the profile ${profile} is wrong`);
    else if (found.length > 0 || !device) built.unfit.set(id, found.map(inWords).join('; '));
    else (state === 'disabled' ? built.disabled : built.devices).push(device);
  }
  return built;
}

/** What is wrong, and what was probably meant. */
export function inWords({ message, hint }: Pick<TidegateError, 'message' | 'hint'>): string {
  return hint === undefined ? message : `${message} (${hint})`;
}
