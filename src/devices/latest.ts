/** The latest value of every point, for those who look on. Costs the flow of readings one table entry per batch. */
import type { Batch, Device, Point, Quality, Value } from '../model.js';

/** A point as it stands. */
export interface PointSnapshot {
  readonly id: string;
  readonly value: Value;
  readonly unit?: string;
  readonly quality: Quality;
  readonly reason?: string;
  /** Time of the reading, milliseconds since 1970; 0 when it was never read. */
  readonly at: number;
}

/** Remembers what came last. */
export interface Latest {
  take(batch: Batch): void;
  /** The device is gone: so is all that is known of it. */
  forget(device: Device): void;
  /** All readable points of a device, in the order of its profile. */
  points(device: Device): PointSnapshot[];
  /** Number of readings taken since the start. */
  readonly readings: number;
}

/** How many different sets of points are kept per device before the oldest is folded away. */
const SETS = 32;

/** Starts with nothing known. */
export function rememberLatest(): Latest {
  // Batches of the same read share their array of points, so the last batch of each array is all there is to know.
  const devices = new Map<Device, Known>();
  let readings = 0;
  return {
    get readings() {
      return readings;
    },
    take(batch) {
      readings += batch.values.length;
      let known = devices.get(batch.device);
      if (known === undefined) {
        known = { sets: new Map(), folded: new Map() };
        devices.set(batch.device, known);
      }
      const last = known.sets.get(batch.points);
      if (last) renew(last, batch);
      else known.sets.set(batch.points, lastOf(batch));
      if (known.sets.size > SETS) foldOldest(known);
    },
    forget: (device) => void devices.delete(device),
    points(device) {
      const { sets, folded } = devices.get(device) ?? { sets: new Map<readonly Point[], Last>(), folded: undefined };
      const latest = new Map(folded);
      for (const batch of [...sets.values()].sort(byTime)) addTo(latest, batch);
      return device.points
        .filter(({ access, kind }) => access !== 'write' && kind !== 'scale')
        .map((point) => latest.get(point.id) ?? unread(point));
    },
  };
}

/**
 * The last batch of a set of points: a copy that stays. A batch that lived on until the next one comes would be old when it dies, and so
 * a burden for the garbage collector.
 */
interface Last {
  readonly points: readonly Point[];
  readonly values: Value[];
  flaws: Batch['flaws'];
  at: number;
  mono: number;
}

const lastOf = ({ points, values, flaws, at, mono }: Batch): Last => ({ points, values: [...values], flaws, at, mono });

function renew(last: Last, { values, flaws, at, mono }: Batch): void {
  for (let index = 0; index < values.length; index++) last.values[index] = values[index] as Value;
  last.flaws = flaws;
  last.at = at;
  last.mono = mono;
}

/** What is known of a device: its last batch of each set of points, and single points from sets of before. */
interface Known {
  readonly sets: Map<readonly Point[], Last>;
  readonly folded: Map<string, PointSnapshot>;
}

function foldOldest({ sets, folded }: Known): void {
  const oldest = [...sets.values()].reduce((a, b) => (byTime(a, b) <= 0 ? a : b));
  addTo(folded, oldest);
  sets.delete(oldest.points);
}

const byTime = (a: Last, b: Last): number => a.mono - b.mono;

function addTo(latest: Map<string, PointSnapshot>, batch: Last): void {
  batch.points.forEach((point, i) => void latest.set(point.id, snapshotOf(batch, point, i)));
}

function snapshotOf(batch: Last, point: Point, index: number): PointSnapshot {
  const flaw = batch.flaws?.get(index);
  return {
    id: point.id,
    value: batch.values[index] ?? null,
    ...(point.unit === undefined ? {} : { unit: point.unit }),
    quality: flaw?.quality ?? 'good',
    ...(flaw === undefined ? {} : { reason: flaw.reason }),
    at: batch.at,
  };
}

function unread({ id, unit }: Point): PointSnapshot {
  return { id, value: null, ...(unit === undefined ? {} : { unit }), quality: 'bad', reason: 'not read yet', at: 0 };
}
