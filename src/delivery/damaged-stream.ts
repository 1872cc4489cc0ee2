/** Reads a stream of a damaged outbox file: every row that SQLite can still reach, and where it cannot. */
import type { Statement } from 'better-sqlite3';
import { isDamage } from '../ops/damage.js';
import type { Database } from '../ops/sqlite.js';
import { endOfPage } from './page-tree.js';
import { HEAD_COLUMNS, type Row, type RowHead, type StreamName } from './rows.js';

/** A page of rows can be damaged in part: so many row ids on it are tried one by one. */
const MOST_TRIES = 64;

/** The first row of which something can be read: all of it, or the head alone; and, where rows before it cannot be read, the id of the first of them. */
export interface Found {
  readonly row: Row | RowHead | undefined;
  readonly hole: number | undefined;
}

/** What the rows after an id and up to another hold, as far as they are counted: up to `after`. */
export interface Count {
  after: number;
  readonly upTo: number;
  events: number;
  readings: number;
}

/** Reads something of a damaged file; undefined when it cannot be read. */
export function tried<Result>(read: () => Result): Result | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** A stream of a damaged file. */
export class DamagedStream {
  readonly #db: Database;
  readonly #stream: StreamName;
  readonly #row: (from: number, upTo: number) => Row | null | undefined;
  readonly #head: (from: number, upTo: number) => RowHead | null | undefined;

  constructor(db: Database, stream: StreamName) {
    this.#db = db;
    this.#stream = stream;
    this.#row = this.#reading<Row>('*');
    this.#head = this.#reading<RowHead>(HEAD_COLUMNS);
  }

  /**
   * The first row after an id and not beyond another.
   * @throws the database's own error when the disk refuses
   */
  next(after: number, upTo: number, headOnly = false): Found {
    let hole: number | undefined;
    let [pageEnd, tries] = [after, 0];
    for (let id = after + 1; id <= upTo; ) {
      const row = (headOnly ? undefined : this.#row(id, upTo)) ?? this.#head(id, upTo);
      if (row !== undefined) return { row: row ?? undefined, hole };
      hole ??= id;
      if (id > pageEnd) [pageEnd, tries] = [this.#endOfPage(id), MOST_TRIES];
      id = id < pageEnd && tries-- > 0 ? id + 1 : pageEnd + 1;
    }
    return { row: undefined, hole };
  }

  /** Counts on, over so many rows at most of which at least the head can be read. Gives true when all are counted. */
  count(count: Count, most = Number.POSITIVE_INFINITY): boolean {
    for (let rows = 0; rows < most; rows++) {
      const { row } = this.next(count.after, count.upTo, true);
      if (!row) return true;
      count.after = row.id;
      if (row.gap !== null) continue;
      count.events += row.events;
      count.readings += row.readings;
    }
    return false;
  }

  #endOfPage(id: number): number {
    try {
      return endOfPage(this.#db, this.#stream, id);
    } catch (error) {
      if (isDamage(error)) return Number.POSITIVE_INFINITY;
      throw error;
    }
  }

  /** Gives null where there is no row, undefined where none can be read. */
  #reading<Read>(columns: string): (from: number, upTo: number) => Read | null | undefined {
    const sql = `SELECT ${columns} FROM ${this.#stream} WHERE id BETWEEN ? AND ? ORDER BY id LIMIT 1`;
    let statement: Statement<[number, number], Read> | undefined;
    return (from, upTo) =>
      tried(() => {
        statement ??= this.#db.prepare(sql);
        return statement.get(from, upTo) ?? null;
      });
  }
}
