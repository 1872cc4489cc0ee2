/** What the register knows of a device, and how that follows from the entries of its journal (Event Sourcing). Pure. */
import type { DeviceState, Identity } from '../model.js';
import type { TimeBase } from '../ops/clock.js';

/** Where a device was named first: in gateway.yaml, by a command, or by itself. */
export type Origin = 'gateway.yaml' | 'command' | 'discovered';

/** A device as the register knows it. */
export interface Registration {
  readonly id: string;
  readonly origin: Origin;
  readonly connection: string;
  /** Absent while nobody has chosen one. */
  readonly profile?: string;
  readonly tags: Readonly<Record<string, string>>;
  /** The driver's keys of a device, as gateway.yaml would have them; empty for a device that is written there. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly identity: Identity;
  readonly state: DeviceState;
  /** Why it is so. */
  readonly reason?: string;
  /** Since when it is in this state, milliseconds since 1970. */
  readonly since: number;
  /** Present while nobody knows how far that is from the truth: see `Moment`. */
  readonly clock?: TimeBase;
}

/** A time. */
export interface Moment {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** What that was counted from, while the clock was not known to be set. */
  readonly clock?: TimeBase;
}

/** What happened to a device. `summary` stands for older entries that gave way. */
export type Happening =
  | 'configured'
  | 'added'
  | 'found'
  | 'identified'
  | 'approved'
  | 'state'
  | 'disabled'
  | 'enabled'
  | 'retired'
  | 'summary';

/** One entry of the journal. */
export interface JournalEntry extends Moment {
  readonly device: string;
  readonly what: Happening;
  /** What is otherwise from now on; a state brings its reason along, or has none. */
  readonly set: Partial<Facts>;
  /** The name that the device had until now. */
  readonly was?: string;
  /** How many changes this entry stands for. */
  readonly changes?: number;
  /** Since when the state is as it is, where that is not the time of this entry. */
  readonly since?: Moment;
}

type Facts = Omit<Registration, 'id' | 'since' | 'clock'>;

const BLANK: Facts = {
  origin: 'command',
  connection: '',
  tags: {},
  settings: {},
  identity: {},
  state: 'pending',
};

/** All devices of the register, by id. */
export type Registrations = Map<string, Registration>;

/** Takes an entry into account. Gives the device as it is now. */
export function apply(registrations: Registrations, entry: JournalEntry): Registration {
  const { device, set, was } = entry;
  const before = registrations.get(was ?? device);
  if (was !== undefined) registrations.delete(was);
  const { reason, clock: _, ...kept } = before ?? { ...BLANK, clock: undefined };
  const why = set.state === undefined ? reason : set.reason;
  const { at, clock } = entry.since ?? (set.state === undefined && before ? sinceOf(before) : entry);
  const after: Registration = {
    ...kept,
    ...set,
    id: device,
    since: at,
    ...(clock && { clock }),
    ...(why !== undefined && { reason: why }),
  };
  registrations.set(device, after);
  return after;
}

/** The register that a journal tells of. */
export function rebuild(entries: Iterable<JournalEntry>): Registrations {
  const registrations: Registrations = new Map();
  for (const entry of entries) apply(registrations, entry);
  return registrations;
}

/** The entries of one device, those of its former names included. */
export function historyOf(entries: readonly JournalEntry[], id: string): JournalEntry[] {
  let name = id;
  const own: JournalEntry[] = [];
  for (const entry of [...entries].reverse()) {
    if (entry.device !== name) continue;
    own.push(entry);
    name = entry.was ?? name;
  }
  return own.reverse();
}

/** One entry that stands for all that made a device what it is. */
export function summaryOf(device: Registration, moment: Moment): JournalEntry {
  const { id, since: _, clock: __, ...set } = device;
  return { ...moment, device: id, what: 'summary', set, since: sinceOf(device) };
}

/** Since when a device is in its state. */
export function sinceOf({ since, clock }: Registration): Moment {
  return { at: since, ...(clock && { clock }) };
}

/** What happened, at the time that it really was, as far as a clock that is set now tells: it knows all times of its boot. */
export function corrected(entry: JournalEntry, known: TimeBase): JournalEntry {
  const { at: _, clock: __, since, ...rest } = entry;
  return { ...rest, ...madeRight(entry, known), ...(since && { since: madeRight(since, known) }) };
}

/** The same of a device. */
export function correctedSince(device: Registration, known: TimeBase): Registration {
  const { since: _, clock: __, ...rest } = device;
  const { at: since, ...mark } = madeRight(sinceOf(device), known);
  return { ...rest, since, ...mark };
}

function madeRight({ at, clock }: Moment, known: TimeBase): Moment {
  if (!clock) return { at };
  if (clock.boot !== known.boot) return { at, clock };
  return { at: at + Math.round(known.zero - clock.zero) };
}

/**
 * The entries with fewer of what comes again and again: of the states of a device in a row the last stands for all, and so it is with what the
 * device says of itself. The register that follows is the same.
 */
export function merged(entries: readonly JournalEntry[]): JournalEntry[] {
  /** Where the last of both is, of each device, since anything else happened to it. */
  const last = new Map<string, Partial<Record<Happening, number>>>();
  const kept: (JournalEntry | undefined)[] = [];
  for (const entry of entries) {
    const { device, what, was } = entry;
    if (was !== undefined) last.delete(was);
    const own = what === 'state' || what === 'identified' ? (last.get(device) ?? {}) : {};
    last.set(device, own);
    const index = own[what];
    const earlier = index === undefined ? undefined : kept[index];
    if (index !== undefined) kept[index] = undefined;
    own[what] = kept.push(earlier ? joined(earlier, entry) : entry) - 1;
  }
  return kept.filter((entry) => entry !== undefined);
}

function joined(earlier: JournalEntry, entry: JournalEntry): JournalEntry {
  const changes = (earlier.changes ?? 1) + (entry.changes ?? 1);
  return { ...entry, changes, ...(entry.what === 'identified' && { set: { ...earlier.set, ...entry.set } }) };
}

/** How a device is that is in service, and of which nothing was heard yet. */
export const NOT_READ = { state: 'offline', reason: 'not read yet' } as const;

/** True while nothing was heard of a device since it is in service. */
export function isUnread({ state, reason }: Pick<Registration, 'state' | 'reason'>): boolean {
  return state === NOT_READ.state && reason === NOT_READ.reason;
}

/** True for a device that is polled, or would be if its wire and profile were there. */
export function isActive({ state }: Pick<Registration, 'state'>): boolean {
  return state === 'online' || state === 'degraded' || state === 'offline';
}
