/**
 * One upstream's outbox on disk: an SQLite file of segments (Message Store). All of it is synchronous and runs in the store's
 * worker thread, where an `fsync` that takes half a second delays nobody.
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import Database from 'better-sqlite3';
import { TidegateError } from '../errors.js';
import type { Event, GapCause } from '../model.js';

/** The two sequences kept on disk. What is stored of `live` leaves as the backlog. */
export type StreamName = Event['lane'];
export const STREAMS: readonly StreamName[] = ['alarm', 'live'];

const FORMAT = 1;
const PAGE = 4096;

/** What a segment holds, beside its text. Times are milliseconds since 1970. */
export interface SegmentHead {
  readonly epoch: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly events: number;
  readonly readings: number;
  readonly from: number;
  readonly to: number;
}

/** A segment to write. */
export interface NewSegment extends SegmentHead {
  readonly stream: StreamName;
  readonly text: string;
}

/** A row as read back: a segment with its text, or the gap that stands where segments were removed. */
export interface StoredRow extends SegmentHead {
  readonly id: number;
  readonly gap: GapCause | null;
  /** Undefined for a gap, and for a body that cannot be unpacked. */
  readonly text: string | undefined;
}

/** What waits on disk in one stream. */
export interface Extent {
  readonly segments: number;
  readonly events: number;
  readonly readings: number;
  /** Highest row id; 0 when empty. */
  readonly lastId: number;
  /** Time of the oldest event; undefined when empty. */
  readonly from: number | undefined;
}

/** Row ids after the first and up to the second. */
export type Removable = Readonly<Record<StreamName, { after: number; upTo: number }>>;

/** What a commit did. */
export interface Committed {
  /** Row ids, in the order of the segments given. */
  readonly ids: number[];
  /** What had to go to keep the budget. */
  readonly removed: readonly { stream: StreamName; segments: number; events: number; readings: number }[];
  /** Bytes of the file in use. */
  readonly bytes: number;
}

interface Row {
  id: number;
  epoch: number;
  first_seq: number;
  last_seq: number;
  events: number;
  readings: number;
  from_at: number;
  to_at: number;
  gap: GapCause | null;
  body: Buffer | null;
}

/** An open outbox file. */
export class SegmentFile {
  readonly epoch: number;
  readonly #db: Database.Database;
  readonly #size: number;
  readonly #reserve: number;
  readonly #lastId: Record<StreamName, number>;

