/**
 * Thinning: what gives way when an outage outlasts the disk. Time is cut into buckets, and of each point each bucket keeps its smallest, its
 * largest and its last value, at their true times; of a counter the first and the last; of texts, switches and structures every change. What is bad or
 * uncertain stays. An event keeps its number and loses values; one that loses all of them goes. What is whole, among telemetry, is a gap.
 */
import {
  isWhole,
  type Shape,
  type StoredReadings,
  type StoredSegment,
  type StoredValue,
  type StoredWhole,
} from './segment.js';

/** Milliseconds that a bucket of the first level spans; each level doubles it. */
const FIRST_BUCKET = 10_000;
/** The widest buckets span five years. */
export const MOST_LEVELS = 24;

/** Milliseconds that a bucket of a level spans; level 0 is as it was read. */
export function bucketOf(level: number): number {
  return FIRST_BUCKET * 2 ** (level - 1);
}

/** What thinning left, and what it took. */
export interface Thinned {
  readonly segment: StoredSegment;
  /** Values left. */
  readonly readings: number;
  /** Whole events, and values, that are gone. */
  readonly gone: { readonly events: number; readonly readings: number };
}

/** Joins segments, oldest first, into one, with buckets of the given level. */
export function thin(segments: readonly StoredSegment[], level: number): Thinned {
  const { shapes, events } = joined(segments);
  const { keep, starts } = choose(shapes, events, bucketOf(level));
  const left: StoredSegment['events'] = [];
  let readings = 0;
  const gone = { events: 0, readings: 0 };
  for (const [e, event] of events.entries()) {
    if (isWhole(event)) {
      left.push(event);
      continue;
    }
    const start = starts[e] as number;
    const values = event[3].map((value, i) => (keep[start + i] === 1 ? value : null));
    const [had, has] = [count(event[3]), count(values)];
    gone.readings += had - has;
    readings += has;
    if (has === had) left.push(event);
    else if (has > 0 || event[4]?.flaws)
      left.push([event[0], event[1], event[2], values, { ...event[4], thinned: bucketOf(level) }]);
    else gone.events++;
  }
  return { segment: { shapes, events: left }, readings, gone };
}

/** One point of one device, bucket by bucket. Places are positions among all values of all events. */
class Series {
  readonly #counter: boolean;
  readonly #keep: Uint8Array;
  #bucket = Number.NaN;
  #first = -1;
  #least = -1;
  #most = -1;
  #last = -1;
  #leastValue: Numeric = 0;
  #mostValue: Numeric = 0;
  #lastValue: StoredValue = null;

  constructor(counter: boolean, keep: Uint8Array) {
    this.#counter = counter;
    this.#keep = keep;
  }

  take(place: number, value: StoredValue, bucket: number): void {
    const numeric = isNumeric(value);
    if (!numeric && textOf(value) !== textOf(this.#lastValue)) this.#keep[place] = 1;
    if (bucket !== this.#bucket) {
      this.close();
      this.#bucket = bucket;
      this.#first = place;
      this.#least = -1;
      this.#most = -1;
    }
    if (numeric && (this.#least < 0 || isLess(value, this.#leastValue)))
      [this.#least, this.#leastValue] = [place, value];
    if (numeric && (this.#most < 0 || isLess(this.#mostValue, value))) [this.#most, this.#mostValue] = [place, value];
    this.#last = place;
    this.#lastValue = value;
  }

  /** Ends the bucket: what stands for it is kept. */
  close(): void {
    if (this.#last < 0) return;
    this.#keep[this.#last] = 1;
    if (this.#counter) this.#keep[this.#first] = 1;
    else if (this.#least >= 0) this.#keep[this.#least] = this.#keep[this.#most] = 1;
  }
}

/** Which values stay. Those of event `e` begin at `starts[e]`. */
function choose(shapes: readonly Shape[], events: StoredSegment['events'], width: number) {
  const starts: number[] = [];
  let places = 0;
  for (const event of events) {
    starts.push(places);
    if (!isWhole(event)) places += event[3].length;
  }
  const keep = new Uint8Array(places);
  const known = new Map<string, Series>();
  const series = shapes.map(([device, topic, names, counters = []]) =>
    names.map((name, index) => {
      const key = JSON.stringify([device, topic, name]);
      const found = known.get(key) ?? new Series(counters.includes(index), keep);
      known.set(key, found);
      return found;
    }),
  );
  for (const [e, event] of events.entries()) {
    if (isWhole(event)) continue;
    const [shape, , at, values, more] = event;
    const start = starts[e] as number;
    const bucket = Math.floor(at / width);
    for (let i = 0; i < values.length; i++) {
      if (more?.flaws?.[i]) keep[start + i] = 1;
      const value = values[i] as StoredValue;
      if (value !== null) series[shape]?.[i]?.take(start + i, value, bucket);
    }
  }
  for (const one of known.values()) one.close();
  return { keep, starts };
}

/** Segments as one, oldest first; alike shapes become one. */
export function joined(segments: readonly StoredSegment[]): StoredSegment {
  const shapes: Shape[] = [];
  const known = new Map<string, number>();
  const events: (StoredReadings | StoredWhole)[] = [];
  for (const segment of segments) {
    const places = segment.shapes.map((shape) => {
      const key = JSON.stringify(shape);
      const place = known.get(key) ?? shapes.push(shape) - 1;
      known.set(key, place);
      return place;
    });
    for (const event of segment.events)
      events.push(isWhole(event) ? event : ([places[event[0]], ...event.slice(1)] as StoredReadings));
  }
  return { shapes, events };
}

function count(values: readonly StoredValue[]): number {
  return values.reduce<number>((sum, value) => (value === null ? sum : sum + 1), 0);
}

type Numeric = number | { int: string };

function isNumeric(value: StoredValue): value is Numeric {
  return typeof value === 'number' || (typeof value === 'object' && value !== null && 'int' in value);
}

/** What two structures are compared by; all else is compared as it is. */
function textOf(value: StoredValue): StoredValue {
  return typeof value === 'object' && value !== null && 'json' in value ? value.json : value;
}

function isLess(a: Numeric, b: Numeric): boolean {
  return exact(a) < exact(b);
}

function exact(value: Numeric): number | bigint {
  return typeof value === 'number' ? value : BigInt(value.int);
}
