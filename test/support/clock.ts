/** Clocks for what needs one: a clock that is set, and one that the test sets. */
import { randomUUID } from 'node:crypto';
import type { Clock, TimeBase } from '../../src/ops/clock.js';

/** A clock that was always set. */
export const setClock: Clock = {
  known: true,
  base: { boot: 'this one', zero: Date.now() - performance.now() },
  timeOf: (mono) => Math.round(Date.now() - performance.now() + mono),
  steadyNow: () => Date.now(),
  onKnown: (callback) => {
    callback();
    return () => {};
  },
  stop: () => {},
};

/** A clock that is set when the test says so; until then it takes the zero of the monotonic clock for `zero`. */
export class UnsetClock implements Clock {
  known = false;
  base: TimeBase;
  readonly #callbacks = new Set<() => void>();

  constructor(zero: number, boot: string = randomUUID()) {
    this.base = { boot, zero };
  }

  timeOf(mono: number): number {
    const sinceBoot = Number(process.hrtime.bigint()) / 1e6 - performance.now() + mono;
    return Math.round(this.base.zero + sinceBoot);
  }

  steadyNow(): number {
    return this.timeOf(performance.now());
  }

  onKnown(callback: () => void): () => void {
    if (this.known) callback();
    else this.#callbacks.add(callback);
    return () => this.#callbacks.delete(callback);
  }

  /** Sets the clock forward by `correction` milliseconds. */
  set(correction: number): void {
    this.known = true;
    this.base = { ...this.base, zero: this.base.zero + correction };
    for (const callback of this.#callbacks) callback();
    this.#callbacks.clear();
  }

  stop(): void {
    this.#callbacks.clear();
  }
}
