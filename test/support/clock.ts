/** Clocks for what needs one: a clock that is set, and one that the test sets. */
import type { Clock } from '../../src/ops/clock.js';

/** A clock that was always set. */
export const setClock: Clock = {
  known: true,
  correction: 0,
  timeOf: (mono) => Math.round(Date.now() - performance.now() + mono),
  steadyNow: () => Date.now(),
  onKnown: (callback) => callback(0),
  stop: () => {},
};

/** A clock that starts at `start` and is set when the test says so. */
export class UnsetClock implements Clock {
  known = false;
  correction = 0;
  readonly #callbacks: ((correction: number) => void)[] = [];
  readonly #started = performance.now();

  constructor(private readonly start: number) {}

  timeOf(mono: number): number {
    return Math.round(this.start + this.correction + mono - this.#started);
  }

  steadyNow(): number {
    return this.timeOf(performance.now());
  }

  onKnown(callback: (correction: number) => void): void {
    if (this.known) callback(this.correction);
    else this.#callbacks.push(callback);
  }

  /** Sets the clock forward by `correction` milliseconds. */
  set(correction: number): void {
    this.known = true;
    this.correction = correction;
    for (const callback of this.#callbacks.splice(0)) callback(correction);
  }

  stop(): void {
    this.#callbacks.length = 0;
  }
}
