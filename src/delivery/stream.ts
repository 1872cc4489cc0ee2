/**
 * One sequence of events, from acceptance to acknowledgement. Young events are in memory (`fresh`), on disk too once the flush
 * window made them a segment. A segment that grows too old to be live is released: it stays on disk only, and comes back, oldest
 * first, through `stored`.
 */
import type { Event, GapCause, GapEvent } from '../model.js';
import type { Removable } from './budget.js';
import type { Requeued, StoredRow } from './commit.js';
import { type Corrections, corrected } from './correction.js';
import { addTo, ENDS, type End, type Totals } from './counters.js';
import { type Entry, type Segment, weightOf } from './entry.js';
import { gapOf, merged } from './gap.js';
import { EntryQueue } from './queue.js';
import { Removal, type RemovalOptions } from './removal.js';
import type { Extent, StreamName } from './rows.js';
import { readSegment } from './segment.js';
import type { StoreFile } from './store.js';

/** How few events read back from disk may wait before the next segment is fetched. */
const LOW_WATER = 256;

/** What a stream is given by its outbox. */
export interface StreamOptions extends RemovalOptions {
  readonly extent: Extent;
  /** What is known of the clocks of this start and those before. */
  readonly corrections: Corrections;
  settings(): { readonly window: number; readonly gapTopic: string };
  /** Called with how many events a row held that cannot be read. */
  unreadable(events: number): void;
}

/** One sequence of events, from acceptance to acknowledgement. */
export class Stream {
  readonly fresh = new EntryQueue();
  readonly stored = new EntryQueue();
  /** Events that are on disk only, and the time of the oldest on disk. */
  onDisk: number;
  oldestOnDisk: number | undefined;
  /** Bytes that `fresh` occupies, roughly. */
  weight = 0;
  /** Rows up to this id are released; rows up to the other are read back. */
  #releasedUpTo: number;
  #loadedUpTo = 0;
  #loading: Promise<void> | undefined;
  /** True while events are removed: nothing is fetched or released then. */
  #purging = false;
  /** Rows of taken-back events that come behind what `fresh` holds. */
  readonly #requeued: Requeued[] = [];
  /** Of released rows: what of them was settled before. */
  readonly #settled = new Map<number, Pick<Segment, 'done' | 'ends'>>();
  /** How events ended that were never on disk, and that no transaction has told of yet. */
  #ends: Partial<Totals> = {};
  readonly #removal: Removal;
  /** True while something that is too old to stay in memory is on its way. */
  #settling = false;
  /** True while the disk refuses: nothing waits for it then. */
  diskFails = false;
  readonly #options: StreamOptions;

  constructor(options: StreamOptions) {
    this.#options = options;
    this.onDisk = options.extent.events;
    this.oldestOnDisk = options.extent.oldest;
    this.#releasedUpTo = options.extent.lastId;
    this.#removal = new Removal(options);
  }

  /** Rows on disk that nobody holds in memory. */
  get removable(): Removable[StreamName] {
    return { after: this.#loadedUpTo, upTo: this.#releasedUpTo, settled: [...this.#settled.keys()] };
  }

  /** True when nothing older than `fresh` waits. */
  get drained(): boolean {
    return this.#loadedUpTo >= this.#releasedUpTo && this.stored.waiting === 0 && !this.#loading;
  }

  accept(entry: Entry): void {
    this.fresh.push(entry);
    this.weight += weightOf(entry.event);
  }

  /** The oldest young event that waits. With `savedOnly` it must be on disk already. */
  nextFresh(savedOnly: boolean): Entry | undefined {
    this.#releaseRequeued();
    const entry = this.#settling ? undefined : this.fresh.next();
    if (entry && this.#requeued.some(({ lastSeq }) => entry.seq > lastSeq)) return undefined;
    return entry && (entry.segment || !savedOnly) && !this.#tooFarAhead(entry) ? entry : undefined;
  }

  /** The oldest event on disk; fetches more when few are left. */
  nextStored(): Entry | undefined {
    if (this.stored.waiting < LOW_WATER) this.#load();
    const entry = this.stored.next();
    return entry && !this.#tooFarAhead(entry) ? entry : undefined;
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
    for (const queue of [this.fresh, this.stored])
      for (const entry of queue) entry.event = this.#timed(entry.event, entry.epoch);
  }

  /** Time of the oldest event, milliseconds since 1970; undefined when there is none. */
  oldest(): number | undefined {
    return this.stored.peek()?.event.at ?? (this.onDisk > 0 ? this.oldestOnDisk : this.fresh.peek()?.event.at);
  }

  /** After a lost connection: all that was sent waits again. */
  rewind(): void {
    for (const queue of [this.fresh, this.stored]) queue.rewind();
  }

  /** Young events that only memory holds. */
  inMemory(): Entry[] {
    return [...this.fresh].filter(({ segment, state }) => !segment && state !== 'done');
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
    while (!this.#purging) {
      this.#settling = false;
      this.#releaseRequeued();
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
      this.onDisk += events;
      this.#releasedUpTo = segment.id;
      if (segment.done.length > 0) this.#settled.set(segment.id, segment);
    }
  }

  /** Notes a row of taken-back events: they leave from disk, in the order of their numbers. */
  requeued(requeued: Requeued): void {
    this.onDisk += requeued.events;
    this.#requeued.push(requeued);
    this.#releaseRequeued();
  }

  /**
   * Removes all events that wait, but for those on their way; gaps stay. Those in memory are removed once `tell` has taken a gap for them,
   * those on disk leave one there.
   * @param count is told how many were removed from disk
   */
  async purge(tell: (gap: GapEvent) => Promise<void>, count: (events: number) => void): Promise<void> {
    const { file, name, ready } = this.#options;
    this.#purging = true;
    try {
      await this.#loading;
      await this.#purgeMemory(tell);
      for (let gone = await file.purge(name, this.removable); gone; gone = await file.purge(name, this.removable)) {
        this.removedFromDisk(gone.events);
        count(gone.events);
      }
      for (const id of [...this.#settled.keys()]) {
        const row = await file.next(name, id - 1, id);
        const loadedUpTo = this.#loadedUpTo;
        if (row) this.#unpack(row);
        this.#loadedUpTo = loadedUpTo;
      }
      await this.#purgeMemory(tell);
    } finally {
      this.#purging = false;
      ready();
    }
  }

  async #purgeMemory(tell: (gap: GapEvent) => Promise<void>): Promise<void> {
    const waits = ({ state, event }: Entry): boolean => state === 'waiting' && event.kind !== 'gap';
    let gap: GapEvent | undefined;
    // Their rows go once the gap is on disk: a crash tells too much rather than too little.
    await this.#removal.after(async () => {
      for (const entry of [...this.stored, ...this.fresh].filter(waits)) {
        gap = merged(gap, entry.event, this.#options.settings().gapTopic, 'purged');
        this.settle(entry, 'purged');
      }
      if (gap) await tell(gap);
    });
  }

  /** Rows of taken-back events may be read once nothing older is left in `fresh`. */
  #releaseRequeued(): void {
    for (;;) {
      const [first] = this.#requeued;
      const oldest = this.fresh.peek();
      if (!first || (oldest && oldest.seq <= first.lastSeq)) return;
      this.#requeued.shift();
      this.#releasedUpTo = Math.max(this.#releasedUpTo, first.row);
    }
  }

