/**
 * What an outbox file holds, event by event, read beside the gateway that writes it or while none runs. Each row is a read of its own:
 * memory stays small whatever the file holds, and no long transaction keeps the writer's log from being folded into the file.
 */
import { dirname, join } from 'node:path';
import { TidegateError } from '../errors.js';
import type { KeptLane } from '../model.js';
import type { Database } from '../ops/sqlite.js';
import { inflated } from './body.js';
import { Corrections, corrected } from './correction.js';
import { DamagedStream } from './damaged-stream.js';
import { gapOf } from './gap.js';
import type { Told } from './json-payload.js';
import { readLegs } from './legs.js';
import { hasRejected, type RejectedRow, rejectedEvent } from './rejected-table.js';
import { headOf, type Row, type StreamName } from './rows.js';
import { decodeSegment } from './segment.js';
import { readStarts } from './starts.js';

/** How a file is opened that others may have open. */
const READ = { readonly: true, timeout: 5000 };

/** One event that is kept. */
export interface KeptEvent {
  readonly lane: KeptLane;
  readonly entry: Told;
  /** When (milliseconds since 1970) and why it was refused. */
  readonly rejection?: { readonly at: number; readonly reason: string };
}

/**
 * Reads the events of some lanes of an outbox file, each lane oldest first. Those of a row on its way out are told until all of them are
 * settled; what waits in the memory of a running gateway is not told, unless that was asked to `save` it.
 * @param gapTopic topic of gaps, which the file does not know
 * @throws TidegateError OUTBOX_OPEN when it is not an outbox
 */
export async function* readEvents(
  file: string,
  lanes: readonly KeptLane[],
  gapTopic: string,
): AsyncGenerator<KeptEvent, void, undefined> {
  const sqlite = await import('../ops/sqlite.js');
  let db: Database | undefined;
  try {
    db = new sqlite.Database(file, READ);
    const corrections = new Corrections(readStarts(db));
    for (const lane of lanes)
      yield* lane === 'rejected'
        ? readRejected(db, corrections)
        : readWaiting(
            rowsOf(db, lane, (name) => new sqlite.Database(join(dirname(file), name), READ)),
            lane,
            gapTopic,
            corrections,
          );
  } catch (error) {
    if ((error as { code?: unknown }).code === undefined) throw error;
    throw new TidegateError('OUTBOX_OPEN', `${file} cannot be read as an outbox: ${(error as Error).message}`, {
      cause: error,
    });
  } finally {
    db?.close();
  }
}

/** The rows of a stream, oldest first; those still in a damaged file in their place, as far as they can be read. */
function* rowsOf(db: Database, lane: StreamName, open: (name: string) => Database): Generator<Row> {
  const next = db.prepare<[number, number], Row>(`SELECT * FROM ${lane} WHERE id > ? AND id <= ? ORDER BY id LIMIT 1`);
  let at = 0;
  const own = function* (upTo: number): Generator<Row> {
    for (let row = next.get(at, upTo); row; row = next.get(at, upTo)) {
      at = row.id;
      yield row;
    }
  };
  for (const leg of readLegs(db).filter(({ stream }) => stream === lane)) {
    yield* own(leg.after);
    const source = open(leg.source);
    try {
      const stream = new DamagedStream(source, lane);
      for (let { row } = stream.next(leg.after, leg.upTo); row; { row } = stream.next(at, leg.upTo)) {
        at = row.id;
        yield { body: null, ...row };
      }
    } finally {
      source.close();
    }
    at = leg.upTo;
  }
  yield* own(Number.MAX_SAFE_INTEGER);
}

function* readWaiting(
  rows: Iterable<Row>,
  lane: StreamName,
  gapTopic: string,
  corrections: Corrections,
): Generator<KeptEvent> {
  let last = { epoch: 0, seq: 0 };
  for (const row of rows) {
    const { epoch } = row;
    for (const { seq, event } of eventsOf(row, lane, gapTopic, corrections)) {
      // Thinning out may join rows that were told with some that were not.
      if (epoch < last.epoch || (epoch === last.epoch && seq <= last.seq)) continue;
      last = { epoch, seq };
      yield { lane, entry: { epoch, seq, event: corrected(event, corrections.of(epoch)), late: true } };
    }
  }
}

function* readRejected(db: Database, corrections: Corrections): Generator<KeptEvent> {
  if (!hasRejected(db)) return;
  const next = db.prepare<[number], RejectedRow>('SELECT * FROM rejected WHERE id > ? ORDER BY id LIMIT 1');
  for (let row = next.get(0); row; row = next.get(row.id)) {
    const { epoch, seq, at, late, reason } = row;
    const told = rejectedEvent(row);
    if (!told) continue;
    const event = corrected(told, corrections.of(epoch));
    yield { lane: 'rejected', entry: { epoch, seq, event, late: late === 1 }, rejection: { at, reason } };
  }
}

function eventsOf(
  row: Row,
  lane: StreamName,
  gapTopic: string,
  corrections: Corrections,
): ReturnType<typeof decodeSegment> {
  if (row.gap === null)
    try {
      if (row.body) return decodeSegment(inflated(row.body) ?? '', lane);
    } catch {
      // Told as a gap, as the gateway will.
    }
  return [{ seq: row.last_seq, event: gapOf(headOf(row, corrections), row.gap ?? 'unreadable', lane, gapTopic) }];
}
