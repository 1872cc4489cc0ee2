/** The points of one device that are due at the same time, compiled once and kept: drivers and encoders cache by the identity of its arrays. */
import type { Decoded, Point } from '../model.js';
import { compileScaling, type Scaling, withFactors } from '../scaling.js';

/**
 * What a driver brought must be what was asked for: a value or a flaw for each of so many points.
 * @throws Error, in words for the driver's author, when it is not
 */
export function checkSamples({ values, flaws, at }: Decoded & { readonly at?: number }, count: number): void {
  if (at !== undefined && !Number.isFinite(at)) throw new Error(`the driver gave values of the time ${at}`);
  if (values.length !== count) throw new Error(`the driver gave ${values.length} values for ${count} points`);
  for (let index = 0; index < count; index++) {
    const value = values[index];
    if (value === undefined || (value === null && !flaws?.has(index)))
      throw new Error(`the driver gave neither a value nor a flaw for point ${index} of ${count}`);
    if (typeof value === 'object' && value !== null && typeof value.text !== 'string')
      throw new Error(`the driver gave an object, and no structure, for point ${index} of ${count}`);
  }
  if (!flaws) return;
  for (const index of flaws.keys())
    if (!(index >= 0 && index < count)) throw new Error(`the driver gave a flaw for point ${index} of ${count}`);
}

/** How many reduced lists are kept; points that come and go in ever new combinations must not fill the memory. */
const MOST_REDUCED = 64;

export class DueSet {
  /** What to read: the due points, and the scale factors that they need. */
  readonly points: readonly Point[];
  readonly scaling: Scaling;
  readonly #reduced = new Map<string, readonly Point[]>();

  /** `all` are the points of the device, among which scale factors are looked for. */
  constructor(due: readonly Point[], all: readonly Point[]) {
    this.points = withFactors(due, all);
    this.scaling = compileScaling(this.points);
  }

  /** The points that the scaling gives, less those at the given ascending indexes; the same array for the same indexes. */
  without(indexes: readonly number[]): readonly Point[] {
    const key = indexes.join();
    let points = this.#reduced.get(key);
    if (!points) {
      if (this.#reduced.size >= MOST_REDUCED) this.#reduced.clear();
      points = this.scaling.points.filter((_, index) => !indexes.includes(index));
      this.#reduced.set(key, points);
    }
    return points;
  }
}
