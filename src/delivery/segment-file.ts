/**
 * One upstream's outbox on disk: an SQLite file of segments (Message Store). All of it is synchronous and runs in the store's
 * disk thread, where an `fsync` that takes half a second delays nobody.
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { TidegateError } from '../errors.js';
import type { TimeBase } from '../ops/clock.js';
import { isDamage } from '../ops/damage.js';
import type { Database } from '../ops/sqlite.js';
import { deflated, inflated } from './body.js';
import type { Limits, Removable, Removed } from './budget.js';
import type { Commit, Committed, NewSegment, Requeue, Requeued, StoredRow } from './commit.js';
import { Corrections, corrected, type Start } from './correction.js';
import type { Ledger, Totals } from './counters.js';
import { type Opened, openParts } from './database.js';
import {
  addRejected,
  type Kept,
  keptIn,
  type Rejected,
  rejectedEvent,
  shrinkRejected,
  takeRejected,
} from './rejected-table.js';
import { bytesInUse, type Content, type Extent, headOf, oldestOf, type Row, STREAMS, type StreamName } from './rows.js';
import { openSound, replaceDamaged, type Salvage } from './salvage.js';
import { chunked, pack } from './segment.js';
import { beginStart, learnTime, readStarts } from './starts.js';

/** An open outbox file. */
export class SegmentFile {
  readonly epoch: number;
  /** This start, and those before it that left something. */
  readonly starts: readonly Start[];
  readonly #path: string;
  #limits: Limits;
  #opened: Opened;
  readonly #salvages: Salvage[] = [];
  readonly #lost: Removed[] = [];
  readonly #lastId: Record<StreamName, number> = { alarm: 0, live: 0 };
  /** Rows up to these are on their way out. */
  readonly #served: Record<StreamName, number> = { alarm: 0, live: 0 };
  readonly #corrections = new Corrections([]);
  #removable: Removable | undefined;

