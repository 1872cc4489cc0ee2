/**
 * A damaged outbox file is moved aside, and every row that can still be read is carried into a fresh one; a gap stands where rows are lost.
 * Damage is found where it is met, at the start or later, for no start has time to read a large file through.
 */
import { existsSync, renameSync, rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import { isDamage, nameAside } from '../ops/damage.js';
import type { Removed } from './budget.js';
import { Corrections } from './correction.js';
import { openLedger, readTotals } from './counters.js';
import type { RejectedRow } from './rejected-table.js';
import {
  HEAD_COLUMNS,
  headOf,
  type Row,
  type RowHead,
  Rows,
  type SegmentHead,
  STREAMS,
  type StreamName,
} from './rows.js';
import { insertStart, readStarts } from './starts.js';
import { readStock } from './stock.js';

/** What became of a damaged file. */
export interface Salvage {
  /** Where the damaged file is now. */
  readonly movedTo: string;
  readonly reason: string;
  /** Rows carried over. */
  readonly rows: number;
  /** What is lost, as far as it is known how much that is. */
  readonly lost: readonly Removed[];
}

/** Rows are copied as they are. */
const NOTHING_LEARNT = new Corrections([]);
/** So many row numbers in a row are tried one by one where reading on does not work. */
const MOST_FAILURES = 10_000;
/** Rows carried in one transaction. */
const GROUP = 500;
/** The files of a database. */
const SUFFIXES = ['', '-wal', '-shm'];

/** Sets a file up, and looks at what is needed of it. */
type SetUp<Opened> = (db: Database.Database) => Opened;

/**
 * Opens a file, or the fresh one that replaces it when it turns out to be damaged.
 * @throws when not even a fresh file can be made
 */
export function openSound<Opened>(path: string, setUp: SetUp<Opened>): { opened: Opened; salvage?: Salvage } {
  // Power was cut in the middle of the exchange: the fresh file is whole.
  if (!existsSync(path) && existsSync(freshPath(path))) renameSync(freshPath(path), path);
  const db = new Database(path, { timeout: 5000 });
  try {
    return { opened: setUp(db) };
  } catch (error) {
    if (isDamage(error)) return replaceDamaged(path, db, setUp, (error as Error).message);
    db.close();
    throw error;
  }
}

/**
 * Carries what can be read of a damaged file into a fresh one, which then takes its place.
 * @throws when no fresh file can be made; the damaged one stays, and open, then
 */
export function replaceDamaged<Opened>(
  path: string,
  damaged: Database.Database,
  setUp: SetUp<Opened>,
  reason: string,
): { opened: Opened; salvage: Salvage } {
  const discard = (): void => {
    for (const suffix of SUFFIXES) rmSync(freshPath(path) + suffix, { force: true });
  };
  discard();
  const fresh = new Database(freshPath(path));
  let carried: Pick<Salvage, 'rows' | 'lost'>;
  try {
    setUp(fresh);
    carried = carry(damaged, fresh);
  } catch (error) {
    fresh.close();
    discard();
    throw error;
  }
  fresh.close();
  // Before the names change hands: a database removes its log by name.
  damaged.close();
  const movedTo = nameAside(path);
  for (const suffix of SUFFIXES) if (existsSync(path + suffix)) renameSync(path + suffix, movedTo + suffix);
  renameSync(freshPath(path), path);
  const opened = setUp(new Database(path, { timeout: 5000 }));
  return { opened, salvage: { movedTo, reason, ...carried } };
}

/** Copies what can be read. */
function carry(from: Database.Database, to: Database.Database): Pick<Salvage, 'rows' | 'lost'> {
  const carrier = new Carrier(from, new Rows(to));
  const starts = carrier.read(readStarts) ?? [];
  const totals = carrier.read(readTotals);
  for (const stream of STREAMS) carrier.carry(stream);
  carrier.read((db) => copyRejected(db, to));
  const { rows, lost, complete } = carrier;
  // Starts are counted on from the highest number there was; where that may be too low, from the clock, which is above all.
  const known = Math.max(starts.at(-1)?.epoch ?? 0, carrier.epoch);
  const last = complete && known > 0 ? known : Math.max(known, Math.floor(Date.now() / 1000));
  to.transaction(() => {
    openLedger(to).add(totals, lost);
    insertStart(to, { epoch: last, boot: null, zero: null, correction: null });
    for (const start of starts) insertStart(to, start);
  })();
  return { rows, lost };
}

class Carrier {
  readonly #from: Database.Database;
  readonly #to: Rows;
  readonly lost: Removed[] = [];
  rows = 0;
  /** The highest met. */
  epoch = 0;
  complete = true;

  constructor(from: Database.Database, to: Rows) {
    this.#from = from;
    this.#to = to;
  }

  /** Reads something of the damaged file; undefined when it cannot be read. */
  read<Result>(read: (db: Database.Database) => Result): Result | undefined {
    try {
      return read(this.#from);
    } catch {
      this.complete = false;
      return undefined;
    }
  }

  /** Copies the rows of a stream, each to its place, and leaves gaps where rows cannot be read. */
  carry(stream: StreamName): void {
    const before = this.read((db) => readStock(db, stream));
    const holes: { id: number; head: SegmentHead }[] = [];
    let [at, failures] = [0, 0];
    let hole: number | undefined;
    let last: RowHead | Row | undefined;
    const next = <Found>(columns: string): Found | null | undefined =>
      this.read((db) => {
        const sql = `SELECT ${columns} FROM ${stream} WHERE id > ? ORDER BY id LIMIT 1`;
        return db.prepare<[number], Found>(sql).get(at) ?? null;
      });
    const step = (): boolean => {
      const row = next<Row>('*');
      const found = row === undefined ? next<RowHead>(HEAD_COLUMNS) : row;
      if (found === undefined && ++failures < MOST_FAILURES) {
        at++;
        hole ??= at;
        return true;
      }
      if (hole !== undefined) holes.push({ id: hole, head: holeBetween(last, found ?? undefined) });
      hole = undefined;
      if (!found) return false;
      if (row) this.#copy(stream, row);
      else this.#lose(stream, found.id, headOf(found, NOTHING_LEARNT));
      [at, failures, last] = [found.id, 0, found];
      return true;
    };
    const group = (): boolean => {
      for (let n = 0; n < GROUP; n++) if (!step()) return false;
      return true;
    };
    while (this.#to.atomically(group));
    // How much each hole held cannot be known; how much all of them held stands with the first.
    const told = this.lost.filter((gone) => gone.stream === stream);
    const missing = (of: 'events' | 'readings'): number =>
      before
        ? before.reduce((sum, one) => sum + one[of], 0) -
          told.reduce((sum, one) => sum + one[of], this.#to.extent(stream, NOTHING_LEARNT)[of])
        : 0;
    let left = { events: missing('events'), readings: missing('readings') };
    this.#to.atomically(() => {
      for (const { id, head } of holes) {
        this.#lose(stream, id, { ...head, ...left });
        left = { events: 0, readings: 0 };
      }
    });
  }

  #copy(stream: StreamName, row: Row): void {
    const { id, level, gap, body } = row;
    this.#to.insert(stream, id, headOf(row, NOTHING_LEARNT), { level, ...(gap && { gap }), ...(body && { body }) });
    this.epoch = Math.max(this.epoch, row.epoch);
    this.rows++;
  }

  #lose(stream: StreamName, id: number, head: SegmentHead): void {
    this.#to.insert(stream, id, head, { gap: 'unreadable' });
    this.lost.push({ stream, cause: 'unreadable', events: head.events, readings: head.readings });
  }
}

/** The head of a gap of unknown size between two rows. */
function holeBetween(before: RowHead | Row | undefined, after: RowHead | Row | undefined): SegmentHead {
  const seq = before ? before.last_seq + 1 : Math.max(0, (after?.first_seq ?? 1) - 1);
  const from = before?.to_at ?? after?.from_at ?? Date.now();
  return {
    epoch: (before ?? after)?.epoch ?? 0,
    firstSeq: seq,
    lastSeq: seq,
    events: 0,
    readings: 0,
    from,
    to: Math.max(from, after?.from_at ?? Date.now()),
    kept: (before ?? after)?.kept ?? null,
    device: null,
  };
}

function freshPath(path: string): string {
  return `${path}.fresh`;
}

function copyRejected(from: Database.Database, to: Database.Database): void {
  const read = from.prepare<[], RejectedRow>('SELECT * FROM rejected ORDER BY id');
  const write = to.prepare('INSERT INTO rejected VALUES (?, ?, ?, ?, ?, ?, ?, ?)');
  for (const { id, epoch, seq, stream, at, late, reason, body } of read.iterate())
    write.run(id, epoch, seq, stream, at, late, reason, body);
}
