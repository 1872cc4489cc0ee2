import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { gatewaySchema } from '../../src/config/schema.js';
import { readOutboxStatus } from '../../src/delivery/status.js';
import { prepareUpstreams } from '../../src/delivery/upstreams.js';
import { prepareDiskThread } from '../../src/ops/disk-thread.js';
import { TestBroker } from '../support/broker.js';
import { setClock } from '../support/clock.js';
import { ScriptedBroker } from '../support/scripted-broker.js';
import { event, openTestUpstream, silent, temporaryFolder } from '../support/upstream.js';

interface Message {
  id: string;
  values?: { n: number };
  late?: boolean;
  gap?: { count: number; cause: string };
}

const numbers = (messages: Message[]): number[] => messages.flatMap((m) => (m.values ? [m.values.n] : []));
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

async function broker(): Promise<TestBroker> {
  const started = await TestBroker.start();
  onTestFinished(() => started.down());
  return started;
}

describe('delivery', () => {
  test('sends at once, in order, with unique ids, a retained birth and a retained goodbye', async () => {
    const cloud = await broker();
    const upstream = await openTestUpstream(cloud.url, temporaryFolder());
    for (const n of range(1, 500)) upstream.accept(event(n));
    await cloud.until(() => cloud.json('t/live').length === 500);
    const messages = cloud.json<Message>('t/live');
    expect(numbers(messages)).toEqual(range(1, 500));
    expect(messages[0]).toEqual({ id: 'g:1:1', ts: 1_700_000_000_001, device: 'd', values: { n: 1, state: 'on' } });
    expect(new Set(messages.map((m) => m.id)).size).toBe(500);
    await vi.waitFor(() => expect(upstream.status().acknowledged).toBe(500));
    await upstream.close();
    const status = cloud.received.filter((m) => m.topic === 'tidegate/g/status');
    expect(status.map((m) => [m.retain, JSON.parse(m.payload).state])).toEqual([
      [true, 'online'],
      [true, 'offline'],
    ]);
  });

  test('writes nothing to disk while the upstream acknowledges, for more than two flush windows', async () => {
    const cloud = await broker();
    const folder = temporaryFolder();
    const upstream = await openTestUpstream(cloud.url, folder);
    await vi.waitFor(() => expect(upstream.status().link).toBe('online'));
    const end = performance.now() + 2_200;
    for (let n = 0; performance.now() < end; ) {
      for (let burst = 0; burst < 10; burst++) upstream.accept(event(++n));
      await cloud.until(() => cloud.received.length > n);
      expect((await readOutboxStatus(folder))[0]).toMatchObject({ backlog: 0, alarm: 0 });
    }
    await upstream.close();
  });

  test('keeps everything through an outage, live data first, the backlog marked late and in order', async () => {
    const cloud = await broker();
    const upstream = await openTestUpstream(cloud.url, temporaryFolder(), {
      buffer: { flush: '40ms', live_for: '1500ms' },
    });
    upstream.accept(event(1));
    await vi.waitFor(() => expect(upstream.status().acknowledged).toBe(1));
    await cloud.down();
    for (const n of range(2, 300)) upstream.accept(event(n));
    await vi.waitFor(() => expect(upstream.status().waiting).toEqual({ alarm: 0, live: 0, backlog: 299 }), 5000);
    expect(upstream.status().oldest).toBe(event(2).at);
    upstream.accept(event(301));
    await cloud.up();
    await cloud.until(() => cloud.json('t/live').length === 301);
    const messages = cloud.json<Message>('t/live');
    expect(numbers(messages.filter((m) => m.late))).toEqual(range(2, 300));
    expect(numbers(messages.filter((m) => !m.late))).toEqual([1, 301]);
    expect(messages[1]?.values?.n).toBe(301);
    await vi.waitFor(() => expect(upstream.status()).toMatchObject({ acknowledged: 301, waiting: { backlog: 0 } }));
    await upstream.close();
  });

  test('sends alarms before live data and the backlog, in their own order', async () => {
    const cloud = await broker();
    await cloud.down();
    const folder = temporaryFolder();
    const upstream = await openTestUpstream(cloud.url, folder, {
      in_flight: 1,
      buffer: { flush: '40ms', live_for: '500ms' },
    });
    for (const n of range(1, 50)) upstream.accept(event(n, n % 10 === 0 ? 'alarm' : 'live'));
    await vi.waitFor(() => expect(upstream.status().waiting).toEqual({ alarm: 5, live: 0, backlog: 45 }), 5000);
    upstream.accept(event(51));
    upstream.accept(event(60, 'alarm'));
    await cloud.up();
    await cloud.until(() => cloud.received.length >= 53);
    expect(numbers(cloud.json('t/alarm'))).toEqual([10, 20, 30, 40, 50, 60]);
    const data = cloud.received.filter((m) => m.topic.startsWith('t/'));
    expect(data.slice(0, 6).map((m) => m.topic)).toEqual(Array(6).fill('t/alarm'));
    expect(JSON.parse(data[6]?.payload ?? '').values.n).toBe(51);
    await upstream.close();
  });

  test('a clean stop during an outage loses and repeats nothing, and never uses an id twice', async () => {
    const cloud = await broker();
    await cloud.down();
    const folder = temporaryFolder();
    for (const start of [0, 1, 2]) {
      const upstream = await openTestUpstream(cloud.url, folder);
      for (const n of range(1, 100)) upstream.accept(event(start * 100 + n));
      await upstream.close();
    }
    expect((await readOutboxStatus(folder))[0]).toMatchObject({ id: 'cloud', backlog: 300, readings: 600 });
    await cloud.up();
    const upstream = await openTestUpstream(cloud.url, folder);
    await cloud.until(() => cloud.json('t/live').length === 300);
    const messages = cloud.json<Message>('t/live');
    expect(numbers(messages)).toEqual(range(1, 300));
    expect(messages.every((m) => m.late)).toBe(true);
    expect(messages.map((m) => m.id.split(':')[1])).toEqual(range(1, 300).map((n) => String(Math.ceil(n / 100))));
    await vi.waitFor(async () => expect((await readOutboxStatus(folder))[0]).toMatchObject({ backlog: 0 }));
    await upstream.close();
  });

  test('strict mode has every event on disk before it is published', async () => {
    const cloud = await broker();
    const folder = temporaryFolder();
    const upstream = await openTestUpstream(cloud.url, folder, { buffer: { durability: 'strict' } });
    await vi.waitFor(() => expect(upstream.status().link).toBe('online'));
    const onDisk: number[] = [];
    cloud.on('message', () => void readOutboxStatus(folder).then(([file]) => onDisk.push(file?.backlog ?? 0)));
    upstream.accept(event(1));
    expect(upstream.status().inFlight).toBe(0);
    await cloud.until(() => cloud.json('t/live').length === 1);
    await vi.waitFor(() => expect(upstream.status().acknowledged).toBe(1));
    for (const n of range(2, 100)) upstream.accept(event(n));
    await cloud.until(() => cloud.json('t/live').length === 100);
    expect(numbers(cloud.json('t/live'))).toEqual(range(1, 100));
    await vi.waitFor(async () => expect((await readOutboxStatus(folder))[0]).toMatchObject({ backlog: 0 }));
    await upstream.close();
  });

  test('several upstreams at once: one that is down touches no other', async () => {
    const [near, far] = [await broker(), await broker()];
    await far.down();
    const folder = temporaryFolder();
    const configs = gatewaySchema.parse({
      gateway: 'g',
      upstreams: { near: { url: near.url }, far: { url: far.url } },
    }).upstreams;
    const thread = prepareDiskThread();
    const upstreams = prepareUpstreams({ configs, gateway: 'g', folder, log: silent, clock: setClock, thread });
    await upstreams.open();
    for (const n of range(1, 100)) for (const id of ['near', 'far']) upstreams.accept(id, event(n));
    await near.until(() => near.json('t/live').length === 100);
    expect(upstreams.status().map(({ id, waiting }) => [id, waiting.live])).toEqual([
      ['near', expect.any(Number)],
      ['far', 100],
    ]);
    await upstreams.close();
    await thread.close();
    expect((await readOutboxStatus(folder)).map(({ id, backlog }) => [id, backlog])).toEqual([
      ['far', 100],
      ['near', 0],
    ]);
  });

  test('leaves room in the window for live data while the backlog drains', async () => {
    const broker = await ScriptedBroker.start({ publish: () => 'silence' });
    onTestFinished(() => broker.stop());
    const folder = temporaryFolder();
    const before = await openTestUpstream('mqtt://127.0.0.1:1', folder);
    for (const n of range(1, 100)) before.accept(event(n));
    await before.close();
    const upstream = await openTestUpstream(broker.url, folder, { version: '3.1.1', in_flight: 10 });
    await broker.until(() => broker.published.length === 5);
    for (const n of range(101, 120)) upstream.accept(event(n));
    await broker.until(() => broker.published.length === 10);
    const sent = broker.published.map(({ payload }) => JSON.parse(payload) as Message);
    expect(numbers(sent.filter((m) => m.late))).toEqual(range(1, 5));
    expect(numbers(sent.filter((m) => !m.late))).toEqual(range(101, 105));
    await upstream.close();
  });

  test('in strict order sends one sequence, oldest first, live data last', async () => {
    const cloud = await broker();
    const folder = temporaryFolder();
    await cloud.down();
    const before = await openTestUpstream(cloud.url, folder);
    for (const n of range(1, 500)) before.accept(event(n));
    await before.close();
    const upstream = await openTestUpstream(cloud.url, folder, { order: 'strict' });
    for (const n of range(501, 520)) upstream.accept(event(n));
    await cloud.up();
    await cloud.until(() => cloud.json('t/live').length === 520);
    expect(numbers(cloud.json('t/live'))).toEqual(range(1, 520));
    await upstream.close();
  });
});