  /** @throws TidegateError OUTBOX_OPEN */
  constructor(path: string, limits: Limits, base: TimeBase) {
    this.#path = path;
    this.#limits = limits;
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o750 });
      const { opened, salvage } = openSound(path, (db) => this.#open(db));
      this.#opened = opened;
      if (salvage) this.#salvages.push(salvage);
      this.starts = this.#use(({ db, rows }) => rows.atomically(() => beginStart(db, rows, base)));
      this.epoch = (this.starts.at(-1) as Start).epoch;
      this.#corrections.reload(this.starts);
      this.#goOn();
    } catch (error) {
      throw new TidegateError('OUTBOX_OPEN', `cannot open the outbox ${path}: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  /** Set once when the file turned out to be damaged, and this is the one that replaces it. */
  takeSalvage(): Salvage | undefined {
    return this.#salvages.pop();
  }

  /** What turned out to be lost in a damaged file since the last call. */
  takeLost(): Removed[] {
    return this.#lost.splice(0);
  }

  /** What waits in a stream. */
  extent(stream: StreamName): Extent {
    return this.#use(({ rows }) => rows.extent(stream, this.#corrections));
  }

  /** Counts since the file was made. */
  counters(): Ledger['totals'] {
    return this.#opened.ledger.totals;
  }

  bytes(): number {
    return bytesInUse(this.#opened.db);
  }

  /** Events that the upstream refused for good, and that are kept. */
  rejected(): Kept {
    return this.#use(({ db }) => keptIn(db));
  }

  /** Bytes by which the file may grow before something gives way. */
  room(): number {
    return this.#opened.budget.room;
  }

  /**
   * Writes segments in one transaction, making room first where the budget asks for it.
   * @throws the database's own error (SQLITE_FULL, SQLITE_IOERR, …); nothing is written then
   */
  commit({ segments, removable, expireBefore, settled, rejected, requeue, learnt }: Commit): Committed {
    const contents = segments.map(contentOf);
    this.#removable = removable;
    return this.#write(({ db, page, budget, ledger }): Committed => {
      const own = this.#own(removable);
      if (learnt) learnTime(db, this.#corrections, learnt);
      const removed = expireBefore === undefined ? [] : budget.expire(own, expireBefore);
      // Gaps need none of it: they are few, and small.
      const needed = contents.reduce(
        (sum, { body }) => sum + (body ? (Math.ceil(body.length / page) + 2) * page : 0),
        0,
      );
      const missing = needed - budget.free;
      let forgotten = missing > 0 ? shrinkRejected(db, missing) : 0;
      const room = needed > 0 ? budget.makeRoom(needed, own) : { removed: [], fits: true };
      removed.push(...room.removed);
      const ids = room.fits ? segments.map((segment, i) => this.#insert(segment, contents[i] as Content)) : undefined;
      ledger.add(settled, removed);
      const requeued = requeue && room.fits ? this.#requeue(requeue) : undefined;
      if (requeued) forgotten += requeued.forgotten;
      const kept = this.#reject(rejected);
      return {
        ids,
        removed,
        bytes: this.bytes(),
        room: this.room(),
        oldest: this.#oldest(),
        rejected: { ...kept, forgotten: kept.forgotten + forgotten },
        requeued: requeued?.segments,
      };
    });
  }

  /** One slice of thinning, between other requests. Gives what is gone, or undefined when no slice is due. */
  thin(): Removed | undefined {
    const removable = this.#removable;
    if (!removable || !this.#opened.budget.wantsThinning) return undefined;
    return this.#write(({ budget, ledger }) => {
      const removed = budget.thinSlice(this.#own(removable));
      if (removed) ledger.add(undefined, [removed]);
      return removed;
    });
  }

  /** Joins some small rows, between other requests. Gives true when there may be more. */
  join(): boolean {
    const removable = this.#removable;
    if (!removable) return false;
    return this.#write(({ budget }) => budget.join(this.#own(removable)));
  }

  /** Carries a slice over from a damaged file, of one stream or of any, between other requests. Gives true when there is more. */
  carry(stream?: StreamName): boolean {
    if (!this.#opened.carrier.has(stream)) return false;
    const lost = this.#write(({ budget, carrier }) => {
      budget.forget();
      return carrier.carry(stream);
    });
    this.#lost.push(...lost);
    return this.#opened.carrier.has(stream);
  }

  /** The first row after `after` and not beyond `upTo`; null while a damaged file still holds it, of which a slice is carried then. */
  next(stream: StreamName, after: number, upTo: number): StoredRow | undefined | null {
    const first = `SELECT * FROM ${stream} WHERE id > ? AND id <= ? ORDER BY id LIMIT 1`;
    const row = this.#use(({ db, carrier }) =>
      db.prepare<number[], Row>(first).get(after, Math.min(upTo, carrier.upTo(stream))),
    );
    if (!row) {
      if (this.#opened.carrier.upTo(stream) >= upTo) return undefined;
      this.carry(stream);
      return null;
    }
    this.#served[stream] = Math.max(this.#served[stream], row.id);
    return {
      id: row.id,
      ...headOf(row, this.#corrections),
      gap: row.gap,
      text: row.body ? inflated(row.body) : undefined,
    };
  }

  /** Deletes rows whose events are all settled, and keeps what was refused for good. */
  remove(stream: StreamName, ids: readonly number[], ends: Partial<Totals>, rejected: readonly Rejected[]): Kept {
    return this.#write(({ rows, ledger }) => {
      for (const id of ids) rows.delete(stream, id);
      ledger.add({ alarm: {}, live: {}, [stream]: ends }, []);
      return this.#reject(rejected);
    });
  }

  /** Removes some of what waits in a stream, and leaves a gap; nothing yet while a slice is carried. Gives undefined when there is no more. */
  purge(stream: StreamName, rows: Removable[StreamName]): Removed | undefined {
    if (this.#opened.carrier.has(stream)) {
      this.carry(stream);
      return { stream, cause: 'purged', events: 0, readings: 0 };
    }
    const none = { after: 0, upTo: 0, settled: [] };
    const own = this.#own({ alarm: none, live: none, [stream]: rows });
    return this.#write(({ budget, ledger }) => {
      const gone = budget.purge(stream, own);
      if (gone) ledger.add(undefined, [gone]);
      return gone;
    });
  }

  /** Forgets what was refused for good. Gives how many events. */
  purgeRejected(): number {
    return this.#write(({ db }) => takeRejected(db, Number.MAX_SAFE_INTEGER, -1).length);
  }

  /** Replaces a row by what of it is still unsettled, in its place, and notes how the rest ended. */
  rewrite(stream: StreamName, id: number, segment: NewSegment, ends: Partial<Totals>): void {
    this.#write(({ rows, ledger }) => {
      rows.delete(stream, id);
      rows.insert(stream, id, segment, contentOf(segment));
      ledger.add({ alarm: {}, live: {}, [stream]: ends }, []);
    });
  }

  /** Keeps within other limits from now on. */
  limit(limits: Limits): void {
    this.#limits = limits;
    this.#opened.carrier.close();
    this.#opened = this.#use(({ db }) => this.#open(db));
  }

  close(): void {
    this.#opened.carrier.close();
    try {
      this.#use(({ rows }) => rows.finish());
    } catch {
      // What is not written is counted at the next start.
    }
    this.#opened.db.close();
  }

  /** Does something with the file. Where that meets damage, a fresh file takes its place, and it is done again there. */
  #use<Result>(work: (opened: Opened) => Result): Result {
    try {
      return work(this.#opened);
    } catch (error) {
      if (!isDamage(error)) throw error;
      const { db, rows, carrier } = this.#opened;
      carrier.close();
      const known = { lastIds: this.#lastId, rows };
      const open = (fresh: Database): Opened => this.#open(fresh);
      const { opened, salvage } = replaceDamaged(this.#path, db, open, (error as Error).message, known);
      this.#opened = opened;
      this.#salvages.push(salvage);
      this.#goOn();
      return work(this.#opened);
    }
  }

  /** Numbers go on above all there are, here and in a damaged file. */
  #goOn(): void {
    while (this.#opened.carrier.blind) this.carry();
    for (const stream of STREAMS) this.#lastId[stream] = Math.max(this.#lastId[stream], this.extent(stream).lastId);
  }

  #open(db: Database): Opened {
    return openParts(db, this.#path, this.#limits, this.#corrections);
  }

  #oldest(): Committed['oldest'] {
    const { db } = this.#opened;
    return { alarm: oldestOf(db, 'alarm', this.#corrections), live: oldestOf(db, 'live', this.#corrections) };
  }

  /** One transaction: all of it, or nothing, in the file and in what is known of it here. */
  #write<Result>(work: (opened: Opened) => Result): Result {
    return this.#use((opened) => {
      const before = { ...this.#lastId };
      try {
        return opened.rows.atomically(() => work(opened));
      } catch (error) {
        Object.assign(this.#lastId, before);
        opened.budget.forget();
        opened.ledger.reload();
        this.#corrections.reload(readStarts(opened.db));
        throw error;
      }
    });
  }

  #reject(rejected: readonly Rejected[]): Kept {
    const { db, budget } = this.#opened;
    return addRejected(db, rejected, this.#limits.rejected, budget.free);
  }

  /** What the disk damaged is forgotten: that it was refused has been told and counted. */
  #requeue({ upTo, most, firstSeq, kept }: Requeue): { segments: Requeued[]; forgotten: number } {
    const rows = takeRejected(this.#opened.db, upTo, most);
    const events = rows.flatMap((row) => {
      const event = rejectedEvent(row);
      return event ? [corrected(event, this.#corrections.of(row.epoch))] : [];
    });
    const entries = events.map((event, i) => ({ epoch: this.epoch, seq: firstSeq + i, event }));
    const segments = STREAMS.flatMap((stream) =>
      chunked(entries.filter(({ event }) => event.lane === stream)).map((own) => {
        const segment = pack(stream, own, kept);
        const { lastSeq, gap, events } = segment;
        const row = this.#insert(segment, contentOf(segment));
        return { stream, row, lastSeq, entries: own.length, events: gap === null ? events : 0 };
      }),
    );
    return { segments, forgotten: rows.length - events.length };
  }

  #insert(segment: NewSegment, content: Content): number {
    const id = ++this.#lastId[segment.stream];
    this.#opened.rows.insert(segment.stream, id, segment, content);
    return id;
  }

  /** What the main thread lets go of, less what it was given since, and what is to be carried behind it. */
  #own(removable: Removable): Removable {
    const own = (stream: StreamName): Removable[StreamName] => {
      const { after, upTo, settled } = removable[stream];
      const { carrier } = this.#opened;
      return { settled, after: Math.max(after, this.#served[stream]), upTo: Math.min(upTo, carrier.upTo(stream)) };
    };
    return { alarm: own('alarm'), live: own('live') };
  }
}

function contentOf({ gap, text }: NewSegment): Content {
  return gap === null ? { body: deflated(text) } : { gap };
}
