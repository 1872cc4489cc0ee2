/** What of a damaged outbox file is still to be carried into the one that has taken its place; written there, so that a crash forgets none of it. */
import type { Database } from '../ops/sqlite.js';
import type { StreamName } from './rows.js';

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
export function readLegs(db: Database): Leg[] {
  if (!db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'salvage'").get()) return [];
  return JSON.parse(db.prepare<[], string>('SELECT legs FROM salvage').pluck().get() ?? '[]') as Leg[];
}

/** Writes it down, within the transaction that carries. */
export function writeLegs(db: Database, legs: readonly Leg[]): void {
  db.exec('CREATE TABLE IF NOT EXISTS salvage (id INTEGER PRIMARY KEY, legs TEXT NOT NULL)');
  if (legs.length === 0) db.exec('DROP TABLE salvage');
  else db.prepare('INSERT OR REPLACE INTO salvage VALUES (1, ?)').run(JSON.stringify(legs));
}
