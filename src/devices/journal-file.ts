/**
 * The journal of the register on disk (Message Store, append-only): an SQLite file in the data folder. All of it is synchronous: it runs in the
 * disk thread, or in a command while no gateway runs.
 */
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { messageOf, TidegateError } from '../errors.js';
import type { TimeBase } from '../ops/clock.js';
import { discard, exchange, isDamage, nameAside } from '../ops/damage.js';
import { Database } from '../ops/sqlite.js';
import { freshPath, journalPath } from './journal.js';
import { correct, insert, JOURNAL_TABLE, readable, shorten } from './journal-table.js';
import { historyOf, type JournalEntry, type Registrations, rebuild } from './registration.js';

const FORMAT = 1;
/** Entries that are kept; beyond them the older half gives way to fewer. All are read at each start. */
const MOST = 10_000;

/** What a file tells when it is opened. */
export interface JournalOpened {
  readonly registrations: Registrations;
  /** Set when the file was damaged: where it is now. What could be read of it is in the one that replaces it. */
  readonly movedTo?: string;
}

/**
 * Reads a journal's file and changes nothing; of a damaged one all that can be read is told.
 * @throws TidegateError REGISTER_STORE
 */
export function readJournal(path: string): JournalEntry[] {
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

/**
 * Opens the journal of a data folder, or makes it.
 * @param most entries that are kept
 * @throws TidegateError REGISTER_STORE
 */
export function openJournal(folder: string, most = MOST): JournalOpened & { readonly file: JournalFile } {
  const path = journalPath(folder);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o750 });
    const { db, entries, movedTo } = openSound(path);
    return { file: new JournalFile(path, db, most), registrations: rebuild(entries), ...(movedTo && { movedTo }) };
  } catch (error) {
    throw unusable(path, error);
  }
}

/** An open journal. */
export class JournalFile {
  readonly #path: string;
  #db: Database;
  #most: number;
  /** Where a damaged file went, until that is told. */
  #movedTo: string | undefined;

  /** See `openJournal`. */
  constructor(path: string, db: Database, most: number) {
    this.#path = path;
    this.#db = db;
    this.#most = most;
  }

  /**
   * Adds entries, all or none.
   * @param known what earlier times of this boot are corrected by, from now on
   * @returns where the file is now, if it turned out to be damaged: what could be read of it is in the one that replaced it
   * @throws TidegateError REGISTER_STORE
   */
  append(entries: readonly JournalEntry[], known?: TimeBase): string | undefined {
    try {
      if (!this.#db.open || !this.#appended(entries, known)) {
        this.#db.close();
        const { db, movedTo } = openSound(this.#path);
        this.#db = db;
        this.#movedTo ??= movedTo;
        this.#append(entries, known);
      }
      const movedTo = this.#movedTo;
      this.#movedTo = undefined;
      return movedTo;
    } catch (error) {
      throw unusable(this.#path, error);
    }
  }

  /** What happened to a device. @throws TidegateError REGISTER_STORE */
  history(device: string): JournalEntry[] {
    try {
      return historyOf(readable(this.#db).entries, device);
    } catch (error) {
      throw unusable(this.#path, error);
    }
  }

  close(): void {
    this.#db.close();
  }

  /** False when the file is damaged. */
  #appended(entries: readonly JournalEntry[], known: TimeBase | undefined): boolean {
    try {
      this.#append(entries, known);
      return true;
    } catch (error) {
      if (isDamage(error)) return false;
      throw error;
    }
  }

  #append(entries: readonly JournalEntry[], known: TimeBase | undefined): void {
    const db = this.#db;
    db.transaction(() => {
      if (known) correct(db, known);
      insert(db, entries);
      const { first, last } = db.prepare<[], { first: number; last: number }>(EXTENT).get() ?? { first: 0, last: 0 };
      // Many devices have long summaries: what is kept beside them stays worth the work.
      if (last - first >= this.#most)
        this.#most = Math.max(this.#most, 4 * shorten(db, Math.floor((first + last) / 2)));
    })();
  }
}

/** Two questions: as one they would be answered by reading all rows. */
const EXTENT = `SELECT (SELECT coalesce(min(id), 0) FROM journal) AS first, (SELECT coalesce(max(id), 0) FROM journal) AS last`;

function openSound(path: string): { db: Database; entries: JournalEntry[]; movedTo?: string } {
  const fresh = freshPath(path);
  let movedTo: string | undefined;
  // An exchange was interrupted.
  if (existsSync(fresh)) {
    movedTo = nameAside(path);
    exchange(path, movedTo, fresh);
  }
  let entries: JournalEntry[] = [];
  const db = new Database(path, { timeout: 1_000 });
  try {
    refuseNewer(db);
    setUp(db);
    const read = readable(db);
    ({ entries } = read);
    if (read.whole) return { db, entries, ...(movedTo && { movedTo }) };
  } catch (error) {
    if (!isDamage(error)) {
      db.close();
      throw error;
    }
  }
  db.close();
  const filling = `${path}.filling`;
  discard(filling);
  const filled = new Database(filling);
  setUp(filled);
  filled.transaction(() => insert(filled, entries))();
  filled.close();
  renameSync(filling, fresh);
  movedTo = nameAside(path);
  exchange(path, movedTo, fresh);
  const replaced = new Database(path, { timeout: 1_000 });
  setUp(replaced);
  return { db: replaced, entries, movedTo };
}

function setUp(db: Database): void {
  db.pragma('page_size = 1024');
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.pragma('wal_autocheckpoint = 256');
  db.pragma('cache_size = -256');
  db.exec(JOURNAL_TABLE);
  db.pragma(`user_version = ${FORMAT}`);
}

function refuseNewer(db: Database): void {
  const format = db.pragma('user_version', { simple: true }) as number;
  if (format > FORMAT)
    throw new Error(`it was written by a newer Tidegate (format ${format}, this one knows ${FORMAT})`);
}

function unusable(path: string, error: unknown): TidegateError {
  if (error instanceof TidegateError) return error;
  return new TidegateError('REGISTER_STORE', `the register of devices ${path} cannot be used: ${messageOf(error)}`, {
    cause: error,
  });
}
