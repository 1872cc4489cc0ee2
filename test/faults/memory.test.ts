/** Nowhere to go: the broker is down and the disk is dead, for an hour, on a clock that runs as fast as the work is done. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, onTestFinished, test } from 'vitest';
import { weightOf } from '../../src/delivery/entry.js';
import type { Event, TelemetryEvent } from '../../src/model.js';
import { TestBroker } from '../support/broker.js';
import { openTestUpstream, temporaryFolder } from '../support/upstream.js';
import { killDisk, noDeadDisk } from './dead-disk.js';
import { pass, passUntil, stopTime } from './fast-clock.js';
import { expectBalance, expectPromiseKept } from './promise.js';

const MEMORY = 2_000_000;
/** Bytes that the process may grow by: far less than an hour of events takes, far more than the bound does. */
const GROWTH = { heap: 30_000_000, rss: 200_000_000 };
/** Events a second of so many values: 1,000 readings. */
const [EVENTS, POINTS] = [33, 30];
const NAMES = ['n', ...Array.from({ length: POINTS - 1 }, (_, i) => `p${i}`)];

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

describe.skipIf(noDeadDisk)(`memory${noDeadDisk ? `: ${noDeadDisk}` : ''}`, { timeout: 240_000 }, () => {
  test('holds through an hour without broker and disk; each event that it cannot keep is told, and both are used again by themselves', async () => {
    const cloud = await TestBroker.start();
    onTestFinished(() => cloud.down());
    await cloud.down();
    stopTime();
    const link = { version: '3.1.1', reconnect: { min: '1s', max: '10s' } };
    const buffer = { memory: '2MB', live_for: '1s' };
    const upstream = await openTestUpstream(cloud.url, temporaryFolder(), { ...link, buffer });

    let n = 0;
    const next = (lane: Event['lane']): TelemetryEvent => {
      const values = NAMES.map((_, i) => (i === 0 ? ++n : n + i / 100));
      return { kind: 'telemetry', device: 'd', at: Date.now(), lane, topic: `t/${lane}`, names: NAMES, values };
    };
    const weight = weightOf(next('live'));
    n = 0;
    /** @param step milliseconds at a time: what comes over the network takes some turns */
    const aSecond = async (second: number, step = 10): Promise<void> => {
      for (let i = 0; i < EVENTS; i++) upstream.accept(next('live'));
      if (second % 60 === 0) upstream.accept(next('alarm'));
      for (let passed = 0; passed < 1_000; passed += step) await pass(step);
    };
    const status = () => upstream.status();
    const arrives = (lane: Event['lane'], after: number) =>
      cloud.json<{ values: { n: number } }>(`t/${lane}`).some(({ values }) => values.n > after);

    await aSecond(0);
    await passUntil(() => status().waiting.backlog > 0);
    const mend = killDisk();
    collectGarbage();
    const before = process.memoryUsage();
    const most = { heap: 0, rss: 0 };
    for (let second = 1; second <= 3_600; second++) {
      await aSecond(second, 1_000);
      expect(status().waiting.live * weight).toBeLessThanOrEqual(MEMORY);
      if (second % 60 !== 0) continue;
      collectGarbage();
      const { heapUsed, rss } = process.memoryUsage();
      most.heap = Math.max(most.heap, heapUsed - before.heapUsed);
      most.rss = Math.max(most.rss, rss - before.rss);
      expectBalance(upstream.status().accounts);
    }
    expect(most.heap).toBeLessThan(GROWTH.heap);
    expect(most.rss).toBeLessThan(GROWTH.rss);
    expect(status().dropped).toBeGreaterThan(0.9 * n);

    // The broker first: what is live goes on without a disk.
    await cloud.up();
    let since = n;
    for (let second = 1; !arrives('live', since) || !arrives('alarm', 0); second++) await aSecond(second);
    await cloud.down();
    mend();
    // Then the disk: what waits goes to it again.
    since = status().waiting.backlog;
    for (let second = 1; status().waiting.backlog <= since + EVENTS; second++) await aSecond(second);
    await cloud.up();
    await passUntil(() => Object.values(status().waiting).every((count) => count === 0));
    const accounts = upstream.status().accounts;
    await upstream.close();

    const received = cloud.received.filter(({ topic }) => topic.startsWith('t/') || topic.endsWith('/gap'));
    const mustArrive = Array.from({ length: n }, (_, i) => i + 1);
    const fault = 'broker down and disk dead for an hour';
    const { gaps } = expectPromiseKept({ fault, received, mustArrive, accounts });
    expect(new Set(gaps.map(({ cause }) => cause))).toEqual(new Set(['memory']));
    expect(accounts.alarm).toMatchObject({ dropped: 0, waiting: 0 });
  });
});
