/**
 * The journal of the register on disk (Message Store, append-only): an SQLite file in the data folder. All of it is synchronous: it runs in the
 * disk thread, or in a command while no gateway runs.
 */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { messageOf, TidegateError } from '../errors.js';
import { isDamage, nameAside } from '../ops/damage.js';
import { journalPath } from './journal.js';
import { apply, type JournalEntry, type Registrations, rebuild, summaryOf } from './registration.js';

const FORMAT = 1;
/** The files of a database. */
const SUFFIXES = ['', '-wal', '-shm'];
/** So many entries in a row are tried one by one where reading on does not work. */
const MOST_FAILURES = 1_000;
/** Entries that are kept; beyond them the older half gives way to a summary for each device. */
const MOST = 20_000;

/** What a file tells when it is opened. */
export interface JournalOpened {
  readonly registrations: Registrations;
  /** Set when the file was damaged: where it is now. What could be read of it is in the one that replaces it. */
  readonly movedTo?: string;
}

/**
 * Reads the journal of a data folder and changes nothing; one that is not there is empty, and of a damaged one all that can be read is told.
 * @throws TidegateError REGISTER_STORE
 */
export function readJournal(folder: string): JournalEntry[] {
  const path = journalPath(folder);
  if (!existsSync(path)) return [];
  try {
    const db = new Database(path, { readonly: true, timeout: 1_000 });
    try {
      refuseNewer(db);
      return readable(db).entries;
    } finally {
      db.close();
    }
  } catch (error) {
    if (isDamage(error)) return [];
    throw unusable(path, error);
  }
}

/** An open journal. */
export class JournalFile {
  readonly opened: JournalOpened;
  readonly #db: Database.Database;
  #most: number;

  /**
   * Opens the journal of a data folder, or makes it.
   * @param most entries that are kept
   * @throws TidegateError REGISTER_STORE
   */
  constructor(folder: string, most = MOST) {
    const path = journalPath(folder);
    this.#most = most;
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o750 });
      const { db, entries, movedTo } = openSound(path);
      this.#db = db;
      this.opened = { registrations: rebuild(entries), ...(movedTo && { movedTo }) };
    } catch (error) {
      throw unusable(path, error);
    }
  }

  /** Adds entries, all or none. @throws the database's own error */
  append(entries: readonly JournalEntry[]): void {
    const db = this.#db;
    db.transaction(() => {
      insert(db, entries);
      const { first, last } = db.prepare<[], { first: number; last: number }>(EXTENT).get() ?? { first: 0, last: 0 };
      // Many devices have long summaries: what is kept beside them stays worth the work.
      if (last - first >= this.#most)
        this.#most = Math.max(this.#most, 4 * shorten(db, Math.floor((first + last) / 2)));
    })();
  }

  close(): void {
    this.#db.close();
  }
}

const EXTENT = 'SELECT coalesce(min(id), 0) AS first, coalesce(max(id), 0) AS last FROM journal';

function openSound(path: string): { db: Database.Database; entries: JournalEntry[]; movedTo?: string } {
  const fresh = `${path}.fresh`;
  // Power was cut in the middle of the exchange: the fresh file is whole.
  if (!existsSync(path) && existsSync(fresh)) renameSync(fresh, path);
  const db = new Database(path, { timeout: 1_000 });
  let entries: JournalEntry[] = [];
  try {
    refuseNewer(db);
    setUp(db);
    const read = readable(db);
    ({ entries } = read);
    if (read.whole) return { db, entries };
  } catch (error) {
    if (!isDamage(error)) {
      db.close();
      throw error;
    }
  }
  db.close();
  for (const suffix of SUFFIXES) rmSync(fresh + suffix, { force: true });
  const filled = new Database(fresh);
  setUp(filled);
  filled.transaction(() => insert(filled, entries))();
  filled.close();
  const movedTo = nameAside(path);
  for (const suffix of SUFFIXES) if (existsSync(path + suffix)) renameSync(path + suffix, movedTo + suffix);
  renameSync(fresh, path);
  const replaced = new Database(path, { timeout: 1_000 });
  setUp(replaced);
  return { db: replaced, entries, movedTo };
}

function setUp(db: Database.Database): void {
  db.pragma('page_size = 1024');
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.pragma('wal_autocheckpoint = 256');
  db.pragma('cache_size = -256');
  db.exec('CREATE TABLE IF NOT EXISTS journal (id INTEGER PRIMARY KEY, entry TEXT NOT NULL)');
  db.pragma(`user_version = ${FORMAT}`);
}

function refuseNewer(db: Database.Database): void {
  const format = db.pragma('user_version', { simple: true }) as number;
  if (format > FORMAT)
    throw new Error(`it was written by a newer Tidegate (format ${format}, this one knows ${FORMAT})`);
}

function insert(db: Database.Database, entries: readonly JournalEntry[]): void {
  const statement = db.prepare('INSERT INTO journal (entry) VALUES (?)');
  for (const entry of entries) statement.run(JSON.stringify(entry));
}

/** All entries that can be read, and whether those are all. */
function readable(db: Database.Database): { entries: JournalEntry[]; whole: boolean } {
  const entries: JournalEntry[] = [];
  const next = db.prepare<[number], { id: number; entry: string }>(
    'SELECT id, entry FROM journal WHERE id > ? ORDER BY id LIMIT 1',
  );
  let whole = true;
  for (let [at, failures] = [Number.MIN_SAFE_INTEGER, 0]; failures < MOST_FAILURES; ) {
    try {
      const row = next.get(at);
      if (!row) break;
      at = row.id;
      entries.push(JSON.parse(row.entry) as JournalEntry);
      failures = 0;
    } catch (error) {
      if (!isDamage(error) && !(error instanceof SyntaxError)) throw error;
      whole = false;
      failures++;
      at = Math.max(at + 1, 0);
    }
  }
  return { entries, whole };
}

/** Replaces all entries up to an id by a summary of each device, in the place of the last of them. Gives how many those are. */
function shorten(db: Database.Database, upTo: number): number {
  const read = db.prepare<[number], string>('SELECT entry FROM journal WHERE id <= ? ORDER BY id').pluck();
  const registrations: Registrations = new Map();
  let at = 0;
  for (const text of read.iterate(upTo)) {
    const entry = JSON.parse(text) as JournalEntry;
    apply(registrations, entry);
    at = entry.at;
  }
  db.prepare('DELETE FROM journal WHERE id <= ?').run(upTo);
  const statement = db.prepare('INSERT INTO journal (id, entry) VALUES (?, ?)');
  let id = upTo - registrations.size;
  for (const registration of registrations.values()) statement.run(++id, JSON.stringify(summaryOf(registration, at)));
  return registrations.size;
}

function unusable(path: string, error: unknown): TidegateError {
  if (error instanceof TidegateError) return error;
  return new TidegateError('REGISTER_STORE', `the register of devices ${path} cannot be used: ${messageOf(error)}`, {
    cause: error,
  });
}
