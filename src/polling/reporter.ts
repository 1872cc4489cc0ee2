/** Makes batches of what was read. A point that cannot be read says so once, and again when the reason changes or it recovers. */
import type { Batch, Device, Flaw, Point, Samples, Value } from '../model.js';
import type { DueSet } from './due-set.js';

export class Reporter {
  /** Points that are bad, and the reason that was told. */
  readonly bad = new Map<Point, string>();
  readonly #device: Device;
  readonly #onBatch: (batch: Batch) => void;

  constructor(device: Device, onBatch: (batch: Batch) => void) {
    this.#device = device;
    this.#onBatch = onBatch;
  }

  /** Tells one read that was answered. Gives true when the set of bad points, or a reason, changed. */
  report(set: DueSet, samples: Samples): boolean {
    const { values, flaws } = set.scaling.apply(samples);
    if (flaws === undefined && this.bad.size === 0) {
      this.#tell(set.scaling.points, values, undefined);
      return false;
    }
    return this.#sift(set, values, flaws);
  }

  /** Tells that none of the points can be read. */
  lose(points: readonly Point[], reason: string): void {
    const flaw: Flaw = { quality: 'bad', reason };
    const flaws = new Map<number, Flaw>();
    for (const [index, point] of points.entries()) {
      flaws.set(index, flaw);
      this.bad.set(point, reason);
    }
    this.#tell(points, new Array<Value>(points.length).fill(null), flaws);
  }

  /** Leaves out what is bad for a reason that was told already. */
  #sift(set: DueSet, values: Value[], flaws: Map<number, Flaw> | undefined): boolean {
    const { points } = set.scaling;
    let changed = false;
    for (const point of this.bad.keys()) {
      const index = set.indexOf(point);
      if (index === undefined || flaws?.get(index)?.quality === 'bad') continue;
      this.bad.delete(point);
      changed = true;
    }
    const told: number[] = [];
    for (const [index, { quality, reason }] of flaws ?? []) {
      const point = points[index];
      if (quality !== 'bad' || !point) continue;
      if (this.bad.get(point) === reason) {
        told.push(index);
      } else {
        this.bad.set(point, reason);
        changed = true;
      }
    }
    if (told.length === 0) this.#tell(points, values, flaws);
    else if (told.length < points.length) this.#tellRest(set, values, flaws, told);
    return changed;
  }

  #tellRest(set: DueSet, values: Value[], flaws: Map<number, Flaw> | undefined, told: number[]): void {
    told.sort((a, b) => a - b);
    let left: Map<number, Flaw> | undefined;
    const rest: Value[] = [];
    let skip = 0;
    for (let index = 0; index < values.length; index++) {
      if (told[skip] === index) {
        skip++;
        continue;
      }
      const flaw = flaws?.get(index);
      if (flaw) {
        left ??= new Map();
        left.set(rest.length, flaw);
      }
      rest.push(values[index] as Value);
    }
    this.#tell(set.without(told), rest, left);
  }

  #tell(points: readonly Point[], values: Value[], flaws: Map<number, Flaw> | undefined): void {
    this.#onBatch({ device: this.#device, at: Date.now(), mono: performance.now(), points, values, flaws });
  }
}
