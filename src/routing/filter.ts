/** A rule with steps, run over the readings of a batch. */
import { type Batch, type Point, type Quality, Structure, type Value } from '../model.js';
import { type Band, bandFor, type LastSent } from './change.js';
import type { Exit } from './exit.js';
import type { Expression, Reading } from './expression.js';
import type { Rule } from './rule.js';

/** Tells that an expression could not be evaluated. */
export type Fail = (rule: Rule, error: unknown) => void;

/** Decides about the k-th reading of its rule. */
type Check = (k: number, value: Value, quality: Quality, mono: number) => boolean;

/** A rule with steps, for one list of points. */
export class Filter {
  /** How many readings of a batch it judges. */
  readonly size: number;
  readonly #indices: readonly number[];
  readonly #points: readonly Point[];
  readonly #slots: readonly number[];
  readonly #checks: readonly Check[];
  readonly #asks: boolean;
  readonly #remembers: boolean;
  readonly #last: LastSent;
  readonly #exits: readonly Exit[];
  readonly #reading: Reading;

  constructor(
    rule: Rule,
    last: LastSent,
    points: readonly Point[],
    indices: number[],
    exits: Exit[],
    reading: Reading,
    fail: Fail,
  ) {
    this.size = indices.length;
    this.#indices = indices;
    this.#points = indices.map((index) => points[index] as Point);
    this.#asks = rule.steps.some((step) => step.kind === 'where');
    this.#remembers = rule.steps.some((step) => step.kind === 'change');
    this.#slots = this.#remembers ? this.#points.map((point) => last.slotOf(point.id)) : [];
    this.#last = last;
    this.#exits = exits;
    this.#reading = reading;
    this.#checks = rule.steps.map((step) => {
      if (step.kind === 'where')
        return condition(step.expression, reading, indices.length, (error) => fail(rule, error));
      const bands = this.#points.map((point) => bandFor(step, point));
      return (k, value, quality, mono) => last.isNews(this.#slots[k] as number, bands[k] as Band, value, quality, mono);
    });
  }

  /** Lets the readings through that pass every step. A `change` step remembers only what passed them all: what was sent. */
  run(batch: Batch): void {
    const { values, flaws, mono } = batch;
    const reading = this.#reading;
    const checks = this.#checks;
    next: for (let k = 0; k < this.size; k++) {
      const index = this.#indices[k] as number;
      const value = values[index] as Value;
      const quality = flaws?.get(index)?.quality ?? 'good';
      if (this.#asks) {
        const point = this.#points[k] as Point;
        reading.value = value instanceof Structure ? value.toJSON() : value;
        reading.quality = quality;
        reading.point = point.id;
        reading.unit = point.unit ?? '';
      }
      for (let step = 0; step < checks.length; step++)
        if (!(checks[step] as Check)(k, value, quality, mono)) continue next;
      if (this.#remembers) this.#last.keep(this.#slots[k] as number, value, quality, mono);
      for (const exit of this.#exits) exit.add(index);
    }
  }
}

/**
 * A bad reading has no value, and asking for it fails in CEL: the reading then does not pass, which is no fault of the rule.
 * Without `at` in the expression the answer for a bad reading is the same for ever, so it is kept.
 */
function condition(expression: Expression, reading: Reading, size: number, fail: (error: unknown) => void): Check {
  const whenBad = new Array<boolean | undefined>(size).fill(undefined);
  const ask = (value: Value): boolean => {
    try {
      return expression.passes(reading);
    } catch (error) {
      if (value !== null) fail(error);
      return false;
    }
  };
  return (k, value, quality) => {
    if (value !== null || quality !== 'bad' || expression.usesTime) return ask(value);
    whenBad[k] ??= ask(value);
    return whenBad[k];
  };
}
