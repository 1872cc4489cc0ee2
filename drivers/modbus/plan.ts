/** Joins points into the fewest requests. Pure: no sockets, no clock. */
import type { Point } from '../../src/model.js';
import { type Codec, codecOf } from './codec.js';
import { DATA_AT, readRequest } from './frame.js';
import { isBitTable, type Limits, type ModbusAddress, TABLES, type Table } from './schema.js';

type ModbusPoint = Point<ModbusAddress>;

/** One point within a request. */
export interface Entry {
  /** In the array of points asked for. */
  readonly index: number;
  readonly address: number;
  readonly codec: Codec;
  /** Where the point lies in the reply: byte (registers) or bit number (bits). */
  readonly at: number;
}

/** One read on the wire. */
export interface Request {
  readonly table: Table;
  readonly address: number;
  /** Registers or bits. */
  readonly count: number;
  /** By address. */
  readonly entries: readonly Entry[];
  readonly frame: Buffer;
}

/** Registers or bits that failed by themselves: not read with others, nor between others. */
export interface BadCell {
  readonly table: Table;
  readonly address: number;
  readonly span: number;
}

/** What was learned about a device beyond its settings. */
export interface Lessons {
  /** True when no request may hold both this address and the one before it. */
  isCut(table: Table, address: number): boolean;
  readonly bad: Iterable<BadCell>;
}

/** How a set of points is read. */
export interface Plan {
  readonly requests: readonly Request[];
  /** Points in bad cells, as requests of their own: asked only to see whether they have healed. */
  readonly probes: readonly Request[];
  /** Points that are never asked for, and why. */
  readonly refused: readonly { readonly index: number; readonly reason: string }[];
  /** The request to begin with; moved on when one stays without reply, so that it does not hide the others. */
  first: number;
}

const NO_LESSONS: Lessons = { isCut: () => false, bad: [] };

/**
 * The fewest requests that read all points: never more than the maximum at once, never across a gap wider than allowed,
 * a forbidden range, or what `lessons` forbid; never splitting a point.
 */
export function planReads(
  unit: number,
  points: readonly ModbusPoint[],
  limits: Limits,
  lessons: Lessons = NO_LESSONS,
): Plan {
  const bad = [...lessons.bad];
  const requests: Request[] = [];
  const probes: Request[] = [];
  const refused: { index: number; reason: string }[] = [];
  for (const table of TABLES) {
    const most = isBitTable(table) ? limits.maxBits : limits.maxRegisters;
    const badHere = bad.filter((cell) => cell.table === table);
    const blocked = [
      ...limits.forbidden,
      ...badHere.map(({ address, span }) => [address, address + span - 1] as const),
    ];
    const good: Entry[] = [];
    const sick = new Map<BadCell, Entry[]>();
    for (const entry of entriesOf(points, table)) {
      const end = entry.address + entry.codec.span;
      const reason = refusal(entry.address, end, most, limits);
      const cell = badHere.find((it) => it.address === entry.address && it.span === entry.codec.span);
      if (reason) refused.push({ index: entry.index, reason });
      else if (cell) sick.set(cell, [...(sick.get(cell) ?? []), entry]);
      else good.push(entry);
    }
    let open: Entry[] = [];
    let end = 0;
    for (const entry of good) {
      const first = open[0];
      const newEnd = Math.max(end, entry.address + entry.codec.span);
      const joins =
        first !== undefined &&
        newEnd - first.address <= most &&
        entry.address - end <= limits.maxGap &&
        !(entry.address > end && touches(blocked, end, entry.address)) &&
        !isCutBetween(lessons, table, (open.at(-1) as Entry).address, entry.address);
      if (!joins && open.length > 0) {
        requests.push(makeRequest(unit, table, open));
        open = [];
      }
      end = joins ? newEnd : entry.address + entry.codec.span;
      open.push(entry);
    }
    if (open.length > 0) requests.push(makeRequest(unit, table, open));
    for (const entries of sick.values()) probes.push(makeRequest(unit, table, entries));
  }
  return { requests, probes, refused, first: 0 };
}

function entriesOf(points: readonly ModbusPoint[], table: Table): Entry[] {
  return points
    .map((point, index) => ({ point, index }))
    .filter(({ point }) => point.address.table === table)
    .map(({ point, index }) => ({ index, address: point.address.address, codec: codecOf(point), at: 0 }))
    .sort((a, b) => a.address - b.address || a.codec.span - b.codec.span || a.index - b.index);
}

function refusal(address: number, end: number, most: number, limits: Limits): string | undefined {
  if (end - address > most) return `takes ${end - address} registers, more than one request may read (${most})`;
  if (touches(limits.forbidden, address, end)) return 'in a forbidden range';
  return undefined;
}

/** Whether any inclusive range meets `from` (inclusive) to `to` (exclusive). */
function touches(ranges: readonly (readonly [number, number])[], from: number, to: number): boolean {
  return ranges.some(([first, last]) => first < to && last >= from);
}

/** Cuts lie where a point begins, so a request that starts at `from` and is to hold a point at `to` crosses those after `from`, up to `to`. */
function isCutBetween(lessons: Lessons, table: Table, from: number, to: number): boolean {
  for (let address = from + 1; address <= to; address += 1) if (lessons.isCut(table, address)) return true;
  return false;
}

/** One request for entries that are sorted by address. */
export function makeRequest(unit: number, table: Table, entries: readonly Entry[]): Request {
  const address = (entries[0] as Entry).address;
  const count = entries.reduce((end, entry) => Math.max(end, entry.address + entry.codec.span), 0) - address;
  const size = isBitTable(table) ? 1 : 2;
  const start = isBitTable(table) ? DATA_AT * 8 : DATA_AT;
  return {
    table,
    address,
    count,
    entries: entries.map((entry) => ({ ...entry, at: start + (entry.address - address) * size })),
    frame: readRequest(unit, table, address, count),
  };
}

/**
 * Splits a request that a device refused: at the gap nearest to its middle, for unmapped registers mostly lie in gaps; without gaps, in the
 * middle. Undefined when all its points are the same registers.
 */
export function halve(unit: number, request: Request): [Request, Request] | undefined {
  const { entries, table } = request;
  let best = 0;
  let bestScore = Infinity;
  let end = 0;
  for (let at = 0; at < entries.length; at += 1) {
    const { address, codec } = entries[at] as Entry;
    const before = entries[at - 1];
    if (before && (before.address !== address || before.codec.span !== codec.span)) {
      const score = Math.abs(at - entries.length / 2) + (address > end ? 0 : entries.length);
      if (score < bestScore) [best, bestScore] = [at, score];
    }
    end = Math.max(end, address + codec.span);
  }
  if (best === 0) return undefined;
  return [makeRequest(unit, table, entries.slice(0, best)), makeRequest(unit, table, entries.slice(best))];
}
