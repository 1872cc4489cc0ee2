/** The tables of an outbox file, and their rows. */

import type { Event, GapCause } from '../model.js';
import type { Database } from '../ops/sqlite.js';
import type { Corrections } from './correction.js';
import { type Leg, readLegs } from './legs.js';
import { REJECTED_TABLE } from './rejected-table.js';
import { type Holding, readStock, Stock } from './stock.js';

/** Format of the file: 2 since starts learn the time, and rows name their device. */
const FORMAT = 2;

/** The two sequences kept on disk. What is stored of `live` leaves as the backlog. */
export type StreamName = Event['lane'];
export const STREAMS: readonly StreamName[] = ['alarm', 'live'];

/** What a segment holds, beside its text; or what was removed, for a gap: 0 events are a number that nobody knows. Times are milliseconds since 1970. */
export interface SegmentHead {
  readonly epoch: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly events: number;
  readonly readings: number;
  readonly from: number;
  readonly to: number;
  /** When it was written, by a clock that steps do not move; null where all its times count from a clock that was not set. */
  readonly kept: number | null;
  /** The device of all its events; null: of several. */
  readonly device: string | null;
}

/** A row: a segment, or the gap that stands where segments were removed. */
export interface Row {
  readonly id: number;
  readonly epoch: number;
  readonly first_seq: number;
  readonly last_seq: number;
  readonly events: number;
  readonly readings: number;
  readonly from_at: number;
  readonly to_at: number;
  readonly kept: number | null;
  /** How far it is thinned out; 0 is as it was read. */
  readonly level: number;
  readonly gap: GapCause | null;
  readonly body: Buffer | null;
  readonly device: string | null;
}

/** All but the body, and how many bytes that has: read without touching the body. */
export type RowHead = Omit<Row, 'body'> & { readonly bytes: number };

/** The columns of `RowHead`. The device of a segment, which stands behind the body, is left out: `Rows.take` tells it. */
export const HEAD_COLUMNS =
  'id, epoch, first_seq, last_seq, events, readings, from_at, to_at, kept, level, gap, coalesce(length(body), 0) AS bytes, iif(gap IS NULL, NULL, device) AS device';

/** What waits on disk in one stream. */
export interface Extent {
  /** Events and readings that wait; gaps are none. */
  readonly events: number;
  readonly readings: number;
  /** Highest row id; 0 when empty. */
  readonly lastId: number;
  /** Time of the oldest event; undefined when empty. */
  readonly oldest: number | undefined;
}

/** What the columns of a row say of its segment, in true times where they are known. */
export function headOf(row: Omit<Row, 'body'>, corrections: Corrections): SegmentHead {
  const {
    epoch,
    first_seq: firstSeq,
    last_seq: lastSeq,
    events,
    readings,
    from_at: from,
    to_at: to,
    kept,
    device = null,
  } = row;
  const head = { epoch, firstSeq, lastSeq, events, readings, from, to, kept, device };
  const correction = kept === null ? corrections.of(epoch) : undefined;
  if (correction === undefined) return head;
  return { ...head, from: from + correction, to: to + correction, kept: to + correction };
}

/** Two heads of the same start or frame, the older first, as one. */
export function joinedHead(a: SegmentHead | undefined, b: SegmentHead): SegmentHead {
  if (!a) return b;
  return {
    ...b,
    firstSeq: a.epoch === b.epoch ? a.firstSeq : b.firstSeq,
    events: a.events + b.events,
    readings: a.readings + b.readings,
    from: Math.min(a.from, b.from),
    to: Math.max(a.to, b.to),
    device: a.device === b.device ? b.device : null,
  };
}

/** What a row holds, beside its head: the body of a segment, thinned out to a level; or why there is a gap. */
export interface Content {
  readonly level?: number;
  readonly gap?: GapCause;
  readonly body?: Buffer;
}

/** The rows of an open file, and what they hold together. All changes of rows are made here. */
export class Rows {
  readonly #db: Database;
  readonly #stock: Stock;
  /** What waits in a damaged file, and belongs here. */
  readonly legs: Leg[];

  constructor(db: Database) {
    this.#db = db;
    this.#stock = new Stock(db);
    this.legs = readLegs(db);
  }

