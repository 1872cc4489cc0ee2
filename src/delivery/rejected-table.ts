/** The table of an outbox file that keeps what the upstream refused for good (Dead Letter Channel): bounded, the oldest give way. */

import type { Event } from '../model.js';
import type { Database } from '../ops/sqlite.js';
import { deflated, inflated } from './body.js';
import type { StreamName } from './rows.js';
import { readSegment } from './segment.js';

/** One refused event. */
export interface Rejected {
  readonly epoch: number;
  readonly seq: number;
  readonly stream: StreamName;
  /** When it was refused, milliseconds since 1970. */
  readonly at: number;
  /** True when it left as backlog. */
  readonly late: boolean;
  /** The words of the refusal. */
  readonly reason: string;
  /** A segment of this event alone. */
  readonly text: string;
}

/** One row. */
export interface RejectedRow extends Omit<Rejected, 'late' | 'text'> {
  readonly id: number;
  readonly late: 0 | 1;
  readonly body: Buffer;
}

/** What became of refused events. */
export interface Kept {
  /** The highest id that was given; 0 when the table is empty. */
  readonly last: number;
  /** Events that the table keeps now. */
  readonly kept: number;
  /** Events that had to be forgotten. */
  readonly forgotten: number;
}

/** Creates the table. Ids only grow. */
export const REJECTED_TABLE = `CREATE TABLE IF NOT EXISTS rejected (id INTEGER PRIMARY KEY AUTOINCREMENT, epoch INTEGER NOT NULL,
  seq INTEGER NOT NULL, stream TEXT NOT NULL, at INTEGER NOT NULL, late INTEGER NOT NULL, reason TEXT NOT NULL, body BLOB NOT NULL,
  UNIQUE (epoch, seq))`;

/** Bytes of a row beside its body and reason, its index entry included; roughly. */
const ROW = 100;
const SIZE = `length(body) + length(reason) + ${ROW}`;

/** False for a file of an older Tidegate. */
export function hasRejected(db: Database): boolean {
  return db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'rejected'").get() !== undefined;
}

/** What is kept. */
export function keptIn(db: Database): Kept {
  const row = db
    .prepare<[], Kept>('SELECT count(*) AS kept, coalesce(max(id), 0) AS last, 0 AS forgotten FROM rejected')
    .get();
  if (!row) throw new TypeError('an aggregate gives one row');
  return row;
}

/** Takes the oldest out, up to an id. */
export function takeRejected(db: Database, upTo: number, most: number): RejectedRow[] {
  const rows = db
    .prepare<[number, number], RejectedRow>('SELECT * FROM rejected WHERE id <= ? ORDER BY id LIMIT ?')
    .all(upTo, most);
  db.prepare('DELETE FROM rejected WHERE id <= ?').run(rows.at(-1)?.id ?? 0);
  return rows;
}

/** The event of a row; undefined when the disk damaged it. */
export function rejectedEvent({ body, stream }: RejectedRow): Event | undefined {
  return readSegment(inflated(body), stream)?.[0]?.event;
}

/**
 * Adds refused events within the transaction that is open. One that is there already (a crash had it sent and refused again) is replaced.
 * @param most bytes that the table may take
 * @param room bytes that the file may grow by
 */
export function addRejected(db: Database, rejected: readonly Rejected[], most: number, room: number): Kept {
  let left = room;
  let forgotten = 0;
  const insert = db.prepare(
    'INSERT OR REPLACE INTO rejected (epoch, seq, stream, at, late, reason, body) VALUES (?, ?, ?, ?, ?, ?, ?)',
  );
  for (const { epoch, seq, stream, at, late, reason, text } of rejected) {
    const body = deflated(text);
    left -= body.length + reason.length + ROW;
    if (left < 0) forgotten++;
    else insert.run(epoch, seq, stream, at, late ? 1 : 0, reason, body);
  }
  if (rejected.length > 0) forgotten += limitRejected(db, most);
  return { ...keptIn(db), forgotten };
}

/** Makes the oldest give way for so many bytes that are needed for others. Gives how many were removed. */
export function shrinkRejected(db: Database, needed: number): number {
  const held = db.prepare<[], number | null>(`SELECT sum(${SIZE}) FROM rejected`).pluck().get() ?? 0;
  return held > 0 ? limitRejected(db, held - needed) : 0;
}

/** Removes the oldest until the rest takes at most so many bytes. Gives how many were removed. */
function limitRejected(db: Database, most: number): number {
  return db
    .prepare<[number]>(
      `DELETE FROM rejected WHERE id IN (SELECT id FROM (SELECT id, sum(${SIZE}) OVER (ORDER BY id DESC) AS held FROM rejected) WHERE held > ?)`,
    )
    .run(most).changes;
}
