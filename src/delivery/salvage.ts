/**
 * A damaged outbox file is moved aside, and a fresh one takes its place at once, with the accounts of the damaged one and a note of the rows that
 * are still to be carried over (`carrier.ts`). Damage is found where it is met, at the start or later, for no start has time to read a large file
 * through.
 */
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { discard, exchange, isDamage, nameAside } from '../ops/damage.js';
import { Database } from '../ops/sqlite.js';
import { openLedger, readTotals } from './counters.js';
import { DamagedStream, tried } from './damaged-stream.js';
import { type Leg, readLegs, writeLegs } from './legs.js';
import type { RejectedRow } from './rejected-table.js';
import { type Rows, STREAMS, type StreamName } from './rows.js';
import { insertStart, readStarts } from './starts.js';
import { type Holding, readWritten } from './stock.js';

/** What became of a damaged file. */
export interface Salvage {
  /** Where the damaged file is now. */
  readonly movedTo: string;
  readonly reason: string;
}

/** Sets a file up, and looks at what is needed of it. */
type SetUp<Opened> = (db: Database) => Opened;

/** What is known of a file before it is read. */
export interface Known {
  /** Highest row ids; 0 where they are not known. */
  readonly lastIds: Readonly<Record<StreamName, number>>;
  readonly rows: Rows;
}

/**
 * Opens a file, or the fresh one that replaces it when it turns out to be damaged.
 * @throws when not even a fresh file can be made
 */
export function openSound<Opened>(path: string, setUp: SetUp<Opened>): { opened: Opened; salvage?: Salvage } {
  resumeExchange(path);
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
 * Puts a fresh file in the place of a damaged one. At every moment either the damaged one is in place, or the fresh one knows all that is needed
 * to go on.
 * @param known of the damaged file, which is asked for the rest
 * @throws when no fresh file can be made; the damaged one stays, and open, then
 */
export function replaceDamaged<Opened>(
  path: string,
  damaged: Database,
  setUp: SetUp<Opened>,
  reason: string,
  known?: Known,
): { opened: Opened; salvage: Salvage } {
  const movedTo = nameAside(path);
  discard(freshPath(path));
  const fresh = new Database(freshPath(path));
  try {
    setUp(fresh);
    takeOver(damaged, fresh, basename(movedTo), known);
  } catch (error) {
    fresh.close();
    discard(freshPath(path));
    throw error;
  }
  fresh.close();
  // Before the names change hands: a database removes its log by name.
  damaged.close();
  exchange(path, movedTo, freshPath(path));
  return { opened: setUp(new Database(path, { timeout: 5000 })), salvage: { movedTo, reason } };
}

/** Finishes what a crash or a power cut interrupted: a fresh file that knows what is to be carried is whole; any other is none. */
function resumeExchange(path: string): void {
  if (!existsSync(freshPath(path))) return;
  const fresh = new Database(freshPath(path));
  const [leg] = tried(() => readLegs(fresh)) ?? [];
  fresh.close();
  if (leg) exchange(path, join(dirname(path), leg.source), freshPath(path));
  else discard(freshPath(path));
}

/** Writes what the damaged file says of itself into the fresh one, and what of it is to be carried there. */
function takeOver(from: Database, to: Database, source: string, known: Known | undefined): void {
  const starts = tried(() => readStarts(from)) ?? [];
  const totals = tried(() => readTotals(from));
  const pending = tried(() => readLegs(from)) ?? [];
  const legs = STREAMS.flatMap((stream) => {
    const own = pending.filter((leg) => leg.stream === stream);
    return around(own, wholeLeg(from, stream, source, known));
  });
  to.transaction(() => {
    // Starts are counted on from the highest number there was; where nobody knows it, from the clock, which is above all.
    const epoch = Math.floor(Date.now() / 1000);
    if (starts.length === 0) insertStart(to, { epoch, boot: null, zero: null, correction: null });
    for (const start of starts) insertStart(to, start);
    openLedger(to).add(totals, []);
    tried(() => copyRejected(from, to));
    writeLegs(to, legs);
  })();
}

/** All of a stream, as far as the damaged file can say what that is. */
function wholeLeg(from: Database, stream: StreamName, source: string, known: Known | undefined): Leg {
  const highest = (): number | undefined =>
    tried(() => from.prepare<[], number>(`SELECT coalesce(max(id), 0) FROM ${stream}`).pluck().get());
  // Where nobody knows the last id, the clock in milliseconds is above all.
  const last = known?.lastIds[stream] || (highest() ?? Date.now());
  const leg = { stream, source, after: 0, upTo: last + 1 };
  const stock = known?.rows.stock(stream) ?? tried(() => stockOf(from, leg));
  const sum = (of: 'events' | 'readings' | 'bytes'): number => (stock ?? []).reduce((total, one) => total + one[of], 0);
  const held = { events: sum('events'), readings: sum('readings'), bytes: sum('bytes') };
  return { ...leg, ...held, counted: stock !== undefined, explained: false };
}

/** What the file says that it holds; of rows that were added since it was opened, what can be read. */
function stockOf(from: Database, leg: Pick<Leg, 'stream' | 'upTo'>): Holding[] {
  const { levels, upTo } = readWritten(from, leg.stream);
  const newer = { after: upTo, upTo: leg.upTo, events: 0, readings: 0 };
  new DamagedStream(from, leg.stream).count(newer);
  return [...levels, { ...newer, bytes: 0 }];
}

/** The legs of a file that still awaits rows of an earlier one: its own stand before and behind those. */
function around(pending: readonly Leg[], whole: Leg): Leg[] {
  const nothing = { events: 0, readings: 0, bytes: 0, explained: true };
  const legs: Leg[] = [];
  let { after } = whole;
  for (const leg of pending) {
    legs.push({ ...whole, ...nothing, after, upTo: leg.after }, leg);
    after = leg.upTo;
  }
  return [...legs, { ...whole, after, upTo: Math.max(whole.upTo, after + 1) }];
}

function freshPath(path: string): string {
  return `${path}.fresh`;
}

function copyRejected(from: Database, to: Database): void {
  const next = from.prepare<[number], RejectedRow>('SELECT * FROM rejected WHERE id > ? ORDER BY id LIMIT 1');
  const write = to.prepare('INSERT INTO rejected VALUES (?, ?, ?, ?, ?, ?, ?, ?)');
  for (let row = next.get(Number.MIN_SAFE_INTEGER); row; row = next.get(row.id)) {
    const { id, epoch, seq, stream, at, late, reason, body } = row;
    write.run(id, epoch, seq, stream, at, late, reason, body);
  }
}