  /** Does work in one transaction: all of it, or nothing. */
  atomically<Result>(work: () => Result): Result {
    const [stock, legs] = [this.#stock.copy(), structuredClone(this.legs)];
    try {
      return this.#db.transaction(() => {
        const result = work();
        this.#stock.write();
        return result;
      })();
    } catch (error) {
      this.#stock.goBackTo(stock);
      this.legs.splice(0, this.legs.length, ...legs);
      throw error;
    }
  }

  /** Has the file itself say all that it holds: when it is opened, and before it is closed. */
  finish(): void {
    this.#stock.write(0);
  }

  insert(stream: StreamName, id: number, head: SegmentHead, { level = 0, gap, body }: Content): void {
    const columns = 'id, epoch, first_seq, last_seq, events, readings, from_at, to_at, kept, level, gap, body, device';
    this.#db
      .prepare(`INSERT INTO ${stream} (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
      .run(
        id,
        head.epoch,
        head.firstSeq,
        head.lastSeq,
        head.events,
        head.readings,
        head.from,
        head.to,
        head.kept,
        level,
        gap ?? null,
        body ?? null,
        head.device,
      );
    if (!gap)
      this.#stock.add(stream, id, level, { events: head.events, readings: head.readings, bytes: body?.length ?? 0 });
  }

  /** Deletes a row; one that is not there is none to delete. */
  delete(stream: StreamName, id: number): void {
    const row = this.next(stream, id - 1, id);
    if (!row) return;
    this.#db.prepare(`DELETE FROM ${stream} WHERE id = ?`).run(id);
    if (row.gap === null)
      this.#stock.add(stream, id, row.level, { events: -row.events, readings: -row.readings, bytes: -row.bytes });
  }

  /** Deletes a row, and tells its device. */
  take(stream: StreamName, id: number): string | null {
    const read = this.#db.prepare<[number], string | null>(`SELECT device FROM ${stream} WHERE id = ?`);
    const device = read.pluck().get(id) ?? null;
    this.delete(stream, id);
    return device;
  }

  /** The head of the first row after `after` and not beyond `upTo`. */
  next(stream: StreamName, after: number, upTo: number): RowHead | undefined {
    return this.#db
      .prepare<[number, number], RowHead>(
        `SELECT ${HEAD_COLUMNS} FROM ${stream} WHERE id > ? AND id <= ? ORDER BY id LIMIT 1`,
      )
      .get(after, upTo);
  }

  extent(stream: StreamName, corrections: Corrections): Extent {
    return extentOf(this.#db, stream, corrections, this.#stock.of(stream), this.legs);
  }

  /** What the rows of a stream hold, by level of thinning. */
  stock(stream: StreamName): readonly Readonly<Holding>[] {
    return this.#stock.of(stream);
  }

  /** Levels of thinning, the one that takes most bytes first. */
  levels(stream: StreamName): number[] {
    const bytes = this.#stock.of(stream).map((holding) => holding.bytes);
    return [...bytes.keys()].filter((level) => bytes[level]).sort((a, b) => (bytes[b] ?? 0) - (bytes[a] ?? 0) || a - b);
  }
}

/** What waits in a stream, what is still in a damaged file included. */
export function extentOf(
  db: Database,
  stream: StreamName,
  corrections: Corrections,
  stock: readonly Readonly<Holding>[] = readStock(db, stream),
  legs: readonly Leg[] = readLegs(db),
): Extent {
  const own = legs.filter((leg) => leg.stream === stream);
  const [events, readings] = [sum([...stock, ...own], 'events'), sum([...stock, ...own], 'readings')];
  const highest = db.prepare<[], number | null>(`SELECT max(id) FROM ${stream}`).pluck().get() ?? 0;
  const lastId = Math.max(highest, ...own.map(({ upTo }) => upTo));
  return { events, readings, lastId, oldest: oldestOf(db, stream, corrections) };
}

function sum(stock: readonly Readonly<Holding>[], of: keyof Holding): number {
  return stock.reduce((total, holding) => total + holding[of], 0);
}

/** Time of the oldest event on disk, which the first row holds; undefined when there is none. */
export function oldestOf(db: Database, stream: StreamName, corrections: Corrections): number | undefined {
  const row = db
    .prepare<[], Pick<Row, 'epoch' | 'from_at' | 'kept'>>(
      `SELECT epoch, from_at, kept FROM ${stream} ORDER BY id LIMIT 1`,
    )
    .get();
  return row && row.from_at + ((row.kept === null && corrections.of(row.epoch)) || 0);
}

/** Bytes of a file that are in use, free pages left out. */
export function bytesInUse(db: Database): number {
  const pages = db.pragma('page_count', { simple: true }) as number;
  const free = db.pragma('freelist_count', { simple: true }) as number;
  return (pages - free) * (db.pragma('page_size', { simple: true }) as number);
}

/**
 * Which format a file has; 0 is a new one.
 * @throws Error when a newer Tidegate wrote it
 */
export function formatOf(db: Database): number {
  const format = db.pragma('user_version', { simple: true }) as number;
  if (format > FORMAT)
    throw new Error(`it was written by a newer Tidegate (format ${format}, this one knows ${FORMAT})`);
  return format;
}

/** Brings a new file, or one of any earlier format, to this one; what it holds stays. */
export function bringUpToDate(db: Database): void {
  db.transaction(() => {
    createTables(db);
    if (formatOf(db) !== FORMAT) db.pragma(`user_version = ${FORMAT}`);
  })();
}

/** Creates what is missing. Columns that came later stand behind the body, as in files that grew up with Tidegate. */
function createTables(db: Database): void {
  for (const stream of STREAMS) {
    db.exec(
      `CREATE TABLE IF NOT EXISTS ${stream} (id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, first_seq INTEGER NOT NULL,
        last_seq INTEGER NOT NULL, events INTEGER NOT NULL, readings INTEGER NOT NULL, from_at INTEGER NOT NULL,
        to_at INTEGER NOT NULL, kept INTEGER, level INTEGER NOT NULL, gap TEXT, body BLOB)`,
    );
    addColumns(db, stream, ['device TEXT']);
  }
  db.exec(REJECTED_TABLE);
  db.exec('CREATE TABLE IF NOT EXISTS stock (stream TEXT PRIMARY KEY, up_to INTEGER NOT NULL, levels TEXT NOT NULL)');
  db.exec('CREATE TABLE IF NOT EXISTS starts (epoch INTEGER PRIMARY KEY)');
  addColumns(db, 'starts', ['boot TEXT', 'zero REAL', 'correction INTEGER']);
  db.exec(
    'CREATE TABLE IF NOT EXISTS counters (stream TEXT, ends TEXT, events INTEGER NOT NULL, PRIMARY KEY (stream, ends)) WITHOUT ROWID',
  );
}

function addColumns(db: Database, table: string, columns: readonly string[]): void {
  const there = db.prepare<[string], string>('SELECT name FROM pragma_table_info(?)').pluck().all(table);
  for (const column of columns)
    if (!there.includes(column.split(' ')[0] ?? '')) db.exec(`ALTER TABLE ${table} ADD COLUMN ${column}`);
}
