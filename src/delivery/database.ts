/** The database of an outbox file: its settings, and the parts that work on it. */
import type { Database } from '../ops/sqlite.js';
import { Budget, type Limits } from './budget.js';
import { Carrier } from './carrier.js';
import type { Corrections } from './correction.js';
import { type Ledger, openLedger } from './counters.js';
import { bringUpToDate, formatOf, Rows } from './rows.js';

/** Bytes of a page. Each commit writes whole pages, a few of them for its own sake: small ones spare the card. */
const PAGE = 1024;
/** Bytes of the write-ahead log, but not more than this share of the file. */
const LOG = { most: 4_000 * PAGE, least: 256 * PAGE, share: 1 / 32 };

/** What belongs to one database: all of it is replaced when that turns out to be damaged. */
export interface Opened {
  readonly db: Database;
  /** Bytes of a page. */
  readonly page: number;
  readonly rows: Rows;
  readonly budget: Budget;
  readonly ledger: Ledger;
  readonly carrier: Carrier;
}

/**
 * Settings of a connection: `synchronous` falls back to NORMAL whenever a WAL file is opened again, so all are set at each open. A file that is
 * larger than its limit already stays so, and grows no more; one that was made with other pages keeps them.
 */
export function openParts(db: Database, path: string, limits: Limits, corrections: Corrections): Opened {
  const { size } = limits;
  formatOf(db); // before anything is changed
  db.pragma(`page_size = ${PAGE}`);
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.pragma('cache_size = -1024');
  bringUpToDate(db);
  const page = db.pragma('page_size', { simple: true }) as number;
  const log = Math.min(LOG.most, Math.max(LOG.least, size * LOG.share));
  db.pragma(`wal_autocheckpoint = ${Math.floor(log / page)}`);
  db.pragma(`journal_size_limit = ${log}`);
  db.pragma(`max_page_count = ${Math.floor(size / page)}`);
  const rows = new Rows(db);
  const budget = new Budget(db, rows, path, limits, 2 * log, corrections);
  const ledger = openLedger(db);
  return { db, page, rows, budget, ledger, carrier: new Carrier(db, rows, ledger, path) };
}
