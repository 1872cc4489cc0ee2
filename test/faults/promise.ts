/** The one judgement of a fault: was the promise of docs/delivery.md kept? Every fault test ends here, and gets its row in the report. */
import { expect } from 'vitest';
import { ENDS } from '../../src/delivery/counters.js';
import { STREAMS } from '../../src/delivery/rows.js';
import type { UpstreamStatus } from '../../src/delivery/upstream.js';
import type { Received } from '../support/broker.js';
import { judge, type Verdict } from '../support/ledger.js';
import { record } from './report.js';

/** Ends of events that a gap tells. */
const TOLD = ['dropped', 'expired', 'rejected', 'unreadable', 'purged'] as const;

/** What is known when a fault is over and what waited is drained. */
export interface Aftermath {
  /** Names the row in the report. */
  readonly fault: string;
  /** How many times it struck; once, if absent. */
  readonly runs?: number;
  /** All telemetry and gaps that the receiver got of the upstream, of whatever device, in the order in which they came. */
  readonly received: readonly Pick<Received, 'topic' | 'payload'>[];
  /** Numbers of the events that had to survive. */
  readonly mustArrive: readonly number[];
  /** Events that the log tells to be lost, as a stop does with a disk that is dead; none, if absent. */
  readonly logged?: number;
  /** Most events that may have come twice; any number, if absent. */
  readonly duplicates?: number;
  /** The accounts of the upstream, after all of `received`. */
  readonly accounts: UpstreamStatus['accounts'];
  /** True where a process ended without a word to its file: acknowledgements that it had in memory are forgotten. */
  readonly forgetful?: boolean;
}

/**
 * Nothing lost that no gap tells (or, when that is all that is left, the log), nothing told that was not lost, order within each lane, no id for two events, accounts that balance and
 * match what arrived.
 * @returns the verdict, for what else a test expects of it
 */
export function expectPromiseKept(aftermath: Aftermath): Verdict {
  const { fault, runs = 1, received, mustArrive, logged = 0, accounts, forgetful = false } = aftermath;
  const verdict = judge(received, mustArrive);
  const { lost, told, duplicates, outOfOrder, reused } = verdict;
  const silently = Math.max(0, lost.length - told - logged);
  record({
    fault,
    runs,
    events: mustArrive.length,
    lost: silently,
    told: told + logged,
    duplicated: duplicates,
    reordered: outOfOrder.length,
  });
  expect({ silently, lost: told + logged > 0 ? [] : lost, outOfOrder, reused }).toEqual({
    silently: 0,
    lost: [],
    outOfOrder: [],
    reused: [],
  });
  expect(told + logged, 'events that gaps and the log tell of').toBe(lost.length);
  expect(duplicates).toBeLessThanOrEqual(aftermath.duplicates ?? Number.POSITIVE_INFINITY);
  expectTrueAccounts(accounts, verdict, forgetful);
  return verdict;
}

/** In each lane, each event that was accepted waits or has ended, in one way. */
export function expectBalance(accounts: UpstreamStatus['accounts']): void {
  for (const lane of STREAMS) {
    const account = accounts[lane];
    const ended = ENDS.reduce((events, end) => events + account[end], 0);
    expect(ended + account.waiting, `all that is accepted, lane ${lane}: ${JSON.stringify(account)}`).toBe(
      account.accepted,
    );
  }
}

/**
 * The accounts balance. The receiver has each that is acknowledged, and none more but
 * those whose acknowledgement was forgotten; that cannot be one that was on disk.
 */
function expectTrueAccounts(
  accounts: UpstreamStatus['accounts'],
  { arrived, told }: Verdict,
  forgetful: boolean,
): void {
  expectBalance(accounts);
  for (const lane of STREAMS) {
    const account = accounts[lane];
    const { accepted, waiting, acknowledged } = account;
    const about = `lane ${lane}: ${JSON.stringify(account)}; arrived: ${JSON.stringify(arrived[lane])}`;
    expect(acknowledged, `acknowledged but never there, ${about}`).toBeLessThanOrEqual(arrived[lane].events);
    expect(accepted, `read from disk but never accepted, ${about}`).toBeGreaterThanOrEqual(arrived[lane].late);
    const known = forgetful ? Number.POSITIVE_INFINITY : acknowledged + waiting;
    expect(arrived[lane].events, `arrived and not known, ${about}`).toBeLessThanOrEqual(known);
  }
  if (forgetful) return;
  const gone = STREAMS.flatMap((lane) => TOLD.map((end) => accounts[lane][end]));
  expect(told, `gone by the accounts: ${JSON.stringify(accounts)}`).toBe(gone.reduce((sum, events) => sum + events, 0));
}
