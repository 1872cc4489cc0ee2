/** What of a damaged outbox file is still to be carried into the one that has taken its place; written there, so that a crash forgets none of it. */
import type Database from 'better-sqlite3';
import { HEAD_COLUMNS, type Row, type RowHead, type StreamName } from './rows.js';

/** So many row numbers in a row are tried one by one where reading on does not work. */
const MOST_FAILURES = 10_000;

/** Rows of a stream that are still in a damaged file only. */
export interface Leg {
  readonly stream: StreamName;
  /** Name of the damaged file, which is in the same folder. */
  readonly source: string;
  /** Rows after this id and up to the other; the last id is always free. */
  after: number;
  readonly upTo: number;
  /** What those rows hold, by what the damaged file says of itself. */
  events: number;
  readings: number;
  bytes: number;
  /** False where it cannot say. */
  readonly counted: boolean;
  /** True once a gap tells of all events that are missing among those rows. */
  explained: boolean;
}

/** All that is still to be carried, in this order. */
export function readLegs(db: Database.Database): Leg[] {
  if (!db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'salvage'").get()) return [];
  return JSON.parse(db.prepare<[], string>('SELECT legs FROM salvage').pluck().get() ?? '[]') as Leg[];
}

/** Writes it down, within the transaction that carries. */
export function writeLegs(db: Database.Database, legs: readonly Leg[]): void {
  db.exec('CREATE TABLE IF NOT EXISTS salvage (id INTEGER PRIMARY KEY, legs TEXT NOT NULL)');
  if (legs.length === 0) db.exec('DROP TABLE salvage');
  else db.prepare('INSERT OR REPLACE INTO salvage VALUES (1, ?)').run(JSON.stringify(legs));
}

/** Reads something of a damaged file; undefined when it cannot be read. */
export function tried<Result>(read: () => Result): Result | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/**
 * The first row of a leg of which something can be read: all of it, or the head alone. `hole` is set where rows before it cannot be read: the id
 * of the first of them.
 */
export function firstReadable(
  source: Database.Database,
  { stream, after, upTo }: Pick<Leg, 'stream' | 'after' | 'upTo'>,
  headOnly = false,
): { row: Row | RowHead | undefined; hole: number | undefined } {
  // Prepared once for all tries: behind a damaged page there are thousands.
  const reading = <Found>(columns: string): ((at: number) => Found | null | undefined) => {
    const sql = `SELECT ${columns} FROM ${stream} WHERE id > ? AND id <= ? ORDER BY id LIMIT 1`;
    let statement: Database.Statement<[number, number], Found> | undefined;
    return (at) =>
      tried(() => {
        statement ??= source.prepare(sql);
        return statement.get(at, upTo) ?? null;
      });
  };
  const rowAfter = headOnly ? () => undefined : reading<Row>('*');
  const headAfter = reading<RowHead>(HEAD_COLUMNS);
  let hole: number | undefined;
  for (let at = after; at < Math.min(upTo, after + MOST_FAILURES); at++) {
    const row = rowAfter(at) ?? headAfter(at);
    if (row !== undefined) return { row: row ?? undefined, hole };
    hole ??= at + 1;
  }
  return { row: undefined, hole };
}

/** What those rows of a leg hold of which at least the head can be read. */
export function heldIn(
  source: Database.Database,
  leg: Pick<Leg, 'stream' | 'after' | 'upTo'>,
): Pick<Leg, 'events' | 'readings'> {
  const held = { events: 0, readings: 0 };
  const rest = { ...leg };
  const next = (): RowHead | Row | undefined => firstReadable(source, rest, true).row;
  for (let row = next(); row; row = next()) {
    if (row.gap === null) {
      held.events += row.events;
      held.readings += row.readings;
    }
    rest.after = row.id;
  }
  return held;
}
