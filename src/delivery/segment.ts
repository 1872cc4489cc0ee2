/**
 * The text of a segment: many events in one row, before compression. Columns stay columns, and what events share (device,
 * topic, names of points, which are counters) is written once:
 *
 * `{ "shapes": [[device, topic, [names…], counters?]…], "events": [[shape, seq, at, [values…], more?]…, [-1, seq, event]…] }`
 *
 * What is not telemetry (news of a device, a gap) shares nothing, and stands whole, behind -1.
 * A 64-bit integer is `{"int": "digits"}`, a structure `{"json": "its text"}`. `more` holds what most events lack: `flaws` as
 * `{"index": [quality, reason]}`, `thinned`, `clock`.
 */
import {
  type DeviceEvent,
  type Event,
  type Flaw,
  type GapEvent,
  Structure,
  type TelemetryEvent,
  type Value,
} from '../model.js';
import type { NewSegment } from './commit.js';
import { type Entry, readingsOf } from './entry.js';
import type { StreamName } from './rows.js';

/** Most readings in one segment: the bound on what a crash may repeat, and on what is read back at once. */
const SEGMENT_READINGS = 50_000;

/** A value as written. */
export type StoredValue = number | string | boolean | null | { int: string } | { json: string };
/** What events of one kind share. */
export type Shape = [device: string, topic: string, names: readonly string[], counters?: readonly number[]];
/** What most events lack. */
export interface More {
  flaws?: Record<string, [Flaw['quality'], string]>;
  thinned?: number;
  clock?: 'unset';
}
/** Readings as written. */
export type StoredReadings = [shape: number, seq: number, at: number, values: readonly StoredValue[], more?: More];
/** An event that is not telemetry, as written. */
export type StoredWhole = [whole: -1, seq: number, event: DeviceEvent | GapEvent];
/** A segment as written. */
export interface StoredSegment {
  shapes: Shape[];
  events: (StoredReadings | StoredWhole)[];
}

/** What a segment keeps of an entry. */
export type Packed = Pick<Entry, 'epoch' | 'seq' | 'event'>;

/** Entries as one segment; a gap as a row of its own, so that it outlives what it stands beside. `kept` is the steady time of now, null while the clock is not set. */
export function pack(stream: StreamName, entries: readonly Packed[], kept: number | null): NewSegment {
  const [first, last] = [entries[0] as Packed, entries.at(-1) as Packed];
  if (entries.length === 1 && first.event.kind === 'gap') return packGap(stream, first, first.event, kept);
  let [readings, from, to] = [0, Number.POSITIVE_INFINITY, 0];
  for (const { event } of entries) {
    if (event.kind !== 'gap') readings += readingsOf(event);
    from = Math.min(from, event.at);
    to = Math.max(to, event.at);
  }
  const devices = new Set(entries.map(({ event }) => event.device));
  const head = {
    epoch: first.epoch,
    firstSeq: first.seq,
    lastSeq: last.seq,
    events: entries.filter(({ event }) => event.kind !== 'gap').length,
    readings,
    from,
    to,
    kept: entries.some(({ event }) => event.clock) ? null : kept,
    device: devices.size === 1 ? first.event.device || null : null,
  };
  return { stream, ...head, gap: null, text: encodeSegment(entries) };
}

function packGap(stream: StreamName, { epoch, seq }: Packed, gap: GapEvent, now: number | null): NewSegment {
  const { cause, count: events = 0, from, to, device, clock } = gap;
  const head = { epoch, firstSeq: seq, lastSeq: seq, events, readings: 0, from, to, kept: clock ? null : now };
  return { stream, ...head, device: device || null, gap: cause, text: '' };
}

/** Cuts entries where a segment would hold too many readings, and around gaps. */
export function chunked<Some extends Packed>(entries: readonly Some[]): Some[][] {
  const chunks: Some[][] = [];
  let room = 0;
  for (const entry of entries) {
    const gap = entry.event.kind === 'gap';
    room -= readingsOf(entry.event);
    if (room < 0 || gap || chunks.length === 0) {
      chunks.push([]);
      room = SEGMENT_READINGS - readingsOf(entry.event);
    }
    chunks.at(-1)?.push(entry);
    if (gap) room = -1;
  }
  return chunks;
}

