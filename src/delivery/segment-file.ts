/**
 * One upstream's outbox on disk: an SQLite file of segments (Message Store). All of it is synchronous and runs in the store's
 * worker thread, where an `fsync` that takes half a second delays nobody.
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type Database from 'better-sqlite3';
import { TidegateError } from '../errors.js';
import type { GapCause } from '../model.js';
import type { TimeBase } from '../ops/clock.js';
import { Budget, type Limits, type Removable, type Removed } from './budget.js';
import { Corrections, corrected, type Start } from './correction.js';
import { type Ledger, openLedger, type Settled, type Totals } from './counters.js';
import {
  addRejected,
  type Kept,
  keptIn,
  type Rejected,
  rejectedEvent,
  shrinkRejected,
  takeRejected,
} from './rejected-table.js';
import {
  bringUpToDate,
  bytesInUse,
  type Content,
  deleteRow,
  type Extent,
  extentOf,
  formatOf,
  headOf,
  insertRow,
  oldestOf,
  type Row,
  type SegmentHead,
  STREAMS,
  type StreamName,
} from './rows.js';
import { openSound, type Salvage } from './salvage.js';
import { chunked, pack } from './segment.js';
import { beginStart, learnTime, readStarts } from './starts.js';

const PAGE = 4096;

/** A segment to write, or a gap. */
export interface NewSegment extends SegmentHead {
  readonly stream: StreamName;
  readonly gap: GapCause | null;
  /** Empty for a gap. */
  readonly text: string;
}

/** A row as read back: a segment with its text, or the gap that stands where segments were removed. */
export interface StoredRow extends SegmentHead {
  readonly id: number;
  readonly gap: GapCause | null;
  /** Undefined for a gap, and for a body that cannot be unpacked. */
  readonly text: string | undefined;
}

/** A group commit. */
export interface Commit {
  readonly segments: readonly NewSegment[];
  readonly removable: Removable;
  /** What was written before this time has expired; milliseconds since 1970. */
  readonly expireBefore?: number;
  /** What was settled in memory since the last commit. */
  readonly settled: Settled;
  /** What was refused for good since then. */
  readonly rejected: readonly Rejected[];
  /** The clock was set: times count from here. */
  readonly learnt?: TimeBase;
  /** What of it is to wait again, as segments behind all others. */
  readonly requeue?: Requeue;
}

/** Takes refused events back. */
export interface Requeue {
  /** Up to this id, at most so many. */
  readonly upTo: number;
  readonly most: number;
  /** The number of the first; those that follow count on from there. */
  readonly firstSeq: number;
  /** As in a segment's head. */
  readonly kept: number | null;
}

/** A segment of what waits again. */
export interface Requeued {
  readonly stream: StreamName;
  readonly row: number;
  readonly lastSeq: number;
  /** Entries, and those of them that are not gaps. */
  readonly entries: number;
  readonly events: number;
}

/** What a commit did. */
export interface Committed {
  /** Row ids, in the order of the segments given; undefined when nothing may give way for them. */
  readonly ids: readonly number[] | undefined;
  /** What had to go to keep the budget, thinning since the last commit included. */
  readonly removed: readonly Removed[];
  /** Bytes of the file in use, and by how many more it may grow before something gives way. */
  readonly bytes: number;
  readonly room: number;
  /** Time of the oldest event on disk, milliseconds since 1970. */
  readonly oldest: Readonly<Record<StreamName, number | undefined>>;
  readonly rejected: Kept;
  /** What waits again; undefined when nothing was asked for, or there was no room for anything. */
  readonly requeued: readonly Requeued[] | undefined;
}

/** An open outbox file. */
export class SegmentFile {
  readonly epoch: number;
  /** This start, and those before it that left something. */
  readonly starts: readonly Start[];
  /** What was saved of a damaged file, if this is the one that replaces it. */
  readonly salvage: Salvage | undefined;
  readonly #db: Database.Database;
  readonly #path: string;
  #limits: Limits;
  #budget: Budget;
  readonly #ledger: Ledger;
  readonly #lastId: Record<StreamName, number>;
  /** Rows up to these are on their way out. */
  readonly #served: Record<StreamName, number> = { alarm: 0, live: 0 };
  readonly #corrections: Corrections;
  #removable: Removable | undefined;
  #thinned: Removed[] = [];

