/**
 * What an outbox file holds in all, so that nobody has to count its rows: a start with ten million readings takes no longer than one with
 * none. It is written with every change but for the newest rows, of which so few are left out that they are soon counted.
 */
import type { Database } from '../ops/sqlite.js';
import { STREAMS, type StreamName } from './rows.js';

/** Rows added until the stock is written again, which costs a page: the bound on what is counted at a start. */
const MOST_UNCOUNTED = 256;

/** What the rows of one level hold; gaps are left out. */
export interface Holding {
  events: number;
  readings: number;
  bytes: number;
}

/** What a stream holds, by level of thinning, and up to which row the file itself says so. */
interface StreamStock {
  readonly levels: Holding[];
  writtenUpTo: number;
  lastId: number;
  /** True when rows have changed that what is written counts. */
  stale: boolean;
}

/** The stock of an open file. Changes belong to a transaction that ends with `write`. */
export class Stock {
  readonly #db: Database;
  #streams: Record<StreamName, StreamStock>;

  constructor(db: Database) {
    this.#db = db;
    this.#streams = this.#read();
  }

  /** By level. */
  of(stream: StreamName): readonly Readonly<Holding>[] {
    return this.#streams[stream].levels;
  }

  /** Counts a row in, or with negative numbers out. */
  add(stream: StreamName, id: number, level: number, holding: Holding): void {
    const stock = this.#streams[stream];
    addTo(stock.levels, level, holding);
    stock.lastId = Math.max(stock.lastId, id);
    if (id <= stock.writtenUpTo) stock.stale = true;
  }

  /** Ends a transaction. At the end of all, nothing is left to be counted. */
  write(mostUncounted = MOST_UNCOUNTED): void {
    for (const stream of STREAMS) {
      const stock = this.#streams[stream];
      if (!stock.stale && stock.lastId - stock.writtenUpTo <= mostUncounted) continue;
      this.#db
        .prepare('INSERT OR REPLACE INTO stock VALUES (?, ?, ?)')
        .run(stream, stock.lastId, JSON.stringify(stock.levels));
      stock.writtenUpTo = stock.lastId;
      stock.stale = false;
    }
  }

  /** What it is before a transaction. */
  copy(): Record<StreamName, StreamStock> {
    return structuredClone(this.#streams);
  }

  /** Forgets what a transaction that failed changed, also where the file cannot be asked any more. */
  goBackTo(copy: Record<StreamName, StreamStock>): void {
    this.#streams = copy;
  }

  #read(): Record<StreamName, StreamStock> {
    const streamStock = (stream: StreamName): StreamStock => {
      const { levels, upTo } = read(this.#db, stream);
      const lastId = this.#db.prepare<[], number>(`SELECT coalesce(max(id), 0) FROM ${stream}`).pluck().get() as number;
      // Ids begin anew in a file that was emptied: below the number written, rows would not be counted.
      return { levels, writtenUpTo: upTo, lastId, stale: lastId < upTo };
    };
    return { alarm: streamStock('alarm'), live: streamStock('live') };
  }
}

/** What a stream holds, by level. */
export function readStock(db: Database, stream: StreamName): Holding[] {
  return read(db, stream).levels;
}

/** What the file itself says that the rows of a stream up to one of them hold. */
export function readWritten(db: Database, stream: StreamName): { levels: Holding[]; upTo: number } {
  // A file that no Tidegate of this format has opened yet says nothing.
  const says = db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'stock'").get() !== undefined;
  const sql = 'SELECT up_to, levels FROM stock WHERE stream = ?';
  const written = says ? db.prepare<[string], { up_to: number; levels: string }>(sql).get(stream) : undefined;
  return { levels: JSON.parse(written?.levels ?? '[]') as Holding[], upTo: written?.up_to ?? 0 };
}

function read(db: Database, stream: StreamName): { levels: Holding[]; upTo: number } {
  const { levels, upTo } = readWritten(db, stream);
  const newer = db
    .prepare<[number], Holding & { level: number }>(
      `SELECT level, sum(events) AS events, sum(readings) AS readings, sum(length(body)) AS bytes FROM ${stream}
       WHERE id > ? AND gap IS NULL GROUP BY level`,
    )
    .all(upTo);
  for (const { level, ...holding } of newer) addTo(levels, level, holding);
  return { levels, upTo };
}

function addTo(levels: Holding[], level: number, { events, readings, bytes }: Holding): void {
  while (levels.length <= level) levels.push({ events: 0, readings: 0, bytes: 0 });
  const holding = levels[level] as Holding;
  holding.events += events;
  holding.readings += readings;
  holding.bytes += bytes;
}
