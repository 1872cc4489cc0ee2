/** Makes batches of what was read. A point that cannot be read says so once, and again when the reason changes or it recovers. */
import type { Batch, Decoded, Device, Flaw, Point, Value } from '../model.js';
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

  /**
   * Tells what was read, or pushed with the source's own time. Gives true when the set of bad points, or a reason, changed.
   */
  report(set: DueSet, samples: Decoded, at?: number): boolean {
    const { values, flaws } = set.scaling.apply(samples);
    if (flaws === undefined && this.bad.size === 0) {
      this.#tell(set.scaling.points, values, undefined, at);
      return false;
    }
    return this.#sift(set, values, flaws, at);
  }

  /** Tells that none of the points can be read. */
  lose(points: readonly Point[], reason: string): void {
    const flaw: Flaw = { quality: 'bad', reason };
    const flaws = new Map<number, Flaw>();
    for (const [index, point] of points.entries()) {
      flaws.set(index, flaw);
      this.bad.set(point, reason);
    }
    this.#tell(points, new Array<Value>(points.length).fill(null), flaws, undefined);
  }

  /** Leaves out what is bad for a reason that was told already. */
  #sift(set: DueSet, values: Value[], flaws: Map<number, Flaw> | undefined, at: number | undefined): boolean {
    const { points } = set.scaling;
    let changed = false;
    for (let index = 0; index < points.length; index++)
      if (flaws?.get(index)?.quality !== 'bad' && this.bad.delete(points[index] as Point)) changed = true;
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
    if (told.length === 0) this.#tell(points, values, flaws, at);
    else if (told.length < points.length) {
      told.sort((a, b) => a - b);
      const rest = without(values, flaws, told);
      this.#tell(set.without(told), rest.values, rest.flaws, at);
    }
    return changed;
  }

  #tell(points: readonly Point[], values: Value[], flaws: Map<number, Flaw> | undefined, at: number | undefined): void {
    if (points.length === 0) return;
    this.#onBatch({
      device: this.#device,
      at: at ?? Date.now(),
      mono: performance.now(),
      sourced: at !== undefined,
      points,
      values,
      flaws,
    });
  }
}

/** The values and flaws but for those at the given ascending indexes. */
function without(
  values: readonly Value[],
  flaws: ReadonlyMap<number, Flaw> | undefined,
  told: readonly number[],
): { values: Value[]; flaws: Map<number, Flaw> | undefined } {
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
  return { values: rest, flaws: left };
}
