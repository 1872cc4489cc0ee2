/**
 * What gives way when an outbox file may not grow: events past their age, then telemetry thinned out level by level, then the oldest or the
 * newest, as configured. What is removed leaves a gap row in its place. Runs inside the transactions of the file it belongs to.
 */
import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { BufferConfig } from '../config/schema.js';
import type { GapCause } from '../model.js';
import type { Database } from '../ops/sqlite.js';
import { deflated, inflated } from './body.js';
import { type Corrections, correctStored } from './correction.js';
import {
  bytesInUse,
  headOf,
  joinedHead,
  type RowHead,
  type Rows,
  type SegmentHead,
  STREAMS,
  type StreamName,
} from './rows.js';
import { isWhole, type StoredSegment } from './segment.js';
import { joined, MOST_LEVELS, thin } from './thinning.js';

/** Bytes of the disk that are left free unless told otherwise. */
const MOST_KEPT_FREE = 100_000_000;
/** Most rows that are removed for one reason in one commit. */
const MOST_REMOVED = 1_000;
/**
 * Most rows and readings that one slice of thinning takes, and about how many milliseconds: a commit waits for one slice at most. On slow
 * boards it takes fewer readings, but two rows (up to `pair` readings): alone, what a row holds of a bucket never becomes less.
 */
