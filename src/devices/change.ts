/** What people do to the register: a device is added, approved, disabled, enabled, retired. Each becomes one entry of the journal, or is refused. */
import { id as idSchema } from '../config/schema.js';
import { hintFor } from '../config/suggest.js';
import { TidegateError } from '../errors.js';
import { type JournalEntry, type Moment, NOT_READ, type Registration } from './registration.js';

/** A change as it is asked for. */
export type DeviceChange =
  | {
      readonly do: 'add';
      readonly id: string;
      readonly profile: string;
      readonly connection: string;
      readonly settings: Readonly<Record<string, unknown>>;
      readonly tags?: Readonly<Record<string, string>>;
    }
  | {
      readonly do: 'approve';
      readonly id: string;
      /** The profile to use; needed where the device did not come with one that fits. */
      readonly profile?: string;
      /** Another name. */
      readonly as?: string;
    }
  | { readonly do: 'disable' | 'enable' | 'retire'; readonly id: string };

/** What a change is judged by. */
export interface ChangeContext {
  readonly registrations: ReadonlyMap<string, Registration>;
  readonly now: Moment;
  /** Who asks: `by command`, `by gateway.yaml`. */
  readonly by: string;
}

/**
 * The entry that a change makes.
 * @throws TidegateError USAGE when there is no such device, or it is not so that this can be done to it
 */
export function entryOf(change: DeviceChange, context: ChangeContext): JournalEntry {
  const { registrations, now, by } = context;
  if (change.do === 'add') return { ...now, device: change.id, what: 'added', set: addition(change, registrations) };
  const device = known(change.id, registrations);
  const head = { ...now, device: device.id };
  switch (change.do) {
    case 'approve':
      return { ...head, ...approval(device, change, registrations) };
    case 'disable':
      from(device, ['online', 'degraded', 'offline'], 'disabled');
      return { ...head, what: 'disabled', set: { state: 'disabled', reason: by } };
    case 'enable':
      from(device, ['disabled'], 'enabled');
      return { ...head, what: 'enabled', set: NOT_READ };
    case 'retire':
      from(device, ['pending', 'online', 'degraded', 'offline', 'disabled'], 'retired');
      return { ...head, what: 'retired', set: { state: 'retired', reason: by } };
  }
}

function addition(
  { id, profile, connection, settings, tags = {} }: DeviceChange & { do: 'add' },
  registrations: ReadonlyMap<string, Registration>,
): JournalEntry['set'] {
  checkName(id, registrations);
  return { origin: 'command', profile, connection, settings, tags, identity: {}, ...NOT_READ };
}

function approval(
  device: Registration,
  { profile = device.profile, as = device.id }: DeviceChange & { do: 'approve' },
  registrations: ReadonlyMap<string, Registration>,
): Pick<JournalEntry, 'device' | 'what' | 'set' | 'was'> {
  from(device, ['pending', 'retired'], 'approved');
  if (profile === undefined)
    throw new TidegateError('USAGE', `nobody knows which profile ${device.id} has`, {
      hint: 'Name it: --profile <vendor>/<model>.',
    });
  const entry = { device: as, what: 'approved', set: { profile, ...NOT_READ } } as const;
  if (as === device.id) return entry;
  checkName(as, registrations);
  return { ...entry, was: device.id };
}

function checkName(id: string, registrations: ReadonlyMap<string, Registration>): void {
  const { error } = idSchema.safeParse(id);
  if (error) throw new TidegateError('USAGE', `"${id}" is no name for a device: ${error.issues[0]?.message}`);
  if ((registrations.get(id)?.state ?? 'retired') === 'retired') return;
  throw new TidegateError('USAGE', `a device is called "${id}" already`, { hint: 'Choose another name.' });
}

/** The device of that name, if the register decides on it. */
function known(id: string, registrations: ReadonlyMap<string, Registration>): Registration {
  const device = registrations.get(id);
  if (!device)
    throw new TidegateError('USAGE', `no device is called "${id}"`, {
      hint: hintFor(id, registrations.keys()) ?? '`tidegate devices` lists all.',
    });
  if (device.origin !== 'gateway.yaml') return device;
  if (device.state === 'retired')
    throw new TidegateError('USAGE', `${id} was in gateway.yaml, and is not any more`, {
      hint: 'Write it there again, or `tidegate devices add` it.',
    });
  throw new TidegateError('USAGE', `${id} is in gateway.yaml, which decides on it`, {
    hint: 'Change it there (`disabled: true`, or remove it), then `tidegate reload`.',
  });
}

function from(device: Registration, states: readonly Registration['state'][], done: string): void {
  if (states.includes(device.state)) return;
  throw new TidegateError('USAGE', `${device.id} is ${device.state}: it cannot be ${done}`, {
    hint: `That is for a device that is ${states.join(' or ')}.`,
  });
}
