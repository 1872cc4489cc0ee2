/** How much of a wire's time turns really take, beside what was planned for it. A turn costs it two additions. */
import { FULL_WIRE } from './load.js';

/** Milliseconds between two samples, and how many make up what is told: the last minute. */
export const SAMPLE_EVERY = 5_000;
const SAMPLES = 12;
/** A wire that was too busy is so until it has this much time again. */
const CALM = 0.7;

interface Sample {
  readonly at: number;
  readonly busy: number;
}

/** One connection's. All times are monotonic milliseconds (`performance.now()`). */
export class Usage {
  #turns = 0;
  /** Milliseconds that turns took; of those under way, less their beginnings. */
  #sum = 0;
  /** Milliseconds of all sessions before, by the turns that each could take at once. */
  #before = 0;
  #atOnce = 1;
  #full = false;
  readonly #samples: Sample[] = [];

  constructor(now: number) {
    this.#samples.push({ at: now, busy: 0 });
  }

  /** A session begins, which takes so many turns at once. */
  open(atOnce: number): void {
    this.#atOnce = atOnce;
  }

  begin(now: number): void {
    this.#turns++;
    this.#sum -= now;
  }

  end(now: number): void {
    this.#turns--;
    this.#sum += now;
  }

  /** The session is over, and with it the turns under way. */
  close(now: number): void {
    this.#before = this.#busy(now);
    this.#turns = 0;
    this.#sum = 0;
  }

  /** The share of the last minute, or of the time since the start; 1 is all of it. */
  share(now: number): number {
    const { at, busy } = this.#samples[0] as Sample;
    return now > at ? Math.min(1, (this.#busy(now) - busy) / (now - at)) : 0;
  }

  /** To be called once in `SAMPLE_EVERY`. Gives true when the wire has turned out to be too busy: once, until it has time again. */
  sample(now: number): boolean {
    this.#samples.push({ at: now, busy: this.#busy(now) });
    const whole = this.#samples.length > SAMPLES;
    if (whole) this.#samples.shift();
    const share = this.share(now);
    const news = whole && share > FULL_WIRE && !this.#full;
    this.#full = news || (this.#full && share > CALM);
    return news;
  }

  #busy(now: number): number {
    return this.#before + (this.#sum + this.#turns * now) / this.#atOnce;
  }
}
