/** How much somebody may do: so much per second, and at once what was not used before, up to a bound (a token bucket). */
export class Allowance {
  readonly #perSecond: number;
  readonly #most: number;
  #left: number;
  #at = performance.now();

  /** It begins with `most`. */
  constructor(perSecond: number, most: number) {
    this.#perSecond = perSecond;
    this.#most = most;
    this.#left = most;
  }

  /** What may be spent now; below 0 when more than that was spent. */
  get left(): number {
    const now = performance.now();
    this.#left = Math.min(this.#left + ((now - this.#at) * this.#perSecond) / 1_000, this.#most);
    this.#at = now;
    return this.#left;
  }

  /** Spends, also what is not there. False when nothing is left then. */
  spend(amount: number): boolean {
    this.#left = this.left - amount;
    return this.#left > 0;
  }

  /** Milliseconds until so much is left. */
  until(amount: number): number {
    return Math.max(0, amount - this.left) * (1_000 / this.#perSecond);
  }
}
