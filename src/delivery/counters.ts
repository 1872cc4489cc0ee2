/**
 * The accounts of an outbox file. What was settled is written with every other change of the file, so that at every moment, crash or not,
 * `accepted = acknowledged + waiting + dropped + expired + rejected + thinned + unreadable + purged`, per lane.
 */
import type { Database } from '../ops/sqlite.js';
import type { Removed } from './budget.js';
import { STREAMS, type StreamName } from './rows.js';

/** How events end. */
export const ENDS = ['acknowledged', 'dropped', 'expired', 'rejected', 'thinned', 'unreadable', 'purged'] as const;
export type End = (typeof ENDS)[number];

/** Events by how they ended. */
export type Totals = Record<End, number>;

/** The accounts of a lane since its file was made, in events other than gaps. `accepted` is the sum of all others, at every moment. */
export interface Account extends Readonly<Totals> {
  readonly accepted: number;
  readonly waiting: number;
}

/** Events by lane and how they ended, since the last report. */
export type Settled = Readonly<Record<StreamName, Partial<Totals>>>;

/** The accounts of one file. */
export interface Ledger {
  /** Since the file was made. */
  readonly totals: Readonly<Record<StreamName, Readonly<Totals>>>;
  /** Adds within the transaction that is open. */
  add(settled: Settled | undefined, removed: readonly Removed[]): void;
  /** Forgets what a transaction that failed added. */
  reload(): void;
}

/** Adds counts to counts. */
export function addTo(sum: Partial<Totals>, more: Partial<Totals>): void {
  for (const end of ENDS) if (more[end]) sum[end] = (sum[end] ?? 0) + more[end];
}

/** An account of nothing. */
export function noTotals(): Totals {
  return Object.fromEntries(ENDS.map((end) => [end, 0])) as Totals;
}

/** The account of a lane in which so many events wait. */
export function accountOf(totals: Readonly<Totals>, waiting: number): Account {
  return { accepted: ENDS.reduce((sum, end) => sum + totals[end], waiting), waiting, ...totals };
}

/** The end that a removal means for its events. */
export function endOf({ cause }: Removed): End {
  if (cause === 'budget' || cause === 'memory') return 'dropped';
  return cause;
}

/** How events of each lane ended, since the file was made. */
export function readTotals(db: Database): Record<StreamName, Totals> {
  const totals: Record<StreamName, Totals> = { alarm: noTotals(), live: noTotals() };
  const read = db.prepare<[], { stream: StreamName; ends: End; events: number }>('SELECT * FROM counters');
  for (const { stream, ends, events } of read.all()) totals[stream][ends] = events;
  return totals;
}

/** Opens the accounts of a file. */
export function openLedger(db: Database): Ledger {
  const totals = readTotals(db);
  const write = db.prepare('INSERT OR REPLACE INTO counters VALUES (?, ?, ?)');
  const count = (stream: StreamName, end: End, events: number | undefined): void => {
    if (!events) return;
    totals[stream][end] += events;
    write.run(stream, end, totals[stream][end]);
  };
  return {
    totals,
    add(settled, removed) {
      for (const stream of STREAMS) for (const end of ENDS) count(stream, end, settled?.[stream][end]);
      for (const gone of removed) count(gone.stream, endOf(gone), gone.events);
    },
    reload: () => void Object.assign(totals, readTotals(db)),
  };
}
