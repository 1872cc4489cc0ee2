/**
 * One sequence of events, from acceptance to acknowledgement. Young events are in memory (`fresh`), on disk too once the flush
 * window made them a segment. A segment that grows too old to be live is let go of: it is on disk only, and comes back, oldest
 * first, through the backlog.
 */
import type { GapCause, GapEvent } from '../model.js';
import { Backlog, type BacklogOptions } from './backlog.js';
import type { Requeued } from './commit.js';
import { corrected } from './correction.js';
import { addTo, type End, type Totals } from './counters.js';
import { type Entry, type Segment, weightOf } from './entry.js';
import { merged } from './gap.js';
import { EntryQueue } from './queue.js';
import { Removal, type RemovalOptions } from './removal.js';
import type { StoreFile } from './store.js';

/** What a stream is given by its outbox. */
export interface StreamOptions extends RemovalOptions, BacklogOptions {
  settings(): { readonly window: number; readonly gapTopic: string };
}

/** One sequence of events, from acceptance to acknowledgement. */
export class Stream {
  readonly fresh = new EntryQueue();
  /** What is on disk only. */
  readonly backlog: Backlog;
  /** Bytes that `fresh` occupies, roughly. */
  weight = 0;
  /** How events ended that were never on disk, and that no transaction has told of yet. */
  #ends: Partial<Totals> = {};
  readonly #removal: Removal;
  /** True while something that is too old to stay in memory is on its way. */
  #settling = false;
  readonly #options: StreamOptions;

  constructor(options: StreamOptions) {
    this.#options = options;
    this.#removal = new Removal(options);
    this.backlog = new Backlog(options, this.#removal);
  }

  accept(entry: Entry): void {
    this.fresh.push(entry);
    this.weight += weightOf(entry.event);
  }

  /** The oldest young event that waits. With `savedOnly` it must be on disk already. */
  nextFresh(savedOnly: boolean): Entry | undefined {
    this.backlog.release(this.fresh.peek());
    const entry = this.#settling ? undefined : this.fresh.next();
    if (!entry || this.backlog.precedes(entry)) return undefined;
    return (entry.segment ? !this.#removal.tooFarBehind : !savedOnly) ? entry : undefined;
  }

  markSent(entry: Entry): void {
    this.#queueOf(entry).markSent(entry);
    if (entry.segment) this.#removal.noteSent();
  }

  /** Makes one sent event wait again, in its place. */
  markWaiting(entry: Entry): void {
    this.#queueOf(entry).markWaiting(entry);
  }

  /** Settles an event for good; its segment is removed with its last one. */
  settle(entry: Entry, end: End): void {
    this.#queueOf(entry).markDone(entry);
    if (!entry.late) this.weight -= weightOf(entry.event);
    const { segment, event } = entry;
    if (entry.saving) entry.ended = end;
    else if (event.kind !== 'gap') addTo(segment?.ends ?? this.#ends, { [end]: 1 });
    if (!segment) return;
    segment.done.push(entry.seq);
    if (--segment.open === 0) this.#removal.add(segment);
  }

  /**
   * The clock was set: what is marked `unset` gets its true time, here at once and on disk when it is read back. Messages on their way are
   * not changed.
   */
  correct(): void {
    const { corrections } = this.#options;
    for (const queue of [this.fresh, this.backlog.entries])
      for (const entry of queue) entry.event = corrected(entry.event, corrections.of(entry.epoch));
  }

  /** Time of the oldest event, milliseconds since 1970; undefined when there is none. */
  oldest(): number | undefined {
    const { entries, onDisk, oldestOnDisk } = this.backlog;
    return entries.peek()?.event.at ?? (onDisk > 0 ? oldestOnDisk : this.fresh.peek()?.event.at);
  }

  /** After a lost connection: all that was sent waits again. */
  rewind(): void {
    for (const queue of [this.fresh, this.backlog.entries]) queue.rewind();
  }

  /** Young events that only memory holds. */
  inMemory(): Entry[] {
    return [...this.fresh].filter(({ segment, state }) => !segment && state !== 'done');
  }

  /** Monotonic time of acceptance of the oldest of them that is not on its way to disk; infinite when there is none. */
  oldestUnsaved(): number {
    for (const entry of this.fresh) if (!entry.segment && !entry.saving && entry.state !== 'done') return entry.born;
    return Number.POSITIVE_INFINITY;
  }

  /** Notes that these entries are now the row `id`. */
  saved(entries: readonly Entry[], id: number): void {
    const segment: Segment = { id, open: 0, done: [], ends: {} };
    for (const entry of entries) {
      entry.saving = false;
      entry.segment = segment;
      if (entry.state === 'done') segment.done.push(entry.seq);
      else segment.open++;
      this.#countEnd(entry, segment.ends);
    }
    if (segment.open === 0) this.#removal.add(segment);
  }

  /** Notes that these entries could not be written. */
  notSaved(entries: readonly Entry[]): void {
    for (const entry of entries) {
      entry.saving = false;
      this.#countEnd(entry, this.#ends);
    }
  }

  /** Counts an event that ended while it was being written: with the row that holds it, or else at once. */
  #countEnd({ ended, event }: Entry, ends: Partial<Totals>): void {
    if (ended && event.kind !== 'gap') addTo(ends, { [ended]: 1 });
  }

  /**
   * Lets go of segments that are older than `bornBefore`, or whatever their age while `fresh` outweighs `weight`. What is on its way
   * has to be settled first: until then nothing more is sent, or a slow upstream would fill the memory.
   */
  release(bornBefore: number, weight: number): void {
    while (!this.backlog.held) {
      this.#settling = false;
      this.backlog.release(this.fresh.peek());
      const segment = this.fresh.peek()?.segment;
      if (!segment) return;
      let count = 0;
      let freed = 0;
      let events = 0;
      let youngest = 0;
      let onItsWay = false;
      for (const entry of this.fresh) {
        if (entry.segment !== segment && entry.state !== 'done') break;
        onItsWay ||= entry.state === 'sent';
        if (entry.state === 'waiting') {
          freed += weightOf(entry.event);
          if (entry.event.kind !== 'gap') events++;
        }
        youngest = entry.born;
        count++;
      }
      if (youngest >= bornBefore && this.weight <= weight) return;
      this.#settling = onItsWay;
      if (onItsWay) return;
      this.fresh.drop(count);
      this.weight -= freed;
      this.backlog.add(segment, events);
    }
  }

  /** Notes a row of taken-back events: they leave from disk, in the order of their numbers. */
  requeued(requeued: Requeued): void {
    this.backlog.requeue(requeued);
    this.backlog.release(this.fresh.peek());
  }

  /**
   * Removes all events that wait, but for those on their way; gaps stay. Those in memory are removed once `tell` has taken a gap for them,
   * those on disk leave one there.
   * @param count is told how many were removed from disk
   */
  purge(tell: (gap: GapEvent) => Promise<void>, count: (events: number) => void): Promise<void> {
    return this.backlog.hold(async () => {
      await this.#purgeMemory(tell);
      await this.backlog.purge(count);
      await this.backlog.recall();
      await this.#purgeMemory(tell);
    });
  }

  async #purgeMemory(tell: (gap: GapEvent) => Promise<void>): Promise<void> {
    const waits = ({ state, event }: Entry): boolean => state === 'waiting' && event.kind !== 'gap';
    let gap: GapEvent | undefined;
    // Their rows go once the gap is on disk: a crash tells too much rather than too little.
    await this.#removal.after(async () => {
      for (const entry of [...this.backlog.entries, ...this.fresh].filter(waits)) {
        gap = merged(gap, entry.event, this.#options.settings().gapTopic, 'purged');
        this.settle(entry, 'purged');
      }
      if (gap) await tell(gap);
    });
  }

