/** The table of a journal file: one row for each entry, as JSON. Ids have the order in which things happened. */

import type { TimeBase } from '../ops/clock.js';
import { isDamage } from '../ops/damage.js';
import { Database } from '../ops/sqlite.js';
import { corrected, type JournalEntry, merged, rebuild, summaryOf } from './registration.js';

/** Creates the table. */
export const JOURNAL_TABLE = 'CREATE TABLE IF NOT EXISTS journal (id INTEGER PRIMARY KEY, entry TEXT NOT NULL)';

/** So many entries in a row are tried one by one where reading on does not work. */
const MOST_FAILURES = 1_000;

/** Adds entries. */
export function insert(db: Database, entries: readonly JournalEntry[]): void {
  const statement = db.prepare('INSERT INTO journal (entry) VALUES (?)');
  for (const entry of entries) statement.run(JSON.stringify(entry));
}

/** All entries that can be read, and whether those are all. */
export function readable(db: Database): { entries: JournalEntry[]; whole: boolean } {
  try {
    const texts = db.prepare<[], string>('SELECT entry FROM journal ORDER BY id').pluck().all();
    return { entries: texts.map(parsed), whole: true };
  } catch (error) {
    if (!isDamage(error)) throw error;
    return { entries: salvaged(db), whole: false };
  }
}

function salvaged(db: Database): JournalEntry[] {
  const entries: JournalEntry[] = [];
  const next = db.prepare<[number], { id: number; entry: string }>(
    'SELECT id, entry FROM journal WHERE id > ? ORDER BY id LIMIT 1',
  );
  for (let [at, failures] = [Number.MIN_SAFE_INTEGER, 0]; failures < MOST_FAILURES; ) {
    try {
      const row = next.get(at);
      if (!row) break;
      at = row.id;
      entries.push(parsed(row.entry));
      failures = 0;
    } catch (error) {
      if (!isDamage(error)) throw error;
      failures++;
      at = Math.max(at + 1, 0);
    }
  }
  return entries;
}

/** @throws what SQLite says of a damaged page, for what is no entry: the disk changed it */
function parsed(text: string): JournalEntry {
  try {
    const entry = JSON.parse(text) as JournalEntry;
    if (typeof entry.device === 'string' && typeof entry.set === 'object') return entry;
  } catch {
    // Told below.
  }
  throw new Database.SqliteError('an entry of the register is none', 'SQLITE_CORRUPT');
}

/** Makes times right that were taken before the clock was set. */
export function correct(db: Database, known: TimeBase): void {
  const read = db.prepare<[string], { id: number; entry: string }>(
    'SELECT id, entry FROM journal WHERE instr(entry, ?)',
  );
  const write = db.prepare('UPDATE journal SET entry = ? WHERE id = ?');
  for (const { id, entry } of read.all(JSON.stringify(known.boot)))
    write.run(JSON.stringify(corrected(parsed(entry), known)), id);
}

/** Replaces all entries up to an id by fewer, in the place of the last of them. Gives how many those are. */
export function shorten(db: Database, upTo: number): number {
  const read = db.prepare<[number], string>('SELECT entry FROM journal WHERE id <= ? ORDER BY id').pluck();
  const entries = read.all(upTo).map(parsed);
  let fewer = merged(entries);
  const { at, clock } = entries.at(-1) ?? { at: 0 };
  const moment = { at, ...(clock && { clock }) };
  if (fewer.length > entries.length / 2)
    fewer = [...rebuild(entries).values()].map((registration) => summaryOf(registration, moment));
  db.prepare('DELETE FROM journal WHERE id <= ?').run(upTo);
  const statement = db.prepare('INSERT INTO journal (id, entry) VALUES (?, ?)');
  let id = upTo - fewer.length;
  for (const entry of fewer) statement.run(++id, JSON.stringify(entry));
  return fewer.length;
}
