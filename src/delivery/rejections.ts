/** What the upstream refused for good, on its way to the disk, where it is kept for a person to look at (Dead Letter Channel). */
import type { Entry } from './entry.js';
import type { Rejected } from './rejected-table.js';
import { encodeSegment } from './segment.js';

/** Holds refused events until a transaction takes them along. Nothing waits for them: beyond a bound the oldest are forgotten. */
export class Rejections {
  /** Events that the file keeps. */
  kept: number;
  /** Events that were forgotten since the start: the bound was reached, or the disk refused. */
  forgotten = 0;
  /** Most bytes that wait. */
  most: number;
  #held: Rejected[] = [];
  #size = 0;

  /**
   * @param most bytes
   * @param kept events that the file keeps already
   */
  constructor(most: number, kept: number) {
    this.most = most;
    this.kept = kept;
  }

  /** True when some wait for the disk. */
  get waiting(): boolean {
    return this.#held.length > 0;
  }

  add({ epoch, seq, event, late }: Entry, reason: string): void {
    const text = encodeSegment([{ seq, event }]);
    this.#held.push({ epoch, seq, stream: event.lane, at: Date.now(), late, reason, text });
    this.#size += text.length;
    this.#limit();
  }

  /** All that wait, for a transaction. Its outcome is to be told to `stored`, or they are to be given back. */
  take(): Rejected[] {
    const held = this.#held;
    this.#held = [];
    this.#size = 0;
    return held;
  }

  /** Notes how many events the file keeps now, and how many it had to forget. */
  stored({ kept, forgotten }: { readonly kept: number; readonly forgotten: number }): void {
    this.kept = kept;
    this.forgotten += forgotten;
  }

  giveBack(rejected: readonly Rejected[]): void {
    this.#held.unshift(...rejected);
    for (const { text } of rejected) this.#size += text.length;
    this.#limit();
  }

  #limit(): void {
    while (this.#size > this.most) {
      this.#size -= (this.#held.shift() as Rejected).text.length;
      this.forgotten++;
    }
  }
}
