/** Changes to an outbox file that no upstream has open: no gateway runs, or gateway.yaml does not name the upstream any more. */
import { rmSync, statSync } from 'node:fs';
import type { KeptLane } from '../model.js';
import type { Clock } from '../ops/clock.js';
import type { Limits } from './budget.js';
import { noTotals } from './counters.js';
import { REQUEUED_AT_ONCE } from './rejections.js';
import type { Store, StoreFile } from './store.js';

/** A file that no upstream has open. */
export interface ClosedOutbox {
  readonly store: Store;
  readonly path: string;
  /** Undefined where gateway.yaml does not name its upstream any more. */
  readonly limits: Limits | undefined;
  readonly clock: Clock;
}

/** What a purge removed. */
export interface Purged {
  /** Events, by lane. */
  readonly events: Readonly<Partial<Record<KeptLane, number>>>;
  /** True when the upstream was not in gateway.yaml and nothing of it was left: its file is gone. */
  readonly fileRemoved: boolean;
}

/**
 * Removes all events of some lanes; gaps stand in the place of those that waited. The file of an upstream that is no more goes with its last
 * event.
 * @throws TidegateError OUTBOX_OPEN, OUTBOX_STORE
 */
export async function purgeClosed(outbox: ClosedOutbox, lanes: readonly KeptLane[]): Promise<Purged> {
  const { path, limits } = outbox;
  const file = await open(outbox);
  const events: Partial<Record<KeptLane, number>> = {};
  try {
    for (const lane of lanes) events[lane] = await (lane === 'rejected' ? file.purgeRejected() : purgeLane(file, lane));
  } finally {
    await file.close();
  }
  const left = (lane: KeptLane, held: number): number => held - (events[lane] ?? 0);
  const nothing =
    left('alarm', file.alarm.events) + left('live', file.live.events) + left('rejected', file.rejected.kept) === 0;
  const fileRemoved = limits === undefined && nothing;
  if (fileRemoved) for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true });
  return { events, fileRemoved };
}

/**
 * Takes what was refused for good back, as events of a start of their own.
 * @returns how many
 * @throws TidegateError OUTBOX_OPEN, OUTBOX_STORE
 */
export async function requeueClosed(outbox: ClosedOutbox): Promise<number> {
  const { clock } = outbox;
  const kept = clock.known ? clock.steadyNow() : null;
  const file = await open(outbox);
  const upTo = file.rejected.last;
  const none = { after: 0, upTo: 0, settled: [] };
  try {
    for (let moved = 0; ; ) {
      const { requeued = [] } = await file.commit({
        segments: [],
        removable: { alarm: none, live: none },
        settled: { alarm: noTotals(), live: noTotals() },
        rejected: [],
        requeue: { upTo, most: REQUEUED_AT_ONCE, firstSeq: moved + 1, kept },
      });
      if (requeued.length === 0) return moved;
      for (const { entries } of requeued) moved += entries;
    }
  } finally {
    await file.close();
  }
}

function open({ store, path, limits, clock }: ClosedOutbox): Promise<StoreFile> {
  return store.open(path, limits ?? unlimited(path), clock.base);
}

async function purgeLane(file: StoreFile, lane: 'alarm' | 'live'): Promise<number> {
  const rows = { after: 0, upTo: file[lane].lastId, settled: [] };
  let events = 0;
  for (let gone = await file.purge(lane, rows); gone; gone = await file.purge(lane, rows)) events += gone.events;
  return events;
}

/** Nothing gives way in a file of which nobody says how large it may be. */
function unlimited(path: string): Limits {
  const size = 2 * statSync(path).size + 64_000_000;
  return {
    size,
    keepFree: undefined,
    whenFull: { alarm: 'drop-newest', live: 'drop-newest' },
    rejected: Number.MAX_SAFE_INTEGER,
  };
}
