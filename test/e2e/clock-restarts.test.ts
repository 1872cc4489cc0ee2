/** Times taken before the clock was set, across restarts, crashes and damage: true as soon as any start of the boot learnt the time. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, statSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { readStarts } from '../../src/delivery/starts.js';
import { readOutboxStatus } from '../../src/delivery/status.js';
import type { Upstream } from '../../src/delivery/upstream.js';
import type { Clock } from '../../src/ops/clock.js';
import { Database } from '../../src/ops/sqlite.js';
import { TestBroker } from '../support/broker.js';
import { setClock, UnsetClock } from '../support/clock.js';
import { random } from '../support/random.js';
import { event, openTestUpstream, temporaryFolder } from '../support/upstream.js';

interface Message {
  id: string;
  ts: number;
  values: { n: number };
  clock?: string;
  gap?: { cause: string; count?: number; from: number; to: number };
}

/** What thinning left of an event. */
interface Thinned {
  id: string;
  ts: number;
  values: { p1?: number };
  clock?: string;
}

const IN_1980 = Date.UTC(1980, 0, 6);
const YEARS = 46 * 365 * 86_400_000;
const HOUR = 3_600_000;
const QUICK = { flush: '40ms', live_for: '1ms' };
const CHILD = fileURLToPath(new URL('../support/unset-child.js', import.meta.url));
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** The event number `n`, taken `n` milliseconds after the start of a clock that is not set. */
const unset = (n: number) => ({ ...event(n), at: IN_1980 + n, clock: 'unset' as const });

async function broker(): Promise<TestBroker> {
  const cloud = await TestBroker.start();
  onTestFinished(() => cloud.down());
  return cloud;
}

/** A start without a broker: accepts, and has all of it on disk. It stays open. */
async function keep(folder: string, clock: Clock, numbers: number[], buffer: object = {}): Promise<Upstream> {
  const upstream = await openTestUpstream('mqtt://127.0.0.1:1', folder, { buffer: { ...QUICK, ...buffer } }, clock);
  const { backlog } = upstream.status().waiting;
  for (const n of numbers) upstream.accept(clock.known ? event(n) : unset(n));
  await vi.waitFor(() =>
    expect(upstream.status().waiting).toMatchObject({ live: 0, backlog: backlog + numbers.length }),
  );
  return upstream;
}

/** Delivers what the folder holds, by a clock that was always set. */
async function deliver(folder: string, count: number): Promise<Message[]> {
  const cloud = await broker();
  const upstream = await openTestUpstream(cloud.url, folder, {}, setClock);
  await cloud.until(() => cloud.json('t/live').length === count);
  await upstream.close();
  return cloud.json<Message>('t/live');
}

function starts(folder: string) {
  const db = new Database(`${folder}/outbox/cloud.sqlite`, { readonly: true });
  try {
    return readStarts(db);
  } finally {
    db.close();
  }
}

test('what was learnt is kept: the next start, and the one after it, deliver true times', async () => {
  const folder = temporaryFolder();
  const clock = new UnsetClock(0);
  const first = await keep(folder, clock, range(1, 50));
  clock.set(YEARS);
  await first.close();
  await (await keep(folder, setClock, range(51, 60))).close();
  const { oldest } = (await readOutboxStatus(folder))[0] ?? {};
  expect(oldest).toBe(IN_1980 + YEARS + 1);
  for (const { ts, clock: mark, values } of await deliver(folder, 60))
    expect({ ts, mark }).toEqual({ ts: values.n > 50 ? event(values.n).at : IN_1980 + YEARS + values.n });
});

test('a start that learns the time tells those before it in the same boot, and no others', async () => {
  const folder = temporaryFolder();
  await (await keep(folder, new UnsetClock(0, 'yesterday'), range(1, 10))).close();
  await (await keep(folder, new UnsetClock(0, 'today'), range(11, 20))).close();
  await (await keep(folder, new UnsetClock(5 * HOUR, 'today'), range(21, 30))).close();
  const clock = new UnsetClock(HOUR, 'today');
  const last = await keep(folder, clock, range(31, 40));
  clock.set(YEARS);
  await last.close();
  const correction = (n: number): number => (n <= 20 ? HOUR : n <= 30 ? -4 * HOUR : 0) + YEARS;
  for (const { ts, clock: mark, values } of await deliver(folder, 40))
    if (values.n <= 10) expect({ ts, mark }).toEqual({ ts: IN_1980 + values.n, mark: 'unset' });
    else expect({ ts, mark }).toEqual({ ts: IN_1980 + correction(values.n) + values.n });
});