const SLICE = { rows: 32, readings: 60_000, pair: 120_000, time: 100 };
/** Small rows are joined until they hold so many readings, or there are so many of them; a row with a quarter of that is not small. */
const JOINED = { rows: 64, readings: 2_000 };
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
  readonly #db: Database;
  readonly #path: string;
  readonly #limits: Limits;
  /** Bytes that the write-ahead log may take. */
  readonly #reserve: number;
  readonly #rows: Rows;
  readonly #corrections: Corrections;
  /** By level: no row of it up to this one can be thinned out. So a slice does not look through all that was thinned out before. */
  readonly #thinnedUpTo = new Map<number, number>();
  /** Readings that a slice may take on this machine. */
  #sliceReadings = SLICE.readings;
  /** Rows up to this one are joined as far as they can be. */
  #joinedUpTo: number;

  constructor(db: Database, rows: Rows, path: string, limits: Limits, reserve: number, corrections: Corrections) {
    this.#db = db;
    this.#rows = rows;
    this.#path = path;
    this.#limits = limits;
    this.#reserve = reserve;
    this.#corrections = corrections;
    // What an earlier start left is not looked through for the few rows that it did not come to.
    this.#joinedUpTo = rows.extent('live', corrections).lastId - JOINED.rows;
  }

  /** Removes what was written before a time (milliseconds since 1970). What was written nobody knows when is older than what follows it. */
  expire(removable: Removable, before: number): Removed[] {
    const isOld = ({ kept }: SegmentHead, keptAfter: () => number | undefined): boolean =>
      (kept ?? keptAfter() ?? Number.POSITIVE_INFINITY) < before;
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
  thinSlice({ live }: Removable): Removed | undefined {
    for (const level of this.#rows.levels('live')) {
      const rows = level < MOST_LEVELS ? this.#slice(level, live) : [];
      if (rows.length > 0) return this.#timed(rows, () => this.#thin(level, rows));
    }
    return undefined;
  }

  /** Does a slice, and learns from it how much the next one may take. */
  #timed(rows: readonly RowHead[], slice: () => Removed): Removed {
    const readings = rows.reduce((sum, row) => sum + row.readings, 0);
    const began = performance.now();
    const removed = slice();
    const due = (readings * SLICE.time) / Math.max(0.1, performance.now() - began);
    // Slowly up: a disk that stalled once says little of the next slice.
    this.#sliceReadings = Math.min(SLICE.readings, due, this.#sliceReadings * 2);
    return removed;
  }

  /** After a transaction that failed: what was thinned out in it was not. */
  forget(): void {
    this.#thinnedUpTo.clear();
  }

  #thin(level: number, rows: RowHead[]): Removed {
    const segments: StoredSegment[] = [];
    for (const [i, row] of rows.entries()) {
      const segment = this.#read(row);
      if (segment) segments.push(segment);
      else if (i > 0) {
        rows.length = i;
        break;
      } else {
        // What cannot be read cannot be thinned: a gap says so in its place.
        const device = this.#rows.take('live', row.id);
        this.#rows.insert('live', row.id, { ...headOf(row, this.#corrections), device }, { gap: 'unreadable' });
        return { stream: 'live', cause: 'unreadable', events: row.events, readings: row.readings };
      }
    }
    const { segment, readings, gone } = thin(segments, level + 1);
    this.#replace(rows, segment, { level: level + 1, readings });
    this.#thinnedUpTo.set(level, (rows.at(-1) as RowHead).id);
    return { stream: 'live', cause: 'thinned', ...gone };
  }

  /**
   * Joins small neighbouring rows: where little is read a second, most of a row is what it shares with the next.
   * @returns true when there may be more
   */
  join({ live: { after, upTo, settled } }: Removable): boolean {
    let at = Math.max(after, this.#joinedUpTo);
    if (upTo - at < JOINED.rows) return false;
    const rows: RowHead[] = [];
    let readings = 0;
    for (let row = this.#rows.next('live', at, upTo); row; row = this.#rows.next('live', at, upTo)) {
      if (rows.length === JOINED.rows || readings >= JOINED.readings) break;
      const small = row.level === 0 && row.gap === null && row.readings < JOINED.readings / 4;
      const fits = small && !settled.includes(row.id) && this.#countAlike(rows[0] ?? row, row);
      if (!fits && rows.length > 0) break;
      at = row.id;
      if (!fits) continue;
      rows.push(row);
      readings += row.readings;
    }
    const segments = rows.map((row) => this.#read(row));
    if (rows.length > 1 && segments.every((segment) => segment !== undefined))
      this.#replace(rows, joined(segments), { level: 0, readings });
    this.#joinedUpTo = at;
    return true;
  }

  /** Puts one segment in the place of neighbouring rows. */
  #replace(
    rows: readonly RowHead[],
    segment: StoredSegment,
    { level, readings }: { level: number; readings: number },
  ): void {
    const heads = rows.map((row) => headOf(row, this.#corrections));
    const whole = heads.reduce<SegmentHead | undefined>(joinedHead, undefined) as SegmentHead;
    const { id } = rows.at(-1) as RowHead;
    for (const row of rows) this.#rows.delete('live', row.id);
    if (segment.events.length === 0) return;
    const events = segment.events.filter((event) => !isWhole(event)).length;
    const devices = new Set(segment.shapes.map(([device]) => device));
    const device = devices.size === 1 ? (segment.shapes[0]?.[0] ?? null) : null;
    const head = { ...whole, events, readings, device };
    this.#rows.insert('live', id, head, { level, body: deflated(JSON.stringify(segment)) });
    this.#thinnedUpTo.set(level, Math.min(id - 1, this.#thinnedUpTo.get(level) ?? 0));
  }

  /** Bytes in use, with those that the write-ahead log may take, and those that are to be carried over from a damaged file. */
  #used(): number {
    return this.#rows.legs.reduce((sum, { bytes }) => sum + bytes, bytesInUse(this.#db) + this.#reserve);
  }

  /** Most bytes that the file and its log may have: the budget, or what it has by now and the disk can still give. */
  #most(): number {
    const [pages, page] = ['page_count', 'page_size'].map(
      (name) => this.#db.pragma(name, { simple: true }) as number,
    ) as [number, number];
    const { bavail, bsize, blocks } = statfsSync(dirname(this.#path));
    const keepFree = this.#limits.keepFree ?? Math.min(MOST_KEPT_FREE, (blocks * bsize) / 20);
    return Math.min(this.#limits.size, pages * page + this.#reserve + Math.max(0, bavail * bsize - keepFree));
  }

  /** Removes segments, oldest first, as long as `more` says so, and leaves a gap where the last of them was. */
  #removeOldest(
    stream: StreamName,
    removable: Removable,
    cause: GapCause,
    more: (head: SegmentHead, keptAfter: () => number | undefined) => boolean,
  ): Removed | undefined {
    const { after, upTo, settled } = removable[stream];
    const gone = { stream, cause, events: 0, readings: 0 };
    /** What is gone, and the gaps right before and in between. */
    let run: Piece[] = [];
    let found = 0;
    let row = this.#rows.next(stream, after, upTo);
    for (; row && found < MOST_REMOVED; row = this.#rows.next(stream, row.id, upTo)) {
      const { id, gap } = row;
      const head = headOf(row, this.#corrections);
      if (gap !== null) {
        run.push({ id, head, cause: gap, gone: false });
      } else if (settled.includes(id)) {
        if (found > 0) break;
        run = [];
      } else {
        if (!more(head, () => this.#keptAfter(stream, id, upTo))) break;
        found++;
        run.push({ id, head: { ...head, device: this.#rows.take(stream, id) }, cause, gone: true });
        gone.events += head.events;
        gone.readings += head.readings;
      }
    }
    if (found === 0) return undefined;
    this.#leaveGaps(stream, run);
    return gone;
  }

  /** When the next row was written of which that is known; undefined when it is far. */
  #keptAfter(stream: StreamName, id: number, upTo: number): number | undefined {
    let row = this.#rows.next(stream, id, upTo);
    for (let n = 0; row && n < MOST_REMOVED; n++) {
      const { kept } = headOf(row, this.#corrections);
      if (kept !== null) return kept;
      row = this.#rows.next(stream, row.id, upTo);
    }
    return undefined;
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
    for (const { id, gone } of run) if (!gone) this.#rows.delete(stream, id);
    this.#rows.insert(stream, last.id, { ...head, events }, { gap: last.cause });
  }

  /** The oldest neighbouring rows of a level and one start, whose times count alike. */
  #slice(level: number, { after, upTo, settled }: Removable[StreamName]): RowHead[] {
    const rows: RowHead[] = [];
    let readings = 0;
    let passed = Math.max(after, this.#thinnedUpTo.get(level) ?? 0);
    for (let row = this.#rows.next('live', passed, upTo); row; row = this.#rows.next('live', row.id, upTo)) {
      const fits = row.level === level && row.gap === null && !settled.includes(row.id);
      if (!fits && rows.length === 0) {
        passed = row.id;
        continue;
      }
      readings += row.readings;
      const most = rows.length > 1 ? this.#sliceReadings : SLICE.pair;
      const full = rows.length === SLICE.rows || (rows.length > 0 && readings > most);
      if (!fits || full || (rows[0] && !this.#countAlike(rows[0], row))) break;
      rows.push(row);
    }
    this.#thinnedUpTo.set(level, passed);
    return rows;
  }

  #countAlike(a: RowHead, b: RowHead): boolean {
    const [first, second] = [headOf(a, this.#corrections), headOf(b, this.#corrections)];
    return first.epoch === second.epoch && (first.kept === null) === (second.kept === null);
  }

  /** A segment, or undefined when it cannot be read: thinning then leaves it out. */
  #read({ id, epoch }: RowHead): StoredSegment | undefined {
    const body = this.#db.prepare<[number], Buffer>('SELECT body FROM live WHERE id = ?').pluck().get(id);
    const text = body && inflated(body);
    try {
      if (text === undefined) return undefined;
      const segment = JSON.parse(text) as StoredSegment;
      correctStored(segment, this.#corrections.of(epoch));
      return segment;
    } catch {
      return undefined;
    }
  }
}
