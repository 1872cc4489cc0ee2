/** From what a device pushes to what a read would have brought: sets of points that are made once, scale factors that are remembered. */
import type { Decoded, Flaw, Point, Push, Value } from '../model.js';
import { checkSamples, DueSet } from './due-set.js';

/** What was pushed, as a read of that set. */
export interface Pushed {
  readonly set: DueSet;
  readonly decoded: Decoded;
}

/** How many sets are kept; points that come in ever new combinations must not fill the memory. */
const MOST_SETS = 64;

/** Takes the pushes of one subscription. */
export class PushReader {
  readonly #points: readonly Point[];
  readonly #all: DueSet;
  /** By a hash of their indexes; of two that share one, the later is kept. */
  readonly #sets = new Map<number, { readonly indexes: readonly number[]; readonly set: DueSet }>();
  readonly #factors: Factors | undefined;

  /** `all` is what was subscribed to. */
  constructor(all: DueSet) {
    this.#all = all;
    this.#points = all.points;
    if (all.points.some(({ scaleFrom }) => scaleFrom !== undefined)) this.#factors = new Factors(all.points);
  }

  /**
   * The set is the same object for the same indexes, as long as it is kept.
   * @throws Error, in words for the driver's author, when the push is not what a push must be
   */
  read(push: Push): Pushed {
    const { indexes } = push;
    checkSamples(push, indexes?.length ?? this.#points.length);
    const set = this.#setOf(indexes);
    if (!this.#factors) return { set, decoded: push };
    const whole = this.#factors.complete(push);
    return { set: this.#setOf(whole.indexes), decoded: whole };
  }

  #setOf(indexes: readonly number[] | undefined): DueSet {
    if (!indexes) return this.#all;
    let hash = 0;
    for (let i = 0; i < indexes.length; i++) hash = (Math.imul(hash, 31) + (indexes[i] as number)) | 0;
    const known = this.#sets.get(hash);
    if (known && sameNumbers(known.indexes, indexes)) return known.set;
    let last = -1;
    for (const index of indexes) {
      if (!Number.isInteger(index) || index <= last || index >= this.#points.length) {
        const most = this.#points.length - 1;
        throw new Error(`the driver pushed point ${index} after ${last}: indexes ascend from 0 to at most ${most}`);
      }
      last = index;
    }
    if (this.#sets.size >= MOST_SETS) this.#sets.clear();
    const chosen = indexes.map((index) => this.#points[index] as Point);
    const set = new DueSet(chosen, chosen);
    this.#sets.set(hash, { indexes: [...indexes], set });
    return set;
  }
}

function sameNumbers(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** A raw value as it came last. */
interface Raw {
  readonly value: Value;
  readonly flaw: Flaw | undefined;
}

const NOT_TOLD: Raw = { value: null, flaw: { quality: 'bad', reason: 'not told yet' } };

/** A device pushes what changed: a value without its scale factor, and a factor without the values that it scales. */
class Factors {
  /** Index of a point → that of its factor; index of a factor → those of the points that it scales. */
  readonly #factorOf = new Map<number, number>();
  readonly #usersOf = new Map<number, number[]>();
  readonly #last = new Map<number, Raw>();

  constructor(points: readonly Point[]) {
    const places = new Map(points.map(({ id }, index) => [id, index]));
    for (const [index, { scaleFrom }] of points.entries()) {
      const factor = scaleFrom === undefined ? undefined : places.get(scaleFrom);
      if (factor === undefined) continue;
      this.#factorOf.set(index, factor);
      this.#usersOf.set(factor, [...(this.#usersOf.get(factor) ?? []), index]);
    }
  }

  /** Adds what belongs to what was pushed, as it came last: factors to values, and to factors the values that were told before. */
  complete({ indexes, values, flaws }: Push): Decoded & { readonly indexes: readonly number[] } {
    const whole = new Map<number, Raw>();
    for (const [place, value] of values.entries())
      whole.set(indexes?.[place] ?? place, { value, flaw: flaws?.get(place) });
    for (const [index, raw] of whole)
      if (this.#factorOf.has(index) || this.#usersOf.has(index)) this.#last.set(index, raw);
    for (const index of [...whole.keys()]) {
      for (const user of this.#usersOf.get(index) ?? []) {
        const raw = this.#last.get(user);
        if (raw) whole.set(user, raw);
      }
      const factor = this.#factorOf.get(index);
      if (factor !== undefined) whole.set(factor, this.#last.get(factor) ?? NOT_TOLD);
    }
    const ordered = [...whole].sort(([a], [b]) => a - b);
    const left = ordered.flatMap(([, { flaw }], place): [number, Flaw][] => (flaw ? [[place, flaw]] : []));
    return {
      indexes: ordered.map(([index]) => index),
      values: ordered.map(([, { value }]) => value),
      ...(left.length > 0 && { flaws: new Map(left) }),
    };
  }
}
