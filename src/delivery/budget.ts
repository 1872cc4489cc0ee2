/**
 * What gives way when an outbox file may not grow: events past their age, then telemetry thinned out level by level, then the oldest or the
 * newest, as configured. What is removed leaves a gap row in its place. Runs inside the transactions of the file it belongs to.
 */
import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type Database from 'better-sqlite3';
import type { BufferConfig } from '../config/schema.js';
import type { GapCause } from '../model.js';
import { type Corrections, correctStored } from './correction.js';
import {
  bytesInUse,
  deleteRow,
  HEAD_COLUMNS,
  headOf,
  insertRow,
  joinedHead,
  type RowHead,
  type SegmentHead,
  STREAMS,
  type StreamName,
  takeRow,
} from './rows.js';
import { isGap, type StoredSegment } from './segment.js';
import { MOST_LEVELS, thin } from './thinning.js';

const PAGE = 4096;
/** Bytes of the disk that are left free unless told otherwise. */
const MOST_KEPT_FREE = 100_000_000;
/** Most rows, and readings, that one slice of thinning takes: the bound on how long a commit may wait for it. */
const SLICE = { rows: 32, readings: 60_000 };
/** Thinning begins when this share of the room is used, … */
const HIGH_WATER = 0.9;
/** … and most slices that one commit does by itself before it removes. */
const SLICES_PER_COMMIT = 4;

/** What to do with a lane when the file is full. */
export type WhenFull = 'thin' | 'drop-oldest' | 'drop-newest';

/** How much a file may hold. */
export interface Limits {
  /** Most bytes on disk, write-ahead log included. */
  readonly size: number;
  /** Bytes of the disk to leave free; undefined: 100 MB, but not more than a twentieth of the disk. */
  readonly keepFree: number | undefined;
  readonly whenFull: Readonly<Record<StreamName, WhenFull>>;
  /** Most bytes of what the upstream refused for good. */
  readonly rejected: number;
}

/** The limits that a `buffer` sets. */
export function limitsOf({ size, keep_free: keepFree, when_full: whenFull, rejected }: BufferConfig): Limits {
  return { size, keepFree, whenFull, rejected };
}

/** Rows that nobody holds in memory: ids after the first and up to the second, but for those settled in part. */
export type Removable = Readonly<Record<StreamName, { after: number; upTo: number; settled: readonly number[] }>>;

/** What was taken away. Thinned events kept some of their values. */
export interface Removed {
  readonly stream: StreamName;
  readonly cause: GapCause | 'thinned';
  readonly events: number;
  readonly readings: number;
}

/** A gap, or a segment that is gone and becomes one. */
interface Piece {
  readonly id: number;
  readonly head: SegmentHead;
  readonly cause: GapCause;
  readonly gone: boolean;
}

/** Keeps one file within its limits. */
export class Budget {
  readonly #db: Database.Database;
  readonly #path: string;
  readonly #limits: Limits;
  /** Bytes that the write-ahead log may take. */
  readonly #reserve: number;
  readonly #corrections: Corrections;

  constructor(db: Database.Database, path: string, limits: Limits, reserve: number, corrections: Corrections) {
    this.#db = db;
    this.#path = path;
    this.#limits = limits;
    this.#reserve = reserve;
    this.#corrections = corrections;
  }