test('kill -9 before and after the clock is set loses no time', async () => {
  const folder = temporaryFolder();
  const truth = new Map<number, number>();

  /** Lets a process accept 50 events, sets its clock perhaps, and kills it once the disk has all of that. */
  async function run(zero: number, first: number, set?: number): Promise<void> {
    const child = spawn(process.execPath, [CHILD, folder, String(zero), 'this boot', String(first)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    createInterface(child.stdout).on('line', (line) => {
      const { n, at } = JSON.parse(line) as { n: number; at: number };
      truth.set(n, at - zero);
    });
    await vi.waitFor(async () => expect((await readOutboxStatus(folder))[0]?.backlog).toBe(first + 49), 10_000);
    if (set !== undefined) {
      child.stdin.write(`${set}\n`);
      await vi.waitFor(() => expect(starts(folder).map(({ correction }) => correction)).not.toContain(null), 10_000);
    }
    const closed = once(child, 'close');
    child.kill('SIGKILL');
    await closed;
  }

  await run(IN_1980, 1);
  await run(IN_1980 + 5 * HOUR, 51);
  await run(IN_1980 + HOUR, 101, YEARS);
  const messages = await deliver(folder, 150);
  expect(messages.map(({ values }) => values.n)).toEqual(range(1, 150));
  for (const { ts, clock, values } of messages)
    expect({ ts, clock }).toEqual({ ts: IN_1980 + HOUR + YEARS + (truth.get(values.n) ?? 0) });
});

test('a damaged file keeps what was learnt', async () => {
  const folder = temporaryFolder();
  const clock = new UnsetClock(0);
  const first = await keep(folder, clock, []);
  const noise = 'x'.repeat(200);
  for (const n of range(1, 2000)) {
    first.accept({ ...unset(n), names: ['n', 'text'], values: [n, noise + Math.sin(n)] });
    if (n % 40 === 0) await vi.waitFor(() => expect(first.status().waiting.live).toBe(0));
  }
  clock.set(YEARS);
  await first.close();
  const file = `${folder}/outbox/cloud.sqlite`;
  const handle = openSync(file, 'r+');
  writeSync(handle, Buffer.alloc(4096, 0xa5), 0, 4096, Math.floor(statSync(file).size / 8192) * 4096);
  closeSync(handle);
  const cloud = await broker();
  const upstream = await openTestUpstream(cloud.url, folder);
  await cloud.until(() => cloud.json<Message>('t/live').at(-1)?.values.n === 2000);
  await upstream.close();
  const messages = cloud.json<Message>('t/live');
  expect(cloud.json<Message>('g/gap').map(({ gap }) => gap?.cause)).toContain('unreadable');
  for (const { ts, clock: mark, values } of messages) expect({ ts, mark }).toEqual({ ts: IN_1980 + YEARS + values.n });
});

describe('what gives way', () => {
  /** Opens a folder, lets all of it expire that may, and gives the gaps that a receiver sees. */
  async function expire(folder: string, clock: Clock, expired: number): Promise<Message[]> {
    const cloud = await broker();
    await cloud.down();
    const settings = { buffer: { ...QUICK, age: '300ms' } };
    const upstream = await openTestUpstream(cloud.url, folder, settings, clock);
    // Each new event is an occasion to look.
    await vi.waitFor(() => {
      upstream.accept(event(1000));
      expect(upstream.status().accounts.live.expired).toBeGreaterThanOrEqual(expired);
    }, 5000);
    await cloud.up();
    await vi.waitFor(() => expect(upstream.status().waiting).toEqual({ alarm: 0, live: 0, backlog: 0 }), 5000);
    await upstream.close();
    return cloud.json<Message>('g/gap');
  }

  test('expires by the true time, once that was learnt', async () => {
    const folder = temporaryFolder();
    const clock = new UnsetClock(0);
    const first = await keep(folder, clock, range(1, 50), { age: '1ms' });
    clock.set(YEARS);
    expect(first.status().accounts.live.expired).toBe(0);
    await first.close();
    const [gap] = await expire(folder, setClock, 50);
    expect(gap?.gap).toMatchObject({ cause: 'expired', from: IN_1980 + YEARS + 1 });
    expect(gap?.clock).toBeUndefined();
  });

  test('what nobody knows the time of waits for what follows it, and is told as a gap of its own', async () => {
    const folder = temporaryFolder();
    await (await keep(folder, new UnsetClock(0), range(1, 20))).close();
    await (await keep(folder, new UnsetClock(0), range(21, 50))).close();
    await (await keep(folder, setClock, range(51, 60))).close();
    const gaps = await expire(folder, setClock, 60);
    expect(gaps.slice(0, 2)).toMatchObject([
      { clock: 'unset', gap: { count: 50, from: IN_1980 + 1, to: IN_1980 + 50 } },
      { gap: { cause: 'expired', from: event(51).at } },
    ]);
    expect(gaps[1]?.clock).toBeUndefined();
  });

  /** Accepts events of 40 points, each with its time, and has them on disk. */
  async function fill(upstream: Upstream, times: readonly number[], mark?: 'unset'): Promise<number[]> {
    const draw = random(times.length);
    const names = range(1, 40).map((p) => `p${p}`);
    const extremes = [Infinity, -Infinity];
    for (const [i, at] of times.entries()) {
      const values = names.map(() => Math.round(draw() * 1e6));
      extremes[0] = Math.min(extremes[0] ?? 0, values[0] ?? 0);
      extremes[1] = Math.max(extremes[1] ?? 0, values[0] ?? 0);
      upstream.accept({ ...event(0), at, names, values, ...(mark && { clock: mark }) });
      if (i % 200 === 199) await vi.waitFor(() => expect(upstream.status().waiting.live).toBe(0), 5000);
    }
    return extremes;
  }

  /** What thinning left, after `check`s that hold for any: numbers grow, each number once, the extremes of each part are there. */
  async function thinned(
    cloud: TestBroker,
    upstream: Upstream,
    parts: number[][],
    sizes: number[],
  ): Promise<Thinned[]> {
    await cloud.up();
    await vi.waitFor(() => expect(upstream.status().waiting).toEqual({ alarm: 0, live: 0, backlog: 0 }), 20_000);
    const { thinned: gone, acknowledged, accepted } = upstream.status().accounts.live;
    expect(gone).toBeGreaterThan(100);
    expect(acknowledged).toBe(accepted - gone);
    await upstream.close();
    const messages = cloud.json<Thinned>('t/live');
    const seq = ({ id }: Thinned) => Number(id.split(':')[2]);
    expect(messages.map(seq)).toEqual(messages.map(seq).toSorted((a, b) => a - b));
    let first = 1;
    for (const [i, size] of sizes.entries()) {
      const inPart = messages.filter((message) => seq(message) >= first && seq(message) < first + size);
      const kept = inPart.flatMap(({ values }) => values.p1 ?? []);
      expect([Math.min(...kept), Math.max(...kept)]).toEqual(parts[i]);
      first += size;
    }
    expect(cloud.json('g/gap')).toEqual([]);
    return messages;
  }

  test('is thinned out by true times, whether they were known then or not', { timeout: 40_000 }, async () => {
    const cloud = await broker();
    await cloud.down();
    const clock = new UnsetClock(0);
    const settings = { buffer: { ...QUICK, size: '1MB' } };
    const upstream = await openTestUpstream(cloud.url, temporaryFolder(), settings, clock);
    const seconds = (from: number) => range(from, from + 4799).map((s) => IN_1980 + s * 1000);
    const before = await fill(upstream, seconds(0), 'unset');
    clock.set(YEARS);
    const after = await fill(
      upstream,
      seconds(4800).map((at) => at + YEARS),
    );
    const messages = await thinned(cloud, upstream, [before, after], [4800, 4800]);
    expect(messages.filter((message) => message.clock)).toEqual([]);
    for (const { id, ts } of messages) expect(ts).toBe(IN_1980 + YEARS + (Number(id.split(':')[2]) - 1) * 1000);
  });

  test('is neither reordered, given up nor thinned too far where the clock stepped', { timeout: 40_000 }, async () => {
    const cloud = await broker();
    await cloud.down();
    const settings = { buffer: { ...QUICK, size: '1MB', age: '1h' } };
    const upstream = await openTestUpstream(cloud.url, temporaryFolder(), settings);
    const parts: number[][] = [];
    // On time, a day back, fifty years ahead, and right again: age goes by another clock.
    for (const step of [0, -24 * HOUR, YEARS, 0])
      parts.push(
        await fill(
          upstream,
          range(1, 2400).map((s) => event(0).at + step + s * 1000),
        ),
      );
    await thinned(cloud, upstream, parts, [2400, 2400, 2400, 2400]);
  });
});
