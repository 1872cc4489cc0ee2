/**
 * The part of a stream that is on disk only: rows that memory has let go of, or that came back from the refused. They are read back,
 * oldest first and little at a time, when their turn to leave comes.
 */
import type { Event } from '../model.js';
import type { Removable } from './budget.js';
import type { Requeued, StoredRow } from './commit.js';
import { type Corrections, corrected } from './correction.js';
import { addTo, ENDS } from './counters.js';
import type { Entry, Segment } from './entry.js';
import { gapOf } from './gap.js';
import { EntryQueue } from './queue.js';
import type { Removal } from './removal.js';
import type { Extent, StreamName } from './rows.js';
import { readSegment } from './segment.js';
import type { StoreFile } from './store.js';

/** How few events read back from disk may wait before the next segment is fetched. */
const LOW_WATER = 256;
/** Milliseconds until a disk that refuses is asked again. */
const DISK_RETRY = 1_000;

/** What a backlog is given by its outbox. */
export interface BacklogOptions {
  readonly name: StreamName;
  readonly file: StoreFile;
  /** What the file held when it was opened. */
  readonly extent: Extent;
  /** What is known of the clocks of this start and those before. */
  readonly corrections: Corrections;
  settings(): { readonly gapTopic: string };
  ready(): void;
  failed(error: Error): void;
  /** Called with how many events a row held that cannot be read. */
  unreadable(events: number): void;
}

/** What of a stream is on disk only. */
export class Backlog {
  /** Events that were read back. */
  readonly entries = new EntryQueue();
  /** Events that were not, and the time of the oldest on disk. */
  onDisk: number;
  oldestOnDisk: number | undefined;
  /** True while the disk refuses: nothing waits for it then. */
  diskFails = false;
  /** Rows up to this id belong here; rows up to the other are read back. */
  #releasedUpTo: number;
  #loadedUpTo = 0;
  #loading: Promise<void> | undefined;
  /** Rows of taken-back events that come behind what memory holds. */
  readonly #requeued: Requeued[] = [];
  /** Of rows that are not read back: what of them was settled before. */
  readonly #settled = new Map<number, Pick<Segment, 'done' | 'ends'>>();
  #held = false;
  readonly #removal: Removal;
  readonly #options: BacklogOptions;

  constructor(options: BacklogOptions, removal: Removal) {
    this.#options = options;
    this.#removal = removal;
    this.onDisk = options.extent.events;
    this.oldestOnDisk = options.extent.oldest;
    this.#releasedUpTo = options.extent.lastId;
  }

  /** Rows on disk that nobody holds in memory. */
  get removable(): Removable[StreamName] {
    return { after: this.#loadedUpTo, upTo: this.#releasedUpTo, settled: [...this.#settled.keys()] };
  }

  /** True when nothing of it waits. */
  get drained(): boolean {
    return this.#loadedUpTo >= this.#releasedUpTo && this.entries.waiting === 0 && !this.#loading;
  }

  /** True while it is left as it is: nothing is read back or leaves, and nothing may be added. */
  get held(): boolean {
    return this.#held;
  }

  /** The oldest event; reads more back when few are left. */
  next(): Entry | undefined {
    if (this.#held) return undefined;
    if (this.entries.waiting < LOW_WATER) this.#load();
    return this.#removal.tooFarBehind ? undefined : this.entries.next();
  }

  /** Takes over a row, of which so many events wait that memory has let go of. */
  add(segment: Segment, events: number): void {
    this.onDisk += events;
    this.#releasedUpTo = segment.id;
    if (segment.done.length > 0) this.#settled.set(segment.id, segment);
  }

  /** Takes over a row of taken-back events. Its turn comes when `release` says so. */
  requeue(requeued: Requeued): void {
    this.onDisk += requeued.events;
    this.#requeued.push(requeued);
  }

  /** Rows of taken-back events may be read once nothing older is left in memory: `oldest` is the oldest there. */
  release(oldest: Entry | undefined): void {
    for (;;) {
      const [first] = this.#requeued;
      if (!first || (oldest && oldest.seq <= first.lastSeq)) return;
      this.#requeued.shift();
      this.#releasedUpTo = Math.max(this.#releasedUpTo, first.row);
    }
  }

  /** True when taken-back events have to leave before this one. */
  precedes(entry: Entry): boolean {
    return this.#requeued.some(({ lastSeq }) => entry.seq > lastSeq);
  }

  /** Counts what was removed from disk. */
  removed(events: number): void {
    this.onDisk = Math.max(0, this.onDisk - events);
  }

  /** Leaves it as it is while `work` goes on. */
  async hold(work: () => Promise<void>): Promise<void> {
    this.#held = true;
    try {
      await this.#loading;
      await work();
    } finally {
      this.#held = false;
      this.#options.ready();
    }
  }

  /**
   * Removes all rows that nobody holds in memory; gaps stay, and each leaves one. To be held meanwhile.
   * @param count is told how many events were removed
   */
  async purge(count: (events: number) => void): Promise<void> {
    const { file, name } = this.#options;
    for (let gone = await file.purge(name, this.removable); gone; gone = await file.purge(name, this.removable)) {
      this.removed(gone.events);
      count(gone.events);
    }
  }

  /** Reads back what is left of rows that are settled in part, before its turn. */
  async recall(): Promise<void> {
    const { file, name } = this.#options;
    for (const id of [...this.#settled.keys()]) {
      const row = await file.next(name, id - 1, id);
      if (row) this.#unpack(row);
    }
  }

  #load(): void {
    if (this.#loading || this.#loadedUpTo >= this.#releasedUpTo) return;
    this.#loading = this.#loadNext().finally(() => {
      this.#loading = undefined;
      this.#options.ready();
    });
  }

  async #loadNext(): Promise<void> {
    const { file, name, failed } = this.#options;
    const upTo = this.#releasedUpTo;
    try {
      const row = await file.next(name, this.#loadedUpTo, upTo);
      this.diskFails = false;
      this.#loadedUpTo = row?.id ?? upTo;
      if (row) this.#unpack(row);
      if (this.#loadedUpTo >= this.#releasedUpTo)
        this.onDisk = this.#requeued.reduce((sum, { events }) => sum + events, 0);
    } catch (error) {
      this.diskFails = true;
      failed(error as Error);
      await new Promise((resolve) => setTimeout(resolve, DISK_RETRY).unref());
    }
  }

  #unpack(row: StoredRow): void {
    if (this.#removal.has(row.id)) return;
    const { done = [], ends = {} } = this.#settled.get(row.id) ?? {};
    this.#settled.delete(row.id);
    const settled = new Set(done);
    const segment: Segment = { id: row.id, open: 0, done: [...done], ends: { ...ends } };
    for (const { seq, event: told } of this.#eventsOf(row, segment)) {
      if (settled.has(seq)) continue;
      const event = corrected(told, this.#options.corrections.of(row.epoch));
      this.entries.push({
        epoch: row.epoch,
        seq,
        event,
        born: 0,
        late: true,
        state: 'waiting',
        saving: false,
        segment,
      });
      segment.open++;
    }
    if (row.gap === null) this.removed(row.events - ENDS.reduce((sum, end) => sum + (ends[end] ?? 0), 0));
    if (segment.open === 0) this.#removal.add(segment);
  }

  #eventsOf(row: StoredRow, segment: Segment): { seq: number; event: Event }[] {
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
