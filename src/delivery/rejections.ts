/** What the upstream refused for good, on its way to the disk, where it is kept for a person to look at (Dead Letter Channel). */
import { TidegateError } from '../errors.js';
import type { GapEvent } from '../model.js';
import type { Requeue, Requeued } from './commit.js';
import type { Entry } from './entry.js';
import { merged } from './gap.js';
import type { Kept, Rejected } from './rejected-table.js';
import type { StreamName } from './rows.js';
import { encodeSegment } from './segment.js';

/** Most refused events that one transaction takes back. */
export const REQUEUED_AT_ONCE = 500;

const NO_ROOM = 'the outbox is full, or cannot use its disk: what was refused stays where it is';

/**
 * Holds refused events until a transaction takes them along, and the gaps that tell of them. Nothing waits for them: beyond a bound the
 * oldest are forgotten.
 */
export class Rejections {
  /** Events that the file keeps, and the highest id among them. */
  kept: number;
  last: number;
  /** Events that were forgotten since the start: the bound was reached, or the disk refused. */
  forgotten = 0;
  /** Most bytes that wait. */
  most: number;
  #held: Rejected[] = [];
  #size = 0;
  #gaps: Partial<Record<StreamName, GapEvent>> = {};
  /** What a person wants taken back, and how much of it one transaction took. */
  #requeue: { readonly upTo: number; moved?: number } | undefined;
  readonly #gapTopic: () => string;

  /**
   * @param most bytes that wait
   * @param kept what the file keeps already
   */
  constructor(most: number, { kept, last }: Kept, gapTopic: () => string) {
    this.most = most;
    this.kept = kept;
    this.last = last;
    this.#gapTopic = gapTopic;
  }

  /** True when some wait for the disk. */
  get waiting(): boolean {
    return this.#held.length > 0;
  }

  /** @returns gaps that must be told first, if any: times of clocks that were set and were not do not mix */
  add({ epoch, seq, event, late }: Entry, reason: string): GapEvent[] {
    const text = encodeSegment([{ seq, event }]);
    this.#held.push({ epoch, seq, stream: event.lane, at: Date.now(), late, reason, text });
    this.#size += text.length;
    this.#limit();
    if (event.kind === 'gap') return [];
    const { lane, clock } = event;
    const due = this.#gaps[lane]?.clock === clock ? [] : this.takeGaps();
    this.#gaps[lane] = merged(this.#gaps[lane], event, this.#gapTopic(), 'rejected');
    return due;
  }

  /** The gaps that tell of all since the last ones, one for each lane. */
  takeGaps(): GapEvent[] {
    const gaps = Object.values(this.#gaps);
    this.#gaps = {};
    return gaps;
  }

  /** All that wait, for a transaction. Its outcome is to be told to `stored`, or they are to be given back. */
  take(): Rejected[] {
    const held = this.#held;
    this.#held = [];
    this.#size = 0;
    return held;
  }

  /** Notes what the file keeps now, and how many it had to forget. */
  stored({ kept, last, forgotten }: Kept): void {
    this.kept = kept;
    this.last = last;
    this.forgotten += forgotten;
  }

  /**
   * Takes what was refused before now back into the outbox.
   * @param flush runs a transaction that takes `nextRequeue` along
   * @returns how many events
   * @throws TidegateError OUTBOX_STORE when the disk refuses, or is full
   */
  async requeue(flush: () => Promise<void>): Promise<number> {
    await flush();
    const upTo = this.last;
    for (let moved = 0; ; ) {
      const request: { upTo: number; moved?: number } = { upTo };
      this.#requeue = request;
      await flush();
      this.#requeue = undefined;
      if (request.moved === undefined) throw new TidegateError('OUTBOX_STORE', NO_ROOM);
      if (request.moved === 0) return moved;
      moved += request.moved;
    }
  }

  /** Part of what is to be taken back; `number` gives so many numbers for it, `kept` is as in a segment's head. */
  nextRequeue(number: (count: number) => number, kept: number | null): Requeue | undefined {
    if (!this.#requeue || this.#requeue.moved !== undefined) return undefined;
    const most = Math.min(this.kept, REQUEUED_AT_ONCE);
    return { upTo: this.#requeue.upTo, most, firstSeq: number(most), kept };
  }

  /** Notes what was taken back. */
  requeued(segments: readonly Requeued[]): void {
    if (this.#requeue) this.#requeue.moved = segments.reduce((sum, { entries }) => sum + entries, 0);
  }

  /** Forgets those that wait for the disk. Gives how many. */
  purge(): number {
    return this.take().length;
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
