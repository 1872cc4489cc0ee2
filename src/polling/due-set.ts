/** The points of one device that are due at the same time, compiled once and kept: drivers and encoders cache by the identity of its arrays. */
import type { Point } from '../model.js';
import { compileScaling, type Scaling, withFactors } from '../scaling.js';

/** How many reduced lists are kept; points that come and go in ever new combinations must not fill the memory. */
const MOST_REDUCED = 64;

export class DueSet {
  /** What to read: the due points, and the scale factors that they need. */
  readonly points: readonly Point[];
  readonly scaling: Scaling;
  readonly #reduced = new Map<string, readonly Point[]>();
  #indexes: Map<Point, number> | undefined;

  /** `all` are the points of the device, among which scale factors are looked for. */
  constructor(due: readonly Point[], all: readonly Point[]) {
    this.points = withFactors(due, all);
    this.scaling = compileScaling(this.points);
  }

  /** Index of a point among those that the scaling gives. */
  indexOf(point: Point): number | undefined {
    this.#indexes ??= new Map(this.scaling.points.map((each, index) => [each, index]));
    return this.#indexes.get(point);
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