  /**
   * @param size most bytes on disk, write-ahead log included
   * @throws TidegateError OUTBOX_OPEN
   */
  constructor(path: string, size: number) {
    const logPages = Math.min(1000, Math.max(64, Math.floor(size / PAGE / 32)));
    this.#size = size;
    this.#reserve = 2 * logPages * PAGE;
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o750 });
      this.#db = new Database(path, { timeout: 5000 });
      // `synchronous` falls back to NORMAL whenever a WAL file is opened again, so it is set at each open.
      this.#db.pragma('journal_mode = WAL');
      this.#db.pragma('synchronous = FULL');
      this.#db.pragma(`wal_autocheckpoint = ${logPages}`);
      this.#db.pragma(`journal_size_limit = ${logPages * PAGE}`);
      this.#db.pragma(`max_page_count = ${Math.floor(size / PAGE)}`);
      this.#db.pragma('cache_size = -1024');
      this.epoch = this.#db.transaction(() => prepareTables(this.#db))();
    } catch (error) {
      throw new TidegateError('OUTBOX_OPEN', `cannot open the outbox ${path}: ${(error as Error).message}`, {
        cause: error,
      });
    }
    this.#lastId = { alarm: this.extent('alarm').lastId, live: this.extent('live').lastId };
  }

  /** What waits in a stream. Reads every row's head: for the start and for status, not for the hot path. */
  extent(stream: StreamName): Extent {
    return extentOf(this.#db, stream);
  }

  /** Bytes of the file in use. */
  bytes(): number {
    const pages = this.#db.pragma('page_count', { simple: true }) as number;
    return (pages - (this.#db.pragma('freelist_count', { simple: true }) as number)) * PAGE;
  }

  /**
   * Writes segments in one transaction, removing the oldest rows first where the budget asks for it.
   * @param removable which rows nobody holds in memory, so that they may be removed
   * @throws the database's own error (SQLITE_FULL, SQLITE_IOERR, …); nothing is written then
   */
  commit(segments: readonly NewSegment[], removable: Removable): Committed {
    const bodies = segments.map(({ text }) => deflateRawSync(text, { level: 5 }));
    const before = { ...this.#lastId };
    try {
      return this.#db.transaction((): Committed => {
        const needed = bodies.reduce((sum, body) => sum + (Math.ceil(body.length / PAGE) + 2) * PAGE, 0);
        const removed = this.#makeRoom(needed, removable);
        const ids = segments.map((segment, i) =>
          this.#insert(segment.stream, ++this.#lastId[segment.stream], segment, null, bodies[i] as Buffer),
        );
        return { ids, removed, bytes: this.bytes() };
      })();
    } catch (error) {
      Object.assign(this.#lastId, before);
      throw error;
    }
  }

  /** The first row after `after` and not beyond `upTo`. */
  next(stream: StreamName, after: number, upTo: number): StoredRow | undefined {
    const row = this.#db
      .prepare<[number, number], Row>(`SELECT * FROM ${stream} WHERE id > ? AND id <= ? ORDER BY id LIMIT 1`)
      .get(after, upTo);
    return row && { id: row.id, ...headOf(row), gap: row.gap, text: row.body ? unpack(row.body) : undefined };
  }

  /** Deletes rows whose events are all settled. */
  remove(stream: StreamName, ids: readonly number[]): void {
    const statement = this.#db.prepare(`DELETE FROM ${stream} WHERE id = ?`);
    this.#db.transaction(() => {
      for (const id of ids) statement.run(id);
    })();
  }

  /** Replaces a row by what of it is still unsettled, in its place. */
  rewrite(stream: StreamName, id: number, segment: NewSegment): void {
    this.#db.transaction(() => {
      this.#db.prepare(`DELETE FROM ${stream} WHERE id = ?`).run(id);
      this.#insert(stream, id, segment, null, deflateRawSync(segment.text, { level: 5 }));
    })();
  }

  close(): void {
    this.#db.close();
  }

  #insert(stream: StreamName, id: number, head: SegmentHead, gap: GapCause | null, body: Buffer | null): number {
    this.#db
      .prepare(`INSERT INTO ${stream} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
      .run(id, head.epoch, head.firstSeq, head.lastSeq, head.events, head.readings, head.from, head.to, gap, body);
    return id;
  }

  /** Removes the oldest telemetry, and only then the oldest alarms, until `needed` bytes fit; a gap row stands in their place. */
  #makeRoom(needed: number, removable: Removable): Committed['removed'] {
    const removed: { stream: StreamName; segments: number; events: number; readings: number }[] = [];
    for (const stream of ['live', 'alarm'] as const) {
      if (this.bytes() + needed + this.#reserve <= this.#size) break;
      const gone = { stream, segments: 0, events: 0, readings: 0 };
      const rows = this.#db
        .prepare<[number, number], Omit<Row, 'body'>>(
          `SELECT id, epoch, first_seq, last_seq, events, readings, from_at, to_at, gap FROM ${stream} WHERE id > ? AND id <= ? ORDER BY id`,
        )
        .all(removable[stream].after, removable[stream].upTo);
      let gap: (SegmentHead & { id: number }) | undefined;
      for (const row of rows) {
        if (row.gap === null && this.bytes() + needed + this.#reserve <= this.#size) break;
        this.#db.prepare(`DELETE FROM ${stream} WHERE id = ?`).run(row.id);
        gap = { id: row.id, ...(gap ? joined(gap, headOf(row)) : headOf(row)) };
        if (row.gap !== null) continue;
        gone.segments++;
        gone.events += row.events;
        gone.readings += row.readings;
      }
      if (gap) this.#insert(stream, gap.id, gap, 'budget', null);
      if (gone.segments > 0) removed.push(gone);
    }
    return removed;
  }
}

/** What waits in a stream of any open outbox file. */
export function extentOf(db: Database.Database, stream: StreamName): Extent {
  const row = db
    .prepare<[], { segments: number; events: number; readings: number; last: number; oldest: number | null }>(
      `SELECT count(*) AS segments, coalesce(sum(iif(gap IS NULL, events, 1)), 0) AS events,
              coalesce(sum(iif(gap IS NULL, readings, 1)), 0) AS readings, coalesce(max(id), 0) AS last, min(from_at) AS oldest FROM ${stream}`,
    )
    .get();
  if (!row) throw new TypeError('an aggregate gives one row');
  return {
    segments: row.segments,
    events: row.events,
    readings: row.readings,
    lastId: row.last,
    from: row.oldest ?? undefined,
  };
}

function prepareTables(db: Database.Database): number {
  const format = db.pragma('user_version', { simple: true }) as number;
  if (format > FORMAT)
    throw new Error(`it was written by a newer Tidegate (format ${format}, this one knows ${FORMAT})`);
  for (const stream of STREAMS)
    db.exec(
      `CREATE TABLE IF NOT EXISTS ${stream} (id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, first_seq INTEGER NOT NULL,
        last_seq INTEGER NOT NULL, events INTEGER NOT NULL, readings INTEGER NOT NULL, from_at INTEGER NOT NULL,
        to_at INTEGER NOT NULL, gap TEXT, body BLOB)`,
    );
  db.exec('CREATE TABLE IF NOT EXISTS starts (epoch INTEGER PRIMARY KEY)');
  const epoch = (db.prepare<[], { last: number | null }>('SELECT max(epoch) AS last FROM starts').get()?.last ?? 0) + 1;
  db.exec('DELETE FROM starts');
  db.prepare('INSERT INTO starts VALUES (?)').run(epoch);
  db.pragma(`user_version = ${FORMAT}`);
  return epoch;
}

function headOf(row: Omit<Row, 'body'>): SegmentHead {
  const { epoch, first_seq: firstSeq, last_seq: lastSeq, events, readings, from_at: from, to_at: to } = row;
  return { epoch, firstSeq, lastSeq, events, readings, from, to };
}

function joined(a: SegmentHead, b: SegmentHead): SegmentHead {
  return {
    ...b,
    events: a.events + b.events,
    readings: a.readings + b.readings,
    from: Math.min(a.from, b.from),
    to: Math.max(a.to, b.to),
  };
}

function unpack(body: Buffer): string | undefined {
  try {
    return inflateRawSync(body).toString('utf8');
  } catch {
    return undefined;
  }
}
