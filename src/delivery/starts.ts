/** The starts of an outbox file: each has a number of its own, and may learn later how wrong its clock was. */

import type { TimeBase } from '../ops/clock.js';
import type { Database } from '../ops/sqlite.js';
import type { Corrections, Start } from './correction.js';
import { type Rows, STREAMS } from './rows.js';

/** Begins a start, and forgets those that have left nothing. From here on the file says how much it holds, so that a loss can be told. */
export function beginStart(db: Database, rows: Rows, { boot, zero }: TimeBase): Start[] {
  rows.finish();
  const last = db.prepare<[], number | null>('SELECT max(epoch) FROM starts').pluck().get() ?? 0;
  // Rows stand in the order of starts: none before that of a first row has left anything.
  const first = STREAMS.map((stream) => `SELECT * FROM (SELECT epoch FROM ${stream} ORDER BY id LIMIT 1)`);
  const firsts = [...first, 'SELECT min(epoch) AS epoch FROM rejected'].join(' UNION ALL ');
  db.exec(`DELETE FROM starts WHERE epoch < (SELECT coalesce(min(epoch), ${last + 1}) FROM (${firsts}))`);
  insertStart(db, { epoch: last + 1, boot, zero, correction: null });
  return readStarts(db);
}

/** Writes a start. */
export function insertStart(db: Database, { epoch, boot, zero, correction }: Start): void {
  db.prepare('INSERT OR REPLACE INTO starts (epoch, boot, zero, correction) VALUES (?, ?, ?, ?)').run(
    epoch,
    boot,
    zero,
    correction,
  );
}

/** All starts of a file, the oldest first. One of an earlier format knows nothing of clocks. */
export function readStarts(db: Database): Start[] {
  const rows = db.prepare<[], Partial<Start> & { epoch: number }>('SELECT * FROM starts ORDER BY epoch').all();
  return rows.map(({ epoch, boot = null, zero = null, correction = null }) => ({ epoch, boot, zero, correction }));
}

/** The clock is set: writes down what that tells of each start. */
export function learnTime(db: Database, corrections: Corrections, base: TimeBase): void {
  for (const start of corrections.learn(base)) insertStart(db, start);
}