  /** Counts what was removed from disk. */
  removedFromDisk(events: number): void {
    this.onDisk = Math.max(0, this.onDisk - events);
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
    return { fresh: this.fresh.open(), stored: this.stored.open() + this.onDisk };
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
    for (const id of [...this.#settled.keys()]) {
      const row = await this.#options.file.next(this.#options.name, id - 1, id);
      if (row) this.#unpack(row);
    }
    const open = new Map<Segment, Entry[]>();
    for (const queue of [this.fresh, this.stored])
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

  #tooFarAhead(entry: Entry): boolean {
    return entry.segment !== undefined && this.#removal.tooFarBehind;
  }

  #queueOf(entry: Entry): EntryQueue {
    return entry.late ? this.stored : this.fresh;
  }

  #load(): void {
    if (this.#loading || this.#purging || this.#loadedUpTo >= this.#releasedUpTo) return;
    this.#loading = this.#loadNext().finally(() => {
      this.#loading = undefined;
      this.#options.ready();
    });
  }

  async #loadNext(): Promise<void> {
    const upTo = this.#releasedUpTo;
    try {
      const row = await this.#options.file.next(this.#options.name, this.#loadedUpTo, upTo);
      this.diskFails = false;
      if (row) this.#unpack(row);
      else this.#loadedUpTo = upTo;
      if (this.#loadedUpTo >= this.#releasedUpTo)
        this.onDisk = this.#requeued.reduce((sum, { events }) => sum + events, 0);
    } catch (error) {
      this.diskFails = true;
      this.#options.failed(error as Error);
      // Asked again after a while, not at once.
      await new Promise((resolve) => setTimeout(resolve, 1000).unref());
    }
  }

  #unpack(row: StoredRow): void {
    this.#loadedUpTo = row.id;
    if (this.#removal.has(row.id)) return;
    const { done = [], ends = {} } = this.#settled.get(row.id) ?? {};
    this.#settled.delete(row.id);
    const settled = new Set(done);
    const segment: Segment = { id: row.id, open: 0, done: [...done], ends: { ...ends } };
    for (const { seq, event: told } of this.#eventsOf(row, segment)) {
      if (settled.has(seq)) continue;
      const event = this.#timed(told, row.epoch);
      this.stored.push({ epoch: row.epoch, seq, event, born: 0, late: true, state: 'waiting', saving: false, segment });
      segment.open++;
    }
    if (row.gap === null) this.removedFromDisk(row.events - ENDS.reduce((sum, end) => sum + (ends[end] ?? 0), 0));
    if (segment.open === 0) this.#removal.add(segment);
  }

  #timed(event: Event, epoch: number): Event {
    return corrected(event, this.#options.corrections.of(epoch));
  }

  #eventsOf(row: StoredRow, segment: Segment): { seq: number; event: Entry['event'] }[] {
    const { settings, name, unreadable } = this.#options;
    if (row.gap === null) {
      const events = readSegment(row.text, name);
      if (events) return events;
      addTo(segment.ends, { unreadable: row.events });
      unreadable(row.events);
    }
    return [{ seq: row.lastSeq, event: gapOf(row, row.gap ?? 'unreadable', name, settings().gapTopic) }];
  }
}
