/** Opens an outbox file; when it is damaged, moves it aside and carries every row that can still be read into a fresh one. */
import { existsSync, renameSync } from 'node:fs';
import Database from 'better-sqlite3';
import { Corrections } from './correction.js';
import type { RejectedRow } from './rejected-table.js';
import { headOf, insertRow, type Row, STREAMS, type StreamName } from './rows.js';
import { insertStart, readStarts } from './starts.js';

/** What became of a damaged file. */
export interface Salvage {
  /** Where the damaged file is now. */
  readonly movedTo: string;
  readonly reason: string;
  /** Rows carried over, and whether some could not be. */
  readonly rows: number;
  readonly complete: boolean;
}

/** Rows are copied as they are. */
const NOTHING_LEARNT = new Corrections([]);
/** So many row numbers in a row are tried one by one where reading on does not work. */
const MOST_FAILURES = 10_000;

/**
 * Opens a file for which `prepare` and SQLite's own check pass, or the fresh one that replaces it.
 * @throws when not even a fresh file can be made
 */
export function openSound(
  path: string,
  prepare: (db: Database.Database) => void,
): { db: Database.Database; salvage?: Salvage } {
  const existed = existsSync(path);
  const db = new Database(path, { timeout: 5000 });
  try {
    prepare(db);
    if (existed) checkSound(db);
    return { db };
  } catch (error) {
    db.close();
    if (!isDamage(error)) throw error;
    return replace(path, prepare, (error as Error).message);
  }
}

function checkSound(db: Database.Database): void {
  const found = db.pragma('quick_check(1)', { simple: true });
  if (found !== 'ok') throw Object.assign(new Error(String(found)), { code: 'SQLITE_CORRUPT' });
}

function isDamage(error: unknown): boolean {
  const code = (error as { code?: string }).code ?? '';
  return code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB';
}

function replace(
  path: string,
  prepare: (db: Database.Database) => void,
  reason: string,
): { db: Database.Database; salvage: Salvage } {
  const movedTo = freeName(path);
  for (const suffix of ['', '-wal', '-shm']) if (existsSync(path + suffix)) renameSync(path + suffix, movedTo + suffix);
  const db = new Database(path, { timeout: 5000 });
  prepare(db);
  const carried = carry(movedTo, db);
  return { db, salvage: { movedTo, reason, ...carried } };
}

/**
 * Copies what can be read. Starts are counted on from the highest number that is known; where that may be too low, from the clock, which is
 * above all numbers there were.
 */
function carry(from: string, to: Database.Database): { rows: number; complete: boolean } {
  let [rows, epoch, complete] = [0, 0, true];
  const attempt = (work: () => void): void => {
    try {
      work();
    } catch {
      complete = false;
    }
  };
  const copyRows = (source: Database.Database, stream: StreamName): void => {
    const nextRow = source.prepare<[number], Row>(`SELECT * FROM ${stream} WHERE id > ? ORDER BY id LIMIT 1`);
    for (let id = 0, failures = 0; failures < MOST_FAILURES; ) {
      let row: Row | undefined;
      try {
        row = nextRow.get(id);
      } catch {
        complete = false;
        failures++;
        id++;
        continue;
      }
      if (!row) return;
      const { level, gap, body } = row;
      insertRow(to, stream, row.id, headOf(row, NOTHING_LEARNT), { level, ...(gap && { gap }), ...(body && { body }) });
      epoch = Math.max(epoch, row.epoch);
      rows++;
      failures = 0;
      id = row.id;
    }
  };
  attempt(() => {
    const source = new Database(from, { timeout: 5000 });
    attempt(() => {
      for (const start of readStarts(source)) {
        insertStart(to, start);
        epoch = start.epoch;
      }
    });
    for (const stream of STREAMS) attempt(() => copyRows(source, stream));
    attempt(() => {
      const counters = source
        .prepare<[], { stream: string; ends: string; events: number }>('SELECT * FROM counters')
        .all();
      const write = to.prepare('INSERT INTO counters VALUES (?, ?, ?)');
      for (const { stream, ends, events } of counters) write.run(stream, ends, events);
    });
    attempt(() => copyRejected(source, to));
    source.close();
  });
  const last = complete && epoch > 0 ? epoch : Math.max(epoch, Math.floor(Date.now() / 1000));
  if (!readStarts(to).some((start) => start.epoch === last))
    insertStart(to, { epoch: last, boot: null, zero: null, correction: null });
  return { rows, complete };
}

function copyRejected(from: Database.Database, to: Database.Database): void {
  const read = from.prepare<[], RejectedRow>('SELECT * FROM rejected ORDER BY id');
  const write = to.prepare('INSERT INTO rejected VALUES (?, ?, ?, ?, ?, ?, ?, ?)');
  for (const { id, epoch, seq, stream, at, late, reason, body } of read.iterate())
    write.run(id, epoch, seq, stream, at, late, reason, body);
}

function freeName(path: string): string {
  for (let n = 1; ; n++) {
    const name = `${path}.damaged-${n}`;
    if (!existsSync(name)) return name;
  }
}
