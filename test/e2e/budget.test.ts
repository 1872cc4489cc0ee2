/** What gives way when an outbox may not grow, and that every event is accounted for. */
import { closeSync, mkdirSync, openSync, readdirSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { readOutboxStatus } from '../../src/delivery/status.js';
import type { Upstream } from '../../src/delivery/upstream.js';
import { formatDuration } from '../../src/units.js';
import { TestBroker } from '../support/broker.js';
import { random } from '../support/random.js';
import { ScriptedBroker } from '../support/scripted-broker.js';
import { event, openTestUpstream, temporaryFolder } from '../support/upstream.js';

interface Message {
  id: string;
  ts: number;
  values?: Record<string, number>;
  gap?: { count?: number; cause: string; from: number; to: number };
  thinned?: string;
}

const START = 1_700_000_000_000;
const POINTS = Array.from({ length: 100 }, (_, i) => `p${i}`);

async function absentBroker(): Promise<TestBroker> {
  const cloud = await TestBroker.start();
  onTestFinished(() => cloud.down());
  await cloud.down();
  return cloud;
}

/** Accepts readings of 100 points, one event a second, in bursts that reach the disk before the next one begins. */
async function fill(upstream: Upstream, seconds: number, first = 0): Promise<number[][]> {
  const draw = random(first + 1);
  const all: number[][] = [];
  for (let n = first; n < first + seconds; n++) {
    const values = POINTS.map(() => Math.round(draw() * 1e6));
    all.push(values);
    upstream.accept({ ...event(0), at: START + n * 1000, names: POINTS, values });
    if (n % 200 === 199) {
      await vi.waitFor(() => expect(upstream.status().waiting.live).toBe(0), 5000);
      balance(upstream);
    }
  }
  await vi.waitFor(() => expect(upstream.status().waiting.live).toBe(0), 5000);
  balance(upstream);
  return all;
}

/** Every event accepted is somewhere. */
function balance(upstream: Upstream): void {
  for (const account of Object.values(upstream.status().accounts ?? {})) {
    const { accepted, ...ends } = account;
    expect(Object.values(ends).reduce((sum, count) => sum + count, 0)).toBe(accepted);
  }
}

function bytesOf(folder: string): number {
  return readdirSync(`${folder}/outbox`).reduce((sum, name) => sum + statSync(`${folder}/outbox/${name}`).size, 0);
}

const QUICK = { flush: '40ms', live_for: '40ms' };

describe('a full outbox', () => {
  test('thins out telemetry, so that a long outage keeps its whole span, its extremes, and its alarms', {
    timeout: 60_000,
  }, async () => {
    const cloud = await absentBroker();
    const folder = temporaryFolder();
    const upstream = await openTestUpstream(cloud.url, folder, { buffer: { ...QUICK, size: '1200kB' } });
    upstream.accept(event(0, 'alarm'));
    const all = await fill(upstream, 6_000);
    expect(bytesOf(folder)).toBeLessThanOrEqual(1_200_000);
    expect(upstream.status()).toMatchObject({ dropped: 0 });
    await cloud.up();
    await vi.waitFor(() => expect(upstream.status().waiting).toEqual({ alarm: 0, live: 0, backlog: 0 }), 20_000);
    expect(upstream.status().accounts.live.thinned).toBe(6_000 - cloud.json('t/live').length);
    balance(upstream);
    await upstream.close();

    expect(cloud.json('t/alarm')).toHaveLength(1);
    expect(cloud.json('g/gap')).toEqual([]);
    const messages = cloud.json<Message>('t/live');
    const seqs = messages.map(({ id }) => Number(id.split(':')[2]));
    expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
    for (const { ts, values } of messages) {
      const original = all[(ts - START) / 1000] ?? [];
      for (const [name, value] of Object.entries(values ?? {})) expect(value).toBe(original[Number(name.slice(1))]);
    }
    for (const [p, name] of POINTS.entries()) {
      const kept = messages.flatMap(({ values }) => values?.[name] ?? []);
      const given = all.map((values) => values[p] ?? 0);
      expect([Math.min(...kept), Math.max(...kept)]).toEqual([Math.min(...given), Math.max(...given)]);
    }
    // No hole is wider than a few buckets of the coarsest level, from the first hour to the last.
    const widths = [...new Set(messages.flatMap(({ thinned }) => thinned ?? []))];
    const widest = Math.max(
      ...[10, 20, 40, 80, 160, 320, 640, 1280].filter((s) => widths.includes(formatDuration(s * 1000))),
    );
    const times = [START, ...messages.map(({ ts }) => ts), START + 5_999_000];
    expect(Math.max(...times.slice(1).map((ts, i) => ts - (times[i] ?? 0)))).toBeLessThanOrEqual(2 * widest * 1000);
  });

  test('drops the oldest telemetry where told so, and one gap in its place says what went', {
    timeout: 40_000,
  }, async () => {
    const cloud = await absentBroker();
    const folder = temporaryFolder();
    const buffer = { ...QUICK, size: '1MB', when_full: { live: 'drop-oldest' } };
    const upstream = await openTestUpstream(cloud.url, folder, { buffer });
    upstream.accept(event(0, 'alarm'));
    await fill(upstream, 3000);
    const { dropped } = upstream.status();
    expect(dropped).toBeGreaterThan(0);
    expect(bytesOf(folder)).toBeLessThanOrEqual(1_000_000);
    await cloud.up();
    await cloud.until(() => cloud.json('t/live').length === 3000 - dropped);
    await vi.waitFor(() => balance(upstream));
    await upstream.close();
    expect(cloud.json('t/alarm')).toHaveLength(1);
    const gap = { cause: 'budget', count: dropped, from: START, to: START + (dropped - 1) * 1000 };
    expect(cloud.json<Message>('g/gap').map((m) => m.gap)).toEqual([gap]);
    const order = cloud.received
      .map((m) => m.topic)
      .filter((topic) => topic === 'tidegate/g/gap' || topic === 't/live');
    expect(order.indexOf('tidegate/g/gap')).toBe(0);
    expect(cloud.json<Message>('t/live')[0]?.ts).toBe(START + dropped * 1000);
  });

  test('keeps the oldest telemetry where told so; the newest goes, and a gap stands at the end', {
    timeout: 40_000,
  }, async () => {
    const cloud = await absentBroker();
    const folder = temporaryFolder();
    const buffer = { ...QUICK, size: '1MB', memory: '500kB', when_full: { live: 'drop-newest' } };
    const upstream = await openTestUpstream(cloud.url, folder, { buffer });
    for (let n = 0; upstream.status().dropped === 0; n++) {
      const values = POINTS.map((_, i) => Math.sin(n * 100 + i));
      upstream.accept({ ...event(0), at: START + n * 1000, names: POINTS, values });
      const settled = (): boolean => upstream.status().waiting.live === 0 || upstream.status().full === true;
      if (n % 50 !== 49) continue;
      await vi.waitFor(() => expect(settled()).toBe(true), 5000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(bytesOf(folder)).toBeLessThanOrEqual(1_000_000);
    const { accepted } = upstream.status();
    await cloud.up();
    await vi.waitFor(() => expect(upstream.status().waiting).toEqual({ alarm: 0, live: 0, backlog: 0 }), 10_000);
    balance(upstream);
    const { dropped } = upstream.status();
    await upstream.close();
    const times = new Set(cloud.json<Message>('t/live').map(({ ts }) => ts));
    expect(times.size).toBe(accepted - dropped);
    expect(times.has(START)).toBe(true);
    const gaps = cloud.json<Message>('g/gap').map((m) => m.gap);
    expect(gaps.map((gap) => gap?.cause)).toEqual(gaps.map(() => 'budget'));
    expect(gaps.reduce((sum, gap) => sum + (gap?.count ?? 0), 0)).toBe(dropped);
  });

  test('a stop leaves a gap on disk for what waits in memory and finds no room', { timeout: 40_000 }, async () => {
    const cloud = await absentBroker();
    const folder = temporaryFolder();
    const buffer = { ...QUICK, size: '1MB', when_full: { live: 'drop-newest' } };
    const upstream = await openTestUpstream(cloud.url, folder, { buffer });
    for (let n = 0; upstream.status().full !== true; n++) {
      const values = POINTS.map((_, i) => Math.sin(n * 100 + i));
      upstream.accept({ ...event(0), at: START + n * 1000, names: POINTS, values });
      if (n % 50 === 49)
        await vi.waitFor(() => expect(upstream.status().waiting.live * Number(!upstream.status().full)).toBe(0), 5000);
    }
    const { accepted, waiting, dropped } = upstream.status();
    expect(waiting.live).toBeGreaterThan(0);
    expect(dropped).toBe(0);
    await upstream.close();
    expect(bytesOf(folder)).toBeLessThanOrEqual(1_000_000);

    await cloud.up();
    const next = await openTestUpstream(cloud.url, folder, { buffer });
    await cloud.until(() => cloud.json('g/gap').length > 0);
    await vi.waitFor(() => expect(next.status().waiting).toEqual({ alarm: 0, live: 0, backlog: 0 }), 10_000);
    balance(next);
    await next.close();
    expect(cloud.json<Message>('g/gap').map((m) => m.gap)).toMatchObject([{ cause: 'budget', count: waiting.live }]);
    expect(cloud.json('t/live')).toHaveLength(accepted - waiting.live);
    expect((await readOutboxStatus(folder))[0]?.accounts.live.dropped).toBe(waiting.live);
  });

  test('lets expire what waits longer than its age, by when it was kept, and says so', async () => {
    const cloud = await absentBroker();
    const upstream = await openTestUpstream(cloud.url, temporaryFolder(), { buffer: { ...QUICK, age: '400ms' } });
    for (let n = 0; n < 50; n++) upstream.accept(event(n));
    await vi.waitFor(() => expect(upstream.status().waiting.backlog).toBe(50), 5000);
    // Each new event is an occasion to look; the last ones stay.
    await vi.waitFor(() => {
      upstream.accept(event(99));
      expect(upstream.status().accounts.live.expired).toBeGreaterThanOrEqual(50);
    }, 5000);
    await cloud.up();
    await cloud.until(() => cloud.json('g/gap').length > 0);
    const [first] = cloud.json<Message>('g/gap');
    expect(first?.gap).toMatchObject({ cause: 'expired', from: START });
    await vi.waitFor(() => expect(upstream.status().waiting).toEqual({ alarm: 0, live: 0, backlog: 0 }), 5000);
    balance(upstream);
    await upstream.close();
  });
});

describe('the accounts', () => {
  test('balance when a clean stop finds a row that is acknowledged in part', async () => {
    const script = await ScriptedBroker.start({
      publish: (_, { payload }) => {
        const { values } = JSON.parse(String(payload)) as { values: { n: number } };
        return values.n > 3 ? 'silence' : {};
      },
    });
    onTestFinished(() => script.stop());
    const folder = temporaryFolder();
    const upstream = await openTestUpstream(script.url, folder, { version: '3.1.1', buffer: { durability: 'strict' } });
    await Promise.all(Array.from({ length: 10 }, (_, n) => upstream.accept(event(n + 1))));
    await vi.waitFor(() => expect(upstream.status().acknowledged).toBe(3));
    await upstream.close();
    expect((await readOutboxStatus(folder))[0]?.accounts.live).toMatchObject({
      accepted: 10,
      acknowledged: 3,
      waiting: 7,
    });
  });

  test('balance from start to start', async () => {
    const cloud = await absentBroker();
    const folder = temporaryFolder();
    for (let start = 0; start < 4; start++) {
      if (start === 2) await cloud.up();
      const upstream = await openTestUpstream(cloud.url, folder, { buffer: QUICK });
      balance(upstream);
      for (let n = 0; n < 100; n++) upstream.accept(event(n, n % 10 === 0 ? 'alarm' : 'live'));
      balance(upstream);
      if (start >= 2)
        await vi.waitFor(() => expect(upstream.status().waiting).toEqual({ alarm: 0, live: 0, backlog: 0 }), 5000);
      balance(upstream);
      await upstream.close();
    }
    await cloud.down();
    const upstream = await openTestUpstream(cloud.url, folder);
    expect(upstream.status().accounts).toMatchObject({
      alarm: { accepted: 40, acknowledged: 40, waiting: 0 },
      live: { accepted: 360, acknowledged: 360, waiting: 0 },
    });
    await upstream.close();
  });
});

describe('a damaged outbox', () => {
  /** An outbox with 1,200 events in some forty rows, closed. */
  async function filled(): Promise<string> {
    const cloud = await absentBroker();
    const folder = temporaryFolder();
    const upstream = await openTestUpstream(cloud.url, folder, { buffer: QUICK });
    for (let first = 0; first < 1200; first += 30) await fill(upstream, 30, first);
    await upstream.close();
    return folder;
  }

  test.each([
    ['in the middle', (size: number) => size / 2],
    ['near its end', (size: number) => size - 20_000],
  ])(
    '%s is moved aside; what can be read arrives, the loss is told, no number is used twice',
    { timeout: 40_000 },
    async (_, at) => {
      const folder = await filled();
      const file = `${folder}/outbox/cloud.sqlite`;
      const handle = openSync(file, 'r+');
      writeSync(handle, Buffer.alloc(8192, 0xa5), 0, 8192, Math.floor(at(statSync(file).size)));
      closeSync(handle);
      const cloud = await TestBroker.start();
      onTestFinished(() => cloud.down());
      const upstream = await openTestUpstream(cloud.url, folder);
      upstream.accept({ ...event(1), topic: 't/new' });
      await cloud.until(() => cloud.json('t/new').length === 1);
      await vi.waitFor(() => expect(upstream.status().waiting).toEqual({ alarm: 0, live: 0, backlog: 0 }), 5000);
      balance(upstream);
      await upstream.close();
      expect(readdirSync(`${folder}/outbox`)).toContain('cloud.sqlite.damaged-1');
      const messages = cloud.json<Message>('t/live');
      expect(messages.length).toBeGreaterThan(200);
      expect(messages.length).toBeLessThan(1200);
      const gaps = cloud.json<Message>('g/gap').map((m) => m.gap);
      expect(gaps.map((gap) => gap?.cause)).toEqual(gaps.map(() => 'unreadable'));
      expect(gaps.reduce((sum, gap) => sum + (gap?.count ?? 0), messages.length)).toBe(1200);
      const ids = [...messages, ...cloud.json<Message>('t/new')].map(({ id }) => id);
      expect(new Set(ids).size).toBe(ids.length);
      expect((await readOutboxStatus(folder)).map(({ id }) => id)).toEqual(['cloud']);
    },
  );

  test('that is no database at all is moved aside, and numbering goes on above all there was', async () => {
    const folder = temporaryFolder();
    mkdirSync(`${folder}/outbox`);
    writeFileSync(
      `${folder}/outbox/cloud.sqlite`,
      'no database, but long enough to be taken for the header of one'.repeat(20),
    );
    const cloud = await TestBroker.start();
    onTestFinished(() => cloud.down());
    const upstream = await openTestUpstream(cloud.url, folder);
    upstream.accept(event(1));
    await cloud.until(() => cloud.json('t/live').length === 1);
    expect(Number(cloud.json<Message>('t/live')[0]?.id.split(':')[1])).toBeGreaterThan(1_700_000_000);
    await upstream.close();
  });
});
