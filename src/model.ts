/**
 * The vocabulary of Tidegate. Imports nothing.
 *
 * Two habits keep the path from wire to cloud cheap. What flows is a **batch**, one device at one instant, and a batch is
 * columns: the list of points is shared by every batch of the same read, the values are one array, and only what is not
 * good carries a reason.
 */

/** A value after decoding and scaling. `bigint` for 64-bit integers (every digit kept), `null` when the point is bad. */
export type Value = number | string | boolean | bigint | Structure | null;

/** For `JSON.stringify`: integers beyond 2^53 become strings, so that no digit is lost. */
export function exactDigits(_key: string, value: unknown): unknown {
  if (typeof value !== 'bigint') return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value.toString();
}

/** An array or a structure: a value of a point of type `json`, as its JSON text. Never changes; equal when the texts are. */
export class Structure {
  /** JSON; integers beyond 2^53 are strings in it. */
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  /** The structure of a plain value: arrays, objects, numbers, texts, bigints. */
  static of(value: unknown): Structure {
    return new Structure(JSON.stringify(value, exactDigits));
  }

  toJSON(): unknown {
    return JSON.parse(this.text);
  }

  toString(): string {
    return this.text;
  }
}

/** How far a value can be trusted, after OPC UA Part 8 §6.3: `uncertain` values are still delivered. */
export type Quality = 'good' | 'uncertain' | 'bad';

/** Why one value of a batch is not `good`. */
export interface Flaw {
  readonly quality: 'uncertain' | 'bad';
  /** A few words for people: `timeout`, `exception 02 (illegal data address)`, `above 300 V`. */
  readonly reason: string;
}

/** The types that a driver decodes to. `bool` gives booleans, `string` text, 64-bit integers `bigint`, `json` structures, the rest numbers. */
export const POINT_TYPES = [
  'bool',
  'int16',
  'int32',
  'int64',
  'uint16',
  'uint32',
  'uint64',
  'float32',
  'float64',
  'string',
  'json',
] as const;
export type PointType = (typeof POINT_TYPES)[number];

/** What a point means: a momentary value, a total that only grows, or a scale-factor register that other points use. */
export const POINT_KINDS = ['gauge', 'counter', 'scale'] as const;
export type PointKind = (typeof POINT_KINDS)[number];

/** Whether a point can be read, written, or both. */
export const POINT_ACCESS = ['read', 'write', 'read-write'] as const;
export type PointAccess = (typeof POINT_ACCESS)[number];

/** How small a change is not worth telling: absolute (in the point's unit) or a percentage of the last value told. */
export type Deadband = { readonly absolute: number } | { readonly percent: number };

/** One thing that a device tells, or can be told. `Address` belongs to the driver; all the rest means the same in every driver. */
export interface Point<Address = unknown> {
  readonly id: string;
  readonly type: PointType;
  readonly kind: PointKind;
  readonly access: PointAccess;
  /** UCUM code, or undefined for a pure number. */
  readonly unit?: string;
  /** Milliseconds between reads. */
  readonly every: number;
  /** `value = raw × scale + offset`. */
  readonly scale: number;
  readonly offset: number;
  /** Id of a point of the same device (kind `scale`): `value = raw × 10^that × scale + offset` (SunSpec's scale factors). */
  readonly scaleFrom?: string;
  /** Raw values that mean "no value"; they turn the point bad. */
  readonly invalid?: readonly (number | bigint)[];
  /** Names of raw values; the point's value is then the name. */
  readonly states?: ReadonlyMap<number, string>;
  /** Outside of these (after scaling) a value is `uncertain`. */
  readonly limits?: { readonly min?: number; readonly max?: number };
  /** The deadband that a rule's `change` step uses when it names none. */
  readonly deadband?: Deadband;
  readonly description?: string;
  readonly address: Address;
}

/** A device as configured: its profile's points, its wire, and the driver's own settings (a unit id, …). */
export interface Device<Settings = unknown, Address = unknown> {
  readonly id: string;
  readonly profile: string;
  readonly connection: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly settings: Settings;
  readonly points: readonly Point<Address>[];
}

/** What a driver decoded: one raw value or one flaw for each of some points, by index. */
export interface Decoded {
  /** Raw values in the order of the points; `null` where `flaws` says why. Whoever takes them may change them. */
  readonly values: Value[];
  /** Index of point → why it has no value. Absent when all is good. */
  readonly flaws?: Map<number, Flaw>;
}

