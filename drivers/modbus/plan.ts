/** Joins points into the requests that cost the least. Pure: no sockets, no clock. */
import type { Point } from '../../src/model.js';
import { type Codec, codecOf } from './codec.js';
import { DATA_AT, readRequest } from './frame.js';
import { costOf, FEWEST, type Price } from './price.js';
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
  /** What it was made for. */
  readonly price: Price;
  /** Milliseconds that the requests take, probes left out. */
  readonly cost: number;
  /** The request to begin with; moved on when one stays without reply, so that it does not hide the others. */
  first: number;
}

const NO_LESSONS: Lessons = { isCut: () => false, bad: [] };

/**
 * The cheapest requests that read all points: never more than the maximum at once, never across a gap wider than allowed,
 * a forbidden range, or what `lessons` forbid; never splitting a point.
 */
export function planReads(
  unit: number,
  points: readonly ModbusPoint[],
  limits: Limits,
  lessons: Lessons = NO_LESSONS,
  price: Price = FEWEST,
  first = 0,
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
    const joins = (previous: Entry, end: number, entry: Entry): boolean =>
      entry.address - end <= limits.maxGap &&
      !(entry.address > end && touches(blocked, end, entry.address)) &&
      !isCutBetween(lessons, table, previous.address, entry.address);
    for (const entries of cheapest(good, most, joins, (count) => costOf(price, table, count)))
      requests.push(makeRequest(unit, table, entries));
    for (const entries of sick.values()) probes.push(makeRequest(unit, table, entries));
  }
  const cost = requests.reduce((sum, { table, count }) => sum + costOf(price, table, count), 0);
  return { requests, probes, refused, price, cost, first: first % Math.max(1, requests.length) };
}

/**
 * Cuts sorted entries into runs of the least total cost, by going backwards: the best of what begins at an entry is its cheapest first run
 * and the best of what follows. Among equals the longest first run.
 */
function cheapest(
  entries: readonly Entry[],
  most: number,
  joins: (previous: Entry, end: number, entry: Entry) => boolean,
  cost: (count: number) => number,
): Entry[][] {
  const best: { cost: number; next: number }[] = [];
  best[entries.length] = { cost: 0, next: entries.length };
  for (let from = entries.length - 1; from >= 0; from -= 1) {
    const first = entries[from] as Entry;
    let found = { cost: Number.POSITIVE_INFINITY, next: from + 1 };
    let end = first.address;
    for (let at = from; at < entries.length; at += 1) {
      const entry = entries[at] as Entry;
      if (at > from && !joins(entries[at - 1] as Entry, end, entry)) break;
      end = Math.max(end, entry.address + entry.codec.span);
      if (end - first.address > most) break;
      const total = cost(end - first.address) + (best[at + 1] as { cost: number }).cost;
      if (total <= found.cost) found = { cost: total, next: at + 1 };
    }
    best[from] = found;
  }
  const runs: Entry[][] = [];
  for (let from = 0; from < entries.length; from = (best[from] as { next: number }).next)
    runs.push(entries.slice(from, (best[from] as { next: number }).next));
  return runs;
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
