/**
 * Times taken before the clock was set, made right. Within a boot all starts count by one monotonic clock; so the start that learns the
 * time knows how wrong each of them was, itself and those before it.
 */
import type { Event } from '../model.js';
import type { TimeBase } from '../ops/clock.js';
import type { SegmentHead } from './rows.js';
import { isWhole, type StoredSegment, type StoredWhole } from './segment.js';

/** A start of the outbox: what its times were counted from while its clock was not set (null: not known). */
export interface Start {
  readonly epoch: number;
  readonly boot: string | null;
  readonly zero: number | null;
  /** What to add to its times that are marked `unset`, in milliseconds; null until that is known. */
  readonly correction: number | null;
}

/** Times are right; or count by this boot's clock, and may yet be corrected; or nobody will ever know how wrong they are. */
export type Frame = 'right' | 'open' | 'lost';

/** What is known of the clocks of all starts that left something behind. */
export class Corrections {
  readonly #starts = new Map<number, Start>();
  #boot: string | undefined;

  /** @param starts the present one last */
  constructor(starts: readonly Start[]) {
    this.reload(starts);
  }

  /** Takes what is known from the file, and forgets what was never written to it. */
  reload(starts: readonly Start[]): void {
    for (const start of starts) this.#starts.set(start.epoch, start);
    this.#boot = starts.at(-1)?.boot ?? undefined;
  }

  /** What to add to the marked times of a start; undefined while nobody knows. */
  of(epoch: number): number | undefined {
    return this.#starts.get(epoch)?.correction ?? undefined;
  }

  /** How the times of a row count. */
  frameOf({ kept, epoch }: SegmentHead): Frame {
    if (kept !== null) return 'right';
    return this.#starts.get(epoch)?.boot === this.#boot ? 'open' : 'lost';
  }

  /** The head with its times counted as those of another start of its frame. */
  countedAs(head: SegmentHead, epoch: number): SegmentHead {
    if (this.frameOf(head) !== 'open') return head;
    const shift = Math.round((this.#starts.get(epoch)?.zero ?? 0) - (this.#starts.get(head.epoch)?.zero ?? 0));
    return { ...head, from: head.from + shift, to: head.to + shift };
  }

  /** The clock is set: `base` is right. Gives the starts whose correction is known from now on. */
  learn({ boot, zero }: TimeBase): Start[] {
    const learnt = [...this.#starts.values()].flatMap((start): Start[] =>
      start.correction === null && start.boot === boot && start.zero !== null
        ? [{ ...start, correction: Math.round(zero - start.zero) }]
        : [],
    );
    for (const start of learnt) this.#starts.set(start.epoch, start);
    return learnt;
  }
}

/** Times of stored events, made right in their place: marked ones get `correction` milliseconds more, and lose the mark. */
export function correctStored({ events }: StoredSegment, correction: number | undefined): void {
  if (correction === undefined) return;
  for (const [i, stored] of events.entries())
    if (isWhole(stored)) stored[2] = corrected(stored[2], correction) as StoredWhole[2];
    else if (stored[4]?.clock) {
      const [shape, seq, at, values, { clock: _, ...more }] = stored;
      events[i] = [shape, seq, at + correction, values, more];
    }
}

/** The event with `correction` milliseconds added to its times, and without the mark; one that has no mark is given back as it is. */
export function corrected(event: Event, correction: number | undefined): Event {
  if (!event.clock || correction === undefined) return event;
  const { clock: _, ...rest } = event;
  const at = event.at + correction;
  if (rest.kind !== 'gap') return { ...rest, at };
  return { ...rest, at, from: rest.from + correction, to: rest.to + correction };
}