/** What a driver brings back from one read of the points asked for. */
export interface Samples extends Decoded {
  /** False when the device gave no reply at all, not even an exception: the sign of a dead device. */
  readonly answered: boolean;
  /** Time of the source, milliseconds since 1970: the latest that any of the values has, for then all of them held. Absent: now. */
  readonly at?: number;
  /** Index of point → the raw words as text (`4366 8000`), when they were asked for. */
  readonly raw?: Map<number, string>;
}

/** What a device told by itself: some of its subscribed points at one instant. */
export interface Push extends Decoded {
  /** Ascending indexes into the points subscribed, one for each of the values; absent: all of them. */
  readonly indexes?: readonly number[];
  /** Time of the source, milliseconds since 1970; absent: now. */
  readonly at?: number;
}

/** One device at one instant: the unit that flows from polling to routing. */
export interface Batch {
  readonly device: Device;
  /** Time of the source, else wall-clock time of the reading, milliseconds since 1970. */
  readonly at: number;
  /** Monotonic time of the reading (`performance.now()`), to correct `at` when the clock is set later. */
  readonly mono: number;
  /** True when `at` is the source's own time, in which our clock has no part. */
  readonly sourced?: boolean;
  /** `unset` while the wall clock is not known to be set: `at` counts on from a wrong start. */
  readonly clock?: 'unset';
  /** Shared by all batches of the same read: compare by identity, never change. */
  readonly points: readonly Point[];
  readonly values: readonly Value[];
  /** Index of point → why its value is not good. Absent when all are good. */
  readonly flaws?: ReadonlyMap<number, Flaw>;
}

/** What is kept of an upstream: what waits, by lane (the backlog is part of `live`), and what the upstream refused for good. */
export const KEPT_LANES = ['alarm', 'live', 'rejected'] as const;
export type KeptLane = (typeof KEPT_LANES)[number];

/** What delivery accepts: something that happened, and where it is to go. */
export type Event = TelemetryEvent | DeviceEvent | GapEvent;

interface EventHead {
  /** Device id; empty for the gateway itself. */
  readonly device: string;
  /** Wall-clock time, milliseconds since 1970. */
  readonly at: number;
  /** Present when the clock was not known to be set when this happened: its times will be corrected if that is still possible. */
  readonly clock?: 'unset';
  readonly lane: 'alarm' | 'live';
  /** The topic, already rendered. */
  readonly topic: string;
}

/** Readings of one device at one instant. */
export interface TelemetryEvent extends EventHead {
  readonly kind: 'telemetry';
  /** Point ids; shared by events of the same shape, so encoders may cache by identity. */
  readonly names: readonly string[];
  readonly values: readonly Value[];
  readonly flaws?: ReadonlyMap<number, Flaw>;
  /** Which of the points are counters, by index; shared like the names. Thinning keeps their first and last values. */
  readonly counters?: readonly number[];
  /** Width of the buckets, in milliseconds, of which this is a smallest, largest or last value. Absent: nothing was thinned out. */
  readonly thinned?: number;
}

/**
 * How a device stands. `pending`: found, and nobody has approved it yet · `degraded`: it answers, but some of its points cannot be read ·
 * `offline`: it does not answer, or its wire is gone · `disabled`: known and not polled · `retired`: gone, its history kept.
 */
export const DEVICE_STATES = ['pending', 'online', 'degraded', 'offline', 'disabled', 'retired'] as const;
export type DeviceState = (typeof DEVICE_STATES)[number];

/** What a device says of itself: vendor, model, firmware, serial number, …; empty when it tells nothing. */
export type Identity = Readonly<Record<string, string>>;

/** A device came, went, or is otherwise than before. */
export interface DeviceEvent extends EventHead {
  readonly kind: 'device';
  readonly lane: 'alarm';
  /** `birth`: it can be heard (again) · `death`: it cannot any more · `change`: all else. */
  readonly what: 'birth' | 'death' | 'change';
  readonly state: DeviceState;
  /** The state before; absent when the device was not known. */
  readonly previous?: DeviceState;
  /** Why, in a few words. */
  readonly reason?: string;
  /** Absent while nobody has chosen one. */
  readonly profile?: string;
  readonly connection: string;
  readonly identity: Identity;
  /** How many changes this one stands for, when they came too fast to be told one by one. */
  readonly changes?: number;
}

/** Why events were removed before they could be delivered. */
export type GapCause = 'budget' | 'expired' | 'memory' | 'rejected' | 'unreadable' | 'purged';

/** Stands in the stream where events were removed: how many, from when to when, and why. */
export interface GapEvent extends EventHead {
  readonly kind: 'gap';
  readonly cause: GapCause;
  /** Events removed; absent when nobody can know. */
  readonly count?: number;
  /** Time of the first and the last event removed. */
  readonly from: number;
  readonly to: number;
}
