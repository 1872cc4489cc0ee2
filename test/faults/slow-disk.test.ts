/** A card that takes half a second for every `fsync` delays no poll: two gateways side by side, so that a busy machine slows both. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/upstream.js';
import { Plant } from './plant.js';
import { noTracer } from './tracer.js';

const BUFFER = { flush: '100ms', live_for: '200ms' };
/** Only what is traced is slowed, and strace stands aside: the gateway is our own child, and dies as one. */
const TRACED = ['strace', '-D', '-f', '--seccomp-bpf'];
const CALLS = 'fsync,fdatasync';

const why = noTracer();

describe.skipIf(why)(`a disk that needs 500 ms for each sync${why ? `: ${why}` : ''}`, { timeout: 120_000 }, () => {
  test('makes no poll late by more than one interval, and loses nothing', async () => {
    const trace = `${temporaryFolder()}/trace`;
    const site = { upstream: { buffer: BUFFER }, every: '100ms' };
    const [slow, twin] = [await Plant.set(site), await Plant.set(site)];
    const inject = ['-e', `trace=${CALLS}`, '-e', `inject=${CALLS}:delay_enter=500000`];
    slow.start(...TRACED, '-o', trace, ...inject);
    twin.start(...TRACED, '-o', '/dev/null', '-e', `trace=${CALLS}`);
    for (const plant of [slow, twin]) {
      await plant.arrives();
      await plant.cloud.down();
    }
    const begun = (await slow.snapshot()).polls;
    const begunTwin = (await twin.snapshot()).polls;
    await slow.polled(600);
    const polls = differences(begun, (await slow.snapshot()).polls);
    const twinPolls = differences(begunTwin, (await twin.snapshot()).polls);
    // Each device would leave out five slots, and the five of them 25, for each sync that a poll waits for.
    const syncs = readFileSync(trace, 'utf8')
      .split('\n')
      .filter((line) => line.includes('(DELAYED)')).length;
    expect(syncs).toBeGreaterThan(10);
    expect(polls.overruns).toBeLessThanOrEqual(2 * twinPolls.overruns + syncs);
    expect(polls.polls).toBeGreaterThan(0.9 * twinPolls.polls);

    await slow.cloud.up();
    await slow.arrives();
    await slow.drained();
    const last = slow.device.shown.length - 50;
    expect(await slow.stop()).toBe(0);
    expect(await twin.stop()).toBe(0);
    expect((await slow.check('each fsync takes 500 ms', last, { runs: syncs })).gaps).toEqual([]);
  });
});

/** What was done between two looks. */
function differences<Stats extends { polls: number; overruns: number }>(
  before: Stats,
  after: Stats,
): { polls: number; overruns: number } {
  return { polls: after.polls - before.polls, overruns: after.overruns - before.overruns };
}