  /** Removes what was written before a time (milliseconds since 1970). What was written nobody knows when is older than what follows it. */
  expire(removable: Removable, before: number): Removed[] {
    const isOld = (heads: readonly SegmentHead[], place: number): boolean => {
      const { kept } = heads.find((head, i) => i >= place && head.kept !== null) ?? {};
      return typeof kept === 'number' && kept < before;
    };
    return STREAMS.flatMap((stream) => this.#removeOldest(stream, removable, 'expired', isOld) ?? []);
  }

  /** Removes some of what waits, because a person says so. Gives undefined when there is no more. */
  purge(stream: StreamName, removable: Removable): Removed | undefined {
    return this.#removeOldest(stream, removable, 'purged', () => true);
  }

  /** Bytes left until thinning should begin, before a commit has to wait for it; where nothing is thinned out, until the file is full. */
  get room(): number {
    return this.#most() * (this.#limits.whenFull.live === 'thin' ? HIGH_WATER : 1) - this.#used();
  }

  /** Bytes left until the file is full. */
  get free(): number {
    return this.#most() - this.#used();
  }

  /** True when there is no room left, and thinning can make some. */
  get wantsThinning(): boolean {
    return this.#limits.whenFull.live === 'thin' && this.room < 0;
  }

  /**
   * Makes room for `needed` bytes.
   * @returns what was removed, and whether it is enough
   */
  makeRoom(needed: number, removable: Removable): { removed: Removed[]; fits: boolean } {
    const removed: Removed[] = [];
    const fits = (): boolean => this.free >= needed;
    const { whenFull } = this.#limits;
    for (let slice = 0; whenFull.live === 'thin' && !fits() && slice < SLICES_PER_COMMIT; slice++) {
      const thinned = this.thinSlice(removable);
      if (!thinned) break;
      removed.push(thinned);
    }
    for (const stream of ['live', 'alarm'] as const)
      while (whenFull[stream] !== 'drop-newest' && !fits()) {
        const gone = this.#removeOldest(stream, removable, 'budget', () => !fits());
        if (!gone) break;
        removed.push(gone);
      }
    return { removed, fits: fits() };
  }

  /**
   * Thins out some telemetry: the oldest of the level that takes most room, so that each level covers twice the time of the one before.
   * @returns what is gone, or undefined when nothing can be thinned any more
   */
  thinSlice({ live: { after, upTo, settled } }: Removable): Removed | undefined {
    const level = this.#fullestLevel(after, upTo);
    if (level === undefined) return undefined;
    const rows = this.#slice(level, after, upTo, settled);
    const segments: StoredSegment[] = [];
    for (const [i, row] of rows.entries()) {
      const segment = this.#read(row);
      if (segment) segments.push(segment);
      else {
        // What cannot be read cannot be thinned: a gap says so in its place, and the slice ends before it.
        const device = takeRow(this.#db, 'live', row.id);
        insertRow(this.#db, 'live', row.id, { ...headOf(row, this.#corrections), device }, { gap: 'unreadable' });
        if (i === 0) return { stream: 'live', cause: 'unreadable', events: row.events, readings: row.readings };
        rows.length = i;
        break;
      }
    }
    if (rows.length === 0) return undefined;
    const { segment, readings, gone } = thin(segments, level + 1);
    const heads = rows.map((row) => headOf(row, this.#corrections));
    const whole = heads.reduce<SegmentHead | undefined>(joinedHead, undefined) as SegmentHead;
    for (const { id } of rows) deleteRow(this.#db, 'live', id);
    if (segment.events.length > 0) {
      const events = segment.events.filter((event) => !isGap(event)).length;
      const devices = new Set(segment.shapes.map(([device]) => device));
      const device = devices.size === 1 ? (segment.shapes[0]?.[0] ?? null) : null;
      const head = { ...whole, events, readings, device };
      const body = deflateRawSync(JSON.stringify(segment), { level: 5 });
      insertRow(this.#db, 'live', (rows.at(-1) as RowHead).id, head, { level: level + 1, body });
    }
    return { stream: 'live', cause: 'thinned', ...gone };
  }

  /** Bytes in use, with those that the write-ahead log may take. */
  #used(): number {
    return bytesInUse(this.#db) + this.#reserve;
  }

  /** Most bytes that the file and its log may have: the budget, or what it has by now and the disk can still give. */
  #most(): number {
    const pages = this.#db.pragma('page_count', { simple: true }) as number;
    const { bavail, bsize, blocks } = statfsSync(dirname(this.#path));
    const keepFree = this.#limits.keepFree ?? Math.min(MOST_KEPT_FREE, (blocks * bsize) / 20);
    return Math.min(this.#limits.size, pages * PAGE + this.#reserve + Math.max(0, bavail * bsize - keepFree));
  }

  /** Removes segments, oldest first, as long as `more` says so, and leaves a gap where the last of them was. */
  #removeOldest(
    stream: StreamName,
    removable: Removable,
    cause: GapCause,
    more: (heads: readonly SegmentHead[], place: number) => boolean,
  ): Removed | undefined {
    const { after, upTo, settled } = removable[stream];
    const rows = this.#db
      .prepare<[number, number], RowHead>(
        `SELECT ${HEAD_COLUMNS} FROM ${stream} WHERE id > ? AND id <= ? ORDER BY id LIMIT 1000`,
      )
      .all(after, upTo);
    const heads = rows.map((row) => headOf(row, this.#corrections));
    const gone = { stream, cause, events: 0, readings: 0 };
    /** What is gone, and the gaps right before and in between. */
    let run: Piece[] = [];
    let found = false;
    for (const [i, { id, gap }] of rows.entries()) {
      const head = heads[i] as SegmentHead;
      if (gap !== null) {
        run.push({ id, head, cause: gap, gone: false });
      } else if (settled.includes(id)) {
        if (found) break;
        run = [];
      } else {
        if (!more(heads, i)) break;
        found = true;
        run.push({ id, head: { ...head, device: takeRow(this.#db, stream, id) }, cause, gone: true });
        gone.events += head.events;
        gone.readings += head.readings;
      }
    }
    if (!found) return undefined;
    this.#leaveGaps(stream, run);
    return gone;
  }

  /**
   * Joins what is gone, and gaps: between two segments stands at most one of each cause and frame. So gaps stay few, whatever an outage
   * brings, and give the room back that they take.
   */
  #leaveGaps(stream: StreamName, run: readonly Piece[]): void {
    const kinds = new Map<string, Piece[]>();
    for (const piece of run) {
      const kind = `${piece.cause} ${this.#corrections.frameOf(piece.head)}`;
      const alike = kinds.get(kind);
      if (alike) alike.push(piece);
      else kinds.set(kind, [piece]);
    }
    for (const alike of kinds.values()) if (alike.length > 1 || alike[0]?.gone) this.#leaveGap(stream, alike);
  }

  #leaveGap(stream: StreamName, run: readonly Piece[]): void {
    const last = run.at(-1) as Piece;
    const head = run
      .map((piece) => this.#corrections.countedAs(piece.head, last.head.epoch))
      .reduce<SegmentHead | undefined>(joinedHead, undefined) as SegmentHead;
    // Nobody knows how many, when that is so of one part.
    const events = run.every((piece) => piece.head.events > 0) ? head.events : 0;
    for (const { id, gone } of run) if (!gone) deleteRow(this.#db, stream, id);
    insertRow(this.#db, stream, last.id, { ...head, events }, { gap: last.cause });
  }

  #fullestLevel(after: number, upTo: number): number | undefined {
    return this.#db
      .prepare<[number, number, number], { level: number }>(
        `SELECT level FROM live WHERE id > ? AND id <= ? AND gap IS NULL AND level < ?
         GROUP BY level ORDER BY sum(length(body)) DESC, level LIMIT 1`,
      )
      .get(after, upTo, MOST_LEVELS)?.level;
  }

  /** The oldest neighbouring rows of a level and one start, whose times count alike. */
  #slice(level: number, after: number, upTo: number, settled: readonly number[]): RowHead[] {
    const rows: RowHead[] = [];
    let readings = 0;
    const found = this.#db
      .prepare<[number, number], RowHead>(`SELECT ${HEAD_COLUMNS} FROM live WHERE id > ? AND id <= ? ORDER BY id`)
      .iterate(after, upTo);
    for (const row of found) {
      const fits = row.level === level && row.gap === null && !settled.includes(row.id);
      if (!fits && rows.length === 0) continue;
      readings += row.readings;
      const full = rows.length === SLICE.rows || (rows.length > 0 && readings > SLICE.readings);
      if (!fits || full || (rows[0] && !this.#countAlike(rows[0], row))) break;
      rows.push(row);
    }
    return rows;
  }

  #countAlike(a: RowHead, b: RowHead): boolean {
    const [first, second] = [headOf(a, this.#corrections), headOf(b, this.#corrections)];
    return first.epoch === second.epoch && (first.kept === null) === (second.kept === null);
  }

  /** A segment, or undefined when it cannot be read: thinning then leaves it out. */
  #read({ id, epoch }: RowHead): StoredSegment | undefined {
    const body = this.#db.prepare<[number], Buffer>('SELECT body FROM live WHERE id = ?').pluck().get(id);
    try {
      if (!body) return undefined;
      const segment = JSON.parse(inflateRawSync(body).toString('utf8')) as StoredSegment;
      correctStored(segment, this.#corrections.of(epoch));
      return segment;
    } catch {
      return undefined;
    }
  }
}