  /** How events ended since the last call. What could not be told is to be given back. */
  takeEnds(): Partial<Totals> {
    const ends = this.#ends;
    this.#ends = {};
    return ends;
  }

  giveBackEnds(ends: Partial<Totals>): void {
    addTo(this.#ends, ends);
  }

  /** Events that are not settled, gaps left out. */
  waiting(): { fresh: number; stored: number } {
    return { fresh: this.fresh.open(), stored: this.backlog.entries.open() + this.backlog.onDisk };
  }

  /**
   * Replaces the oldest waiting events in memory by one gap until `fresh` is within `weight`.
   * @returns how many events were given up
   */
  giveUp(weight: number, cause: GapCause): number {
    let last: Entry | undefined;
    let gap: GapEvent | undefined;
    let count = 0;
    if (this.weight <= weight) return 0;
    for (const entry of [...this.fresh]) {
      if (this.weight <= weight) break;
      if (entry.state !== 'waiting' || entry.segment || entry.saving) continue;
      if (entry.event.kind === 'gap' && entry.event.cause !== cause) continue;
      if (last) this.settle(last, 'dropped');
      last = entry;
      if (entry.event.kind !== 'gap') count++;
      gap = merged(gap, entry.event, this.#options.settings().gapTopic, cause);
      this.weight += weightOf(gap) - weightOf(entry.event);
      entry.event = gap;
    }
    addTo(this.#ends, { dropped: count });
    return count;
  }

  /** Writes back what is left of segments that are settled in part, so that a clean stop leaves no duplicates, and awaits removals. */
  async tidy(pack: (entries: Entry[]) => Parameters<StoreFile['rewrite']>[2]): Promise<void> {
    await this.backlog.recall();
    const open = new Map<Segment, Entry[]>();
    for (const queue of [this.fresh, this.backlog.entries])
      for (const entry of queue) {
        if (!entry.segment || entry.segment.done.length === 0 || entry.state === 'done') continue;
        const entries = open.get(entry.segment);
        if (entries) entries.push(entry);
        else open.set(entry.segment, [entry]);
      }
    for (const [segment, entries] of open) {
      await this.#options.file.rewrite(this.#options.name, segment.id, pack(entries), segment.ends);
      segment.ends = {};
    }
    await this.removeSettled();
  }

  /** Removes settled rows that the disk refused to remove before. */
  removeSettled(): Promise<void> {
    return this.#removal.run();
  }

  #queueOf(entry: Entry): EntryQueue {
    return entry.late ? this.backlog.entries : this.fresh;
  }
}
