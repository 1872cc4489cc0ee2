/**
 * Where the pages of an SQLite table begin and end. SQLite itself cannot be asked that, and behind a page that is damaged it is what tells where to
 * read on. Source: SQLite, "Database File Format", 1.6 "B-tree Pages".
 */
import { closeSync, openSync, readSync } from 'node:fs';
import type { Database } from '../ops/sqlite.js';

/** First byte of a page that only says which rows stand on which pages. */
const INTERIOR_TABLE = 0x05;
/** Its header: the kind, the number of cells at 3, the last page at 8; then where each cell is, in the order of row ids. */
const HEADER = 12;
/** A cell, at least: the page, and the highest row id that may stand on it. */
const CELL = 4 + 1;
/** SQLite allows no deeper trees. */
const DEEPEST = 20;

/**
 * The highest row id that may stand on the same page as another one, as far as the pages above can be read; Infinity for the last page.
 * @param db may be damaged; its log is folded into the file, as the pages are read there
 * @throws the database's own error when the log cannot be folded, or the file not be read
 */
export function endOfPage(db: Database, table: string, id: number): number {
  if (!db.readonly) db.pragma('wal_checkpoint(TRUNCATE)');
  const root = db.prepare<[string], number>('SELECT rootpage FROM sqlite_master WHERE name = ?').pluck().get(table);
  const page = Buffer.alloc(db.pragma('page_size', { simple: true }) as number);
  const file = openSync(db.name, 'r');
  try {
    let end = Number.POSITIVE_INFINITY;
    let next = root;
    for (let depth = 0; next && depth < DEEPEST; depth++) {
      const read = readSync(file, page, 0, page.length, (next - 1) * page.length);
      if (read < page.length || page[0] !== INTERIOR_TABLE) break;
      const cell = cellsOf(page).find(({ upTo }) => upTo >= id);
      if (cell) end = Math.min(end, cell.upTo);
      next = cell?.page ?? page.readUInt32BE(8);
    }
    return end;
  } finally {
    closeSync(file);
  }
}

/** What an interior page says, as far as it makes sense. */
function cellsOf(page: Buffer): { page: number; upTo: number }[] {
  const places = Math.min(page.readUInt16BE(3), (page.length - HEADER) >> 1);
  return Array.from({ length: places }, (_, i) => page.readUInt16BE(HEADER + 2 * i))
    .filter((at) => at <= page.length - CELL)
    .map((at) => ({ page: page.readUInt32BE(at), upTo: varint(page, at + 4) }));
}

/** A number in groups of seven bits, the highest first; the ninth byte would be a group of eight, of numbers that are no row's. */
function varint(bytes: Buffer, at: number): number {
  let value = 0;
  for (let i = 0; i < 9; i++) {
    const byte = bytes[at + i] ?? 0;
    value = value * 128 + (byte & 0x7f);
    if (byte < 0x80) break;
  }
  return value;
}