/** Writes entries of one lane as the text of a segment. */
export function encodeSegment(entries: readonly Pick<Entry, 'seq' | 'event'>[]): string {
  const shapes: Shape[] = [];
  const known = new Map<readonly string[], { shape: number; device: string; topic: string }[]>();
  const events = entries.map(({ seq, event }): StoredReadings | StoredWhole => {
    if (event.kind !== 'telemetry') return [-1, seq, event];
    const stored: StoredReadings = [shapeOf(event), seq, event.at, storable(event.values)];
    const { flaws, thinned, clock } = event;
    const more: More = {};
    if (flaws) more.flaws = Object.fromEntries([...flaws].map(([i, f]) => [i, [f.quality, f.reason]]));
    if (thinned) more.thinned = thinned;
    if (clock) more.clock = clock;
    if (flaws || thinned || clock) stored.push(more);
    return stored;
  });
  return JSON.stringify({ shapes, events } satisfies StoredSegment);

  function shapeOf({ names, device, topic, counters }: TelemetryEvent): number {
    let alike = known.get(names);
    if (!alike) {
      alike = [];
      known.set(names, alike);
    }
    let found = alike.find((a) => a.device === device && a.topic === topic);
    if (!found) {
      const shape: Shape = counters ? [device, topic, names, counters] : [device, topic, names];
      found = { shape: shapes.push(shape) - 1, device, topic };
      alike.push(found);
    }
    return found.shape;
  }
}

/**
 * Reads a segment back.
 * @throws SyntaxError or TypeError when the text is not a segment
 */
export function decodeSegment(text: string, lane: Event['lane']): { seq: number; event: Event }[] {
  const { shapes, events } = JSON.parse(text) as StoredSegment;
  return events.map((stored) => {
    if (isWhole(stored)) return { seq: stored[1], event: stored[2] };
    const [shape, seq, at, values, { flaws, thinned, clock } = {}] = stored;
    const [device, topic, names, counters] = shapes[shape] as Shape;
    if (names.length !== values.length) throw new TypeError('not as many values as names');
    const event: TelemetryEvent = {
      kind: 'telemetry',
      device,
      at,
      lane,
      topic,
      names,
      values: values.map(restored),
      ...(flaws && { flaws: restoredFlaws(flaws) }),
      ...(counters && { counters }),
      ...(thinned && { thinned }),
      ...(clock && { clock }),
    };
    return { seq, event };
  });
}

/** The same, or undefined when it cannot be read. */
export function readSegment(
  text: string | undefined,
  lane: Event['lane'],
): ReturnType<typeof decodeSegment> | undefined {
  try {
    return text === undefined ? undefined : decodeSegment(text, lane);
  } catch {
    return undefined;
  }
}

/** True for what is not telemetry among stored events. */
export function isWhole(stored: StoredReadings | StoredWhole): stored is StoredWhole {
  return stored[0] === -1;
}

function storable(values: readonly Value[]): readonly StoredValue[] {
  return values.some(isWrapped) ? values.map(wrapped) : (values as readonly StoredValue[]);
}

/** True for what JSON itself would not give back as it was. */
function isWrapped(value: Value): value is bigint | Structure {
  return typeof value === 'bigint' || (typeof value === 'object' && value !== null);
}

function wrapped(value: Value): StoredValue {
  if (!isWrapped(value)) return value;
  return typeof value === 'bigint' ? { int: value.toString() } : { json: value.text };
}

function restored(value: StoredValue): Value {
  if (value === null || typeof value !== 'object') return value;
  return 'int' in value ? BigInt(value.int) : new Structure(value.json);
}

function restoredFlaws(flaws: NonNullable<More['flaws']>): Map<number, Flaw> {
  return new Map(Object.entries(flaws).map(([index, [quality, reason]]) => [Number(index), { quality, reason }]));
}
