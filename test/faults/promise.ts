/** The one judgement of a fault: was the promise of docs/delivery.md kept? Every fault test ends here, and gets its row in the report. */
import { expect } from 'vitest';
import { ENDS } from '../../src/delivery/counters.js';
import type { UpstreamStatus } from '../../src/delivery/upstream.js';
import type { Received } from '../support/broker.js';
import { judge, type Verdict } from '../support/ledger.js';
import { record } from './report.js';

/** What is known when a fault is over and what waited is drained. */
export interface Aftermath {
  /** Names the row in the report. */
  readonly fault: string;
  /** How many times it struck; once, if absent. */
  readonly runs?: number;
  /** All telemetry and gaps that the receiver got, in the order in which they came. */
  readonly received: readonly Pick<Received, 'topic' | 'payload'>[];
  /** Numbers of the events that had to survive. */
  readonly mustArrive: readonly number[];
  /** Most events that may have come twice; any number, if absent. */
  readonly duplicates?: number;
  /** The accounts of the outbox file, if they are at hand. */
  readonly accounts?: UpstreamStatus['accounts'];
}

/**
 * Nothing lost that no gap tells, nothing told that was not lost, order within each lane, no id for two events, accounts that balance.
 * @returns the verdict, for what else a test expects of it
 */
export function expectPromiseKept(aftermath: Aftermath): Verdict {
  const { fault, runs = 1, received, mustArrive, accounts } = aftermath;
  const verdict = judge(received, mustArrive);
  const { lost, told, duplicates, outOfOrder, reused } = verdict;
  const silently = Math.max(0, lost.length - told);
  record({
    fault,
    runs,
    events: mustArrive.length,
    lost: silently,
    told,
    duplicated: duplicates,
    reordered: outOfOrder.length,
  });
  expect({ silently, lost: told > 0 ? [] : lost, outOfOrder, reused }).toEqual({
    silently: 0,
    lost: [],
    outOfOrder: [],
    reused: [],
  });
  expect(told, 'events that gaps tell of').toBe(lost.length);
  expect(duplicates).toBeLessThanOrEqual(aftermath.duplicates ?? Number.POSITIVE_INFINITY);
  if (accounts) expectBalance(accounts);
  return verdict;
}

/** In each lane, each event that was accepted waits or has ended, in one way. */
export function expectBalance(accounts: NonNullable<UpstreamStatus['accounts']>): void {
  for (const [lane, account] of Object.entries(accounts)) {
    const sum = ENDS.reduce((events, end) => events + account[end], account.waiting);
    expect(sum, `accounts of lane ${lane}: ${JSON.stringify(account)}`).toBe(account.accepted);
  }
}
