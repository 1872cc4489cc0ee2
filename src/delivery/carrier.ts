/**
 * Carries the rows of a damaged outbox file into the fresh one that has taken its place, slice by slice, each row to its place; a gap stands
 * where rows cannot be read.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Database } from '../ops/sqlite.js';
import type { Removed } from './budget.js';
import { Corrections } from './correction.js';
import type { Ledger } from './counters.js';
import { type Count, DamagedStream } from './damaged-stream.js';
import { type Leg, writeLegs } from './legs.js';
import { HEAD_COLUMNS, headOf, type Row, type RowHead, type Rows, type SegmentHead, type StreamName } from './rows.js';

/** Most rows and bytes that one slice carries, and rows that it counts: the bound on how long a commit may wait for it. */
const SLICE = { rows: 500, bytes: 500_000, counted: 2_000 };
/** Rows are copied as they are. */
const NOTHING_LEARNT = new Corrections([]);

type Left = Pick<Count, 'events' | 'readings'>;
const NOTHING_LEFT: Left = { events: 0, readings: 0 };

/** An open damaged file. */
interface Source extends Readonly<Record<StreamName, DamagedStream>> {
  readonly name: string;
  readonly db: Database;
}

/** Carries what the legs of an open file name. */
export class Carrier {
  readonly #db: Database;
  readonly #rows: Rows;
  readonly #ledger: Ledger;
  readonly #folder: string;
  #source: Source | undefined;
  /** What can be read of a leg in which something is missing. */
  #left: { readonly leg: Leg; readonly count: Count } | undefined;

  constructor(db: Database, rows: Rows, ledger: Ledger, path: string) {
    this.#db = db;
    this.#rows = rows;
    this.#ledger = ledger;
    this.#folder = dirname(path);
  }

  /** True while something is still to be carried, of one stream or of any. */
  has(stream?: StreamName): boolean {
    return this.#legOf(stream) !== undefined;
  }

  /** True while what is to be carried is not even known to the accounts. */
  get blind(): boolean {
    return this.#rows.legs.some(({ counted }) => !counted);
  }

  /** Rows of a stream up to this id are carried. */
  upTo(stream: StreamName): number {
    return this.#legOf(stream)?.after ?? Number.MAX_SAFE_INTEGER;
  }

  /** Carries a slice, of one stream or of any, within the transaction that is open. Gives what turned out to be lost. */
  carry(stream?: StreamName): Removed[] {
    const leg = this.#legOf(stream);
    if (!leg) return [];
    const lost: Removed[] = [];
    const most = leg.bytes - SLICE.bytes;
    let more = true;
    for (let rows = 0; more && rows < SLICE.rows && (leg.bytes > most || !leg.counted); rows++)
      more = this.#carryNext(leg, lost);
    writeLegs(this.#db, this.#rows.legs);
    this.#ledger.add(undefined, lost);
    if (!this.has()) this.close();
    return lost;
  }

  /** Lets go of the damaged file. */
  close(): void {
    this.#source?.db.close();
    this.#source = undefined;
  }

  #legOf(stream: StreamName | undefined): Leg | undefined {
    return this.#rows.legs.find((leg) => stream === undefined || leg.stream === stream);
  }

  /** Of a file in two parts, the second says what both held. */
  #finish(leg: Leg): void {
    const { legs } = this.#rows;
    legs.splice(legs.indexOf(leg), 1);
    const rest = legs.find(({ stream, source }) => stream === leg.stream && source === leg.source);
    const { events, readings, bytes } = leg;
    if (rest) deduct(rest, { events: -events, readings: -readings, bytes: -bytes });
  }

  /** Gives false when the leg has ended, or what is lost of it has yet to be counted. */
  #carryNext(leg: Leg, lost: Removed[]): boolean {
    const { stream, after, upTo } = leg;
    const source = this.#open(leg.source)?.[stream];
    const { row, hole } = source?.next(after, upTo) ?? { row: undefined, hole: after + 1 };
    const missing = hole ?? (!row && leg.events > 0 ? after + 1 : undefined);
    if (missing !== undefined) {
      const left = row && source ? this.#countLeft(leg, source) : NOTHING_LEFT;
      if (!left) return false;
      // How much each hole held cannot be known; how much all of them held stands with the first.
      const gone = (of: 'events' | 'readings'): number => (leg.explained && row ? 0 : Math.max(0, leg[of] - left[of]));
      const told = { events: gone('events'), readings: gone('readings') };
      leg.explained = true;
      lost.push(this.#lose(leg, missing, { ...holeBetween(this.#last(leg), row), ...told }));
    }
    if (!row) {
      this.#finish(leg);
      return false;
    }
    const { id, level, gap, events, readings } = row;
    const body = 'body' in row ? row.body : null;
    const head = headOf(row, NOTHING_LEARNT);
    if (body || gap !== null)
      this.#rows.insert(stream, id, head, { level, ...(gap && { gap }), ...(body && { body }) });
    else lost.push(this.#lose(leg, id, head));
    if (body && gap === null) deduct(leg, { events, readings, bytes: body.length });
    leg.after = id;
    return true;
  }

  /** What of a leg can be read from its first hole on; undefined while that is counted, which takes several slices. */
  #countLeft(leg: Leg, source: DamagedStream): Left | undefined {
    if (leg.explained || !leg.counted) return NOTHING_LEFT;
    const { after, upTo } = leg;
    if (this.#left?.leg !== leg) this.#left = { leg, count: { after, upTo, events: 0, readings: 0 } };
    return source.count(this.#left.count, SLICE.counted) ? this.#left.count : undefined;
  }

  #lose(leg: Leg, id: number, head: SegmentHead): Removed {
    this.#rows.insert(leg.stream, id, head, { gap: 'unreadable' });
    deduct(leg, { ...head, bytes: 0 });
    return { stream: leg.stream, cause: 'unreadable', events: head.events, readings: head.readings };
  }

  /** The last row that was carried, if it is still there. */
  #last({ stream, after }: Leg): RowHead | undefined {
    const last = `SELECT ${HEAD_COLUMNS} FROM ${stream} WHERE id <= ? ORDER BY id DESC LIMIT 1`;
    return this.#db.prepare<[number], RowHead>(last).get(after);
  }

  /** A damaged file; undefined when it is not there any more, and all that it held is lost. */
  #open(name: string): Source | undefined {
    if (this.#source?.name !== name) {
      this.close();
      const path = join(this.#folder, name);
      if (!existsSync(path)) return undefined;
      const db = new Database(path, { timeout: 5000 });
      this.#source = { name, db, alarm: new DamagedStream(db, 'alarm'), live: new DamagedStream(db, 'live') };
    }
    return this.#source;
  }
}

/** What is carried, or lost, is not to come any more. */
function deduct(leg: Leg, { events, readings, bytes }: Pick<Leg, 'events' | 'readings' | 'bytes'>): void {
  if (!leg.counted) return;
  leg.events -= events;
  leg.readings -= readings;
  leg.bytes -= bytes;
}

/** The head of a gap of unknown size between two rows. */
function holeBetween(before: RowHead | undefined, after: RowHead | Row | undefined): SegmentHead {
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