  /** @throws TidegateError OUTBOX_OPEN */
  constructor(path: string, limits: Limits, base: TimeBase) {
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o750 });
      const { db, salvage } = openSound(path, (opened) => prepare(opened, limits.size));
      this.#db = db;
      this.salvage = salvage;
      this.starts = this.#db.transaction(() => beginStart(this.#db, base))();
      this.epoch = (this.starts.at(-1) as Start).epoch;
      this.#corrections = new Corrections(this.starts);
    } catch (error) {
      throw new TidegateError('OUTBOX_OPEN', `cannot open the outbox ${path}: ${(error as Error).message}`, {
        cause: error,
      });
    }
    this.#path = path;
    this.#limits = limits;
    this.#budget = this.#budgetFor(limits);
    this.#ledger = openLedger(this.#db);
    this.#lastId = { alarm: this.extent('alarm').lastId, live: this.extent('live').lastId };
  }

  /** What waits in a stream. */
  extent(stream: StreamName): Extent {
    return extentOf(this.#db, stream, this.#corrections);
  }

  /** Counts since the file was made. */
  counters(): Ledger['totals'] {
    return this.#ledger.totals;
  }

  bytes(): number {
    return bytesInUse(this.#db);
  }

  /** Events that the upstream refused for good, and that are kept. */
  rejected(): Kept {
    return keptIn(this.#db);
  }

  /** Bytes by which the file may grow before something gives way. */
  room(): number {
    return this.#budget.room;
  }

  /**
   * Writes segments in one transaction, making room first where the budget asks for it.
   * @throws the database's own error (SQLITE_FULL, SQLITE_IOERR, …); nothing is written then
   */
  commit({ segments, removable, expireBefore, settled, rejected, requeue, learnt }: Commit): Committed {
    const contents = segments.map(contentOf);
    const own = this.#own(removable);
    this.#removable = removable;
    const done = this.#write((): Committed => {
      if (learnt) learnTime(this.#db, this.#corrections, learnt);
      const removed = expireBefore === undefined ? [] : this.#budget.expire(own, expireBefore);
      const needed = contents.reduce((sum, { body }) => sum + (Math.ceil((body?.length ?? 0) / PAGE) + 2) * PAGE, 0);
      const missing = needed - this.#budget.free;
      const forgotten = missing > 0 ? shrinkRejected(this.#db, missing) : 0;
      const room = needed > 0 ? this.#budget.makeRoom(needed, own) : { removed: [], fits: true };
      removed.push(...room.removed);
      const ids = room.fits ? segments.map((segment, i) => this.#insert(segment, contents[i] as Content)) : undefined;
      this.#ledger.add(settled, removed);
      const requeued = requeue && room.fits ? this.#requeue(requeue) : undefined;
      const kept = this.#reject(rejected);
      return {
        ids,
        removed: [...this.#thinned, ...removed],
        bytes: this.bytes(),
        room: this.room(),
        oldest: this.#oldest(),
        rejected: { ...kept, forgotten: kept.forgotten + forgotten },
        requeued,
      };
    });
    this.#thinned = [];
    return done;
  }

  /** One slice of thinning, between other requests. Gives true when another is due. */
  thin(): boolean {
    if (!this.#removable || !this.#budget.wantsThinning) return false;
    const own = this.#own(this.#removable);
    const gone = this.#write(() => {
      const removed = this.#budget.thinSlice(own);
      if (removed) this.#ledger.add(undefined, [removed]);
      return removed;
    });
    if (gone) this.#thinned.push(gone);
    return gone !== undefined && this.#budget.wantsThinning;
  }

  /** The first row after `after` and not beyond `upTo`. */
  next(stream: StreamName, after: number, upTo: number): StoredRow | undefined {
    const row = this.#db
      .prepare<[number, number], Row>(`SELECT * FROM ${stream} WHERE id > ? AND id <= ? ORDER BY id LIMIT 1`)
      .get(after, upTo);
    if (!row) return undefined;
    this.#served[stream] = Math.max(this.#served[stream], row.id);
    return {
      id: row.id,
      ...headOf(row, this.#corrections),
      gap: row.gap,
      text: row.body ? unpack(row.body) : undefined,
    };
  }

  /** Deletes rows whose events are all settled, and keeps what was refused for good. */
  remove(stream: StreamName, ids: readonly number[], ends: Partial<Totals>, rejected: readonly Rejected[]): Kept {
    return this.#write(() => {
      for (const id of ids) deleteRow(this.#db, stream, id);
      this.#ledger.add({ alarm: {}, live: {}, [stream]: ends }, []);
      return this.#reject(rejected);
    });
  }

  /** Removes some of what waits in a stream, and leaves a gap. Gives undefined when there is no more. */
  purge(stream: StreamName, rows: Removable[StreamName]): Removed | undefined {
    const none = { after: 0, upTo: 0, settled: [] };
    const own = this.#own({ alarm: none, live: none, [stream]: rows });
    return this.#write(() => {
      const gone = this.#budget.purge(stream, own);
      if (gone) this.#ledger.add(undefined, [gone]);
      return gone;
    });
  }

  /** Forgets what was refused for good. Gives how many events. */
  purgeRejected(): number {
    return this.#write(() => takeRejected(this.#db, Number.MAX_SAFE_INTEGER, -1).length);
  }

  /** Replaces a row by what of it is still unsettled, in its place, and notes how the rest ended. */
  rewrite(stream: StreamName, id: number, segment: NewSegment, ends: Partial<Totals>): void {
    this.#write(() => {
      deleteRow(this.#db, stream, id);
      insertRow(this.#db, stream, id, segment, contentOf(segment));
      this.#ledger.add({ alarm: {}, live: {}, [stream]: ends }, []);
    });
  }

  /** Keeps within other limits from now on. */
  limit(limits: Limits): void {
    bound(this.#db, limits.size);
    this.#limits = limits;
    this.#budget = this.#budgetFor(limits);
  }

  close(): void {
    this.#db.close();
  }

  #oldest(): Committed['oldest'] {
    return {
      alarm: oldestOf(this.#db, 'alarm', this.#corrections),
      live: oldestOf(this.#db, 'live', this.#corrections),
    };
  }

  /** One transaction: all of it, or nothing, in the file and in what is known of it here. */
  #write<Result>(work: () => Result): Result {
    const before = { ...this.#lastId };
    try {
      return this.#db.transaction(work)();
    } catch (error) {
      Object.assign(this.#lastId, before);
      this.#ledger.reload();
      this.#corrections.reload(readStarts(this.#db));
      throw error;
    }
  }

  #reject(rejected: readonly Rejected[]): Kept {
    return addRejected(this.#db, rejected, this.#limits.rejected, this.#budget.free);
  }

  #budgetFor(limits: Limits): Budget {
    return new Budget(this.#db, this.#path, limits, 2 * logPages(limits.size) * PAGE, this.#corrections);
  }

  #requeue({ upTo, most, firstSeq, kept }: Requeue): Requeued[] {
    const entries = takeRejected(this.#db, upTo, most).map((row, i) => {
      return {
        epoch: this.epoch,
        seq: firstSeq + i,
        event: corrected(rejectedEvent(row), this.#corrections.of(row.epoch)),
      };
    });
    return STREAMS.flatMap((stream) =>
      chunked(entries.filter(({ event }) => event.lane === stream)).map((own) => {
        const segment = pack(stream, own, kept);
        const { lastSeq, gap, events } = segment;
        const row = this.#insert(segment, contentOf(segment));
        return { stream, row, lastSeq, entries: own.length, events: gap === null ? events : 0 };
      }),
    );
  }

  #insert(segment: NewSegment, content: Content): number {
    const id = ++this.#lastId[segment.stream];
    insertRow(this.#db, segment.stream, id, segment, content);
    return id;
  }

  /** What the main thread lets go of, less what it was given since. */
  #own({ alarm, live }: Removable): Removable {
    return {
      alarm: { ...alarm, after: Math.max(alarm.after, this.#served.alarm) },
      live: { ...live, after: Math.max(live.after, this.#served.live) },
    };
  }
}

/** Settings of a connection. `synchronous` falls back to NORMAL whenever a WAL file is opened again, so all are set at each open. */
function prepare(db: Database.Database, size: number): void {
  formatOf(db); // before anything is changed
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.pragma('cache_size = -1024');
  bringUpToDate(db);
  bound(db, size);
}

/** Bounds file and log. A file that is larger already stays so, and grows no more. */
function bound(db: Database.Database, size: number): void {
  db.pragma(`wal_autocheckpoint = ${logPages(size)}`);
  db.pragma(`journal_size_limit = ${logPages(size) * PAGE}`);
  db.pragma(`max_page_count = ${Math.floor(size / PAGE)}`);
}

/** Pages of the write-ahead log before it is carried into the file. */
function logPages(size: number): number {
  return Math.min(1000, Math.max(64, Math.floor(size / PAGE / 32)));
}

function contentOf({ gap, text }: NewSegment): Content {
  return gap === null ? { body: deflateRawSync(text, { level: 5 }) } : { gap };
}

function unpack(body: Buffer): string | undefined {
  try {
    return inflateRawSync(body).toString('utf8');
  } catch {
    return undefined;
  }
}
