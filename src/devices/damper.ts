/** Holds what changes on and on to one piece of news a minute: neither the card nor those who listen need to know each of them. */

/** So many pieces of news in a row are told at once; a minute gives one of them back. */
const BURST = 5;
const MINUTE = 60_000;

/** Counts the news of each thing. */
export class Damper {
  readonly #told = new Map<string, number>();
  readonly #held = new Map<string, () => void>();
  readonly #wait: number;
  #timer: NodeJS.Timeout | undefined;

  /** @param wait milliseconds between two pieces of news of a thing that has had its share; all such things wait for the same moment, and share a write */
  constructor(wait = MINUTE) {
    this.#wait = wait;
  }

  /** Tells at once; or, when this thing has had its share, later, and then only what came last. */
  tell(thing: string, news: () => void): void {
    const told = this.#told.get(thing) ?? 0;
    this.#timer ??= setInterval(() => this.#tick(), this.#wait).unref();
    if (told >= BURST) {
      this.#held.set(thing, news);
      return;
    }
    this.#told.set(thing, told + 1);
    news();
  }

  /** Tells all that is held, and ends. */
  stop(): void {
    clearInterval(this.#timer);
    for (const news of this.#held.values()) news();
    this.#held.clear();
  }

  #tick(): void {
    const held = new Map(this.#held);
    this.#held.clear();
    for (const [thing, told] of this.#told)
      if (told > 1 && !held.has(thing)) this.#told.set(thing, told - 1);
      else if (!held.has(thing)) this.#told.delete(thing);
    for (const news of held.values()) news();
    if (this.#told.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
