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
      // Taken out and put in again: the order of the sets is the order of time.
      known.sets.delete(batch.points);
      known.sets.set(batch.points, batch);
      if (known.sets.size > SETS) foldOldest(known);
    },
    forget: (device) => void devices.delete(device),
    points(device) {
      const { sets, folded } = devices.get(device) ?? { sets: new Map<readonly Point[], Batch>(), folded: undefined };
      const latest = new Map(folded);
      for (const batch of sets.values()) addTo(latest, batch);
      return device.points
        .filter(({ access, kind }) => access !== 'write' && kind !== 'scale')
        .map((point) => latest.get(point.id) ?? unread(point));
    },
  };
}

/** What is known of a device: its last batch of each set of points, and single points from sets of before. */
interface Known {
  readonly sets: Map<readonly Point[], Batch>;
  readonly folded: Map<string, PointSnapshot>;
}

function foldOldest({ sets, folded }: Known): void {
  for (const [points, batch] of sets) {
    addTo(folded, batch);
    sets.delete(points);
    return;
  }
}

function addTo(latest: Map<string, PointSnapshot>, batch: Batch): void {
  batch.points.forEach((point, i) => void latest.set(point.id, snapshotOf(batch, point, i)));
}

function snapshotOf(batch: Batch, point: Point, index: number): PointSnapshot {
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
