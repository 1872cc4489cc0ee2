/**
 * The pace of the backlog: after an outage live data flows at once, and what waited follows without getting in its way. Three limits hold
 * together: a share of the window, a rate, and what the upstream's own answers say. Acknowledgements that take much longer than they can, and
 * every "later", narrow the window; quick ones widen it again, step by step (AIMD).
 */

/** Milliseconds by which an acknowledgement may always be slower than the quickest. */
const TOLERANCE = 25;
/** Seconds' worth of readings that may go at once after a pause. */
const BURST = 0.5;

/** How the backlog is held back. */
export interface PaceOptions {
  /** Most unacknowledged messages of the upstream. */
  readonly window: number;
  /** Share of the window that the backlog may take. */
  readonly maxShare: number;
  /** Most readings a second; undefined: as fast as the upstream takes them. */
  readonly maxRate: number | undefined;
}

export class Pace {
  readonly #options: PaceOptions;
  readonly #widest: number;
  #width: number;
  #quickest = Number.POSITIVE_INFINITY;
  #tokens: number;
  #filledAt: number | undefined;

  constructor(options: PaceOptions) {
    this.#options = options;
    this.#widest = Math.max(1, Math.floor(options.window * options.maxShare));
    this.#width = this.#widest;
    this.#tokens = (options.maxRate ?? 0) * BURST;
  }

  /** True when another message of the backlog may go. Times are monotonic milliseconds. */
  allows(inFlight: number, now: number): boolean {
    const { maxRate } = this.#options;
    if (inFlight >= Math.floor(this.#width)) return false;
    if (maxRate === undefined) return true;
    const seconds = (now - (this.#filledAt ?? now)) / 1000;
    this.#filledAt = now;
    this.#tokens = Math.min(maxRate * BURST, this.#tokens + seconds * maxRate);
    return this.#tokens > 0;
  }

  /** A message of the backlog went. A large one may overdraw; the next waits the longer. */
  sent(readings: number): void {
    if (this.#options.maxRate !== undefined) this.#tokens -= readings;
  }

  /** A message, whichever lane, was acknowledged after so many milliseconds. */
  acknowledged(latency: number): void {
    // The quickest is forgotten slowly: the way to the broker may have become longer.
    this.#quickest = Math.min(latency, this.#quickest * 1.001);
    if (latency > 2 * this.#quickest + TOLERANCE) this.#width = Math.max(1, this.#width * 0.9);
    else this.#width = Math.min(this.#widest, this.#width + 1 / this.#width);
  }

  /** The upstream asks for less. */
  refused(): void {
    this.#width = Math.max(1, this.#width / 2);
  }
}
