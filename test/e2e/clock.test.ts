/** A gateway that starts before its clock is set: what was taken meanwhile leaves with its true time, wherever it waited. */
import { expect, onTestFinished, test, vi } from 'vitest';
import { TestBroker } from '../support/broker.js';
import { UnsetClock } from '../support/clock.js';
import { ScriptedBroker } from '../support/scripted-broker.js';
import { event, openTestUpstream, temporaryFolder } from '../support/upstream.js';

interface Message {
  id: string;
  ts: number;
  values?: { n: number };
  clock?: string;
  late?: boolean;
  gap?: { count: number; from: number; to: number };
}

const CORRECTION = 46 * 365 * 86_400_000;
const IN_1980 = Date.UTC(1980, 0, 6);
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** The event number `n`, taken `n` milliseconds after the start of a clock that is not set. */
const unset = (n: number) => ({ ...event(n), at: IN_1980 + n, clock: 'unset' as const });
/** … and of one that is. */
const set = (n: number) => ({ ...event(n), at: IN_1980 + CORRECTION + n });

async function broker(): Promise<TestBroker> {
  const started = await TestBroker.start();
  onTestFinished(() => started.down());
  return started;
}

test('in memory, on disk and read back, everything of this start is corrected, in order', async () => {
  const cloud = await broker();
  await cloud.down();
  const clock = new UnsetClock(IN_1980);
  const folder = temporaryFolder();
  const upstream = await openTestUpstream(cloud.url, folder, { buffer: { flush: '40ms', live_for: '1ms' } }, clock);
  for (const n of range(1, 300)) upstream.accept(unset(n));
  await vi.waitFor(() => expect(upstream.status().waiting).toMatchObject({ live: 0, backlog: 300 }));
  for (const n of range(301, 400)) upstream.accept(unset(n));
  clock.set(CORRECTION);
  for (const n of range(401, 500)) upstream.accept(set(n));
  await cloud.up();
  await cloud.until(() => cloud.json('t/live').length === 500);
  await upstream.close();
  const messages = cloud.json<Message>('t/live');
  expect(messages.filter((message) => message.clock)).toEqual([]);
  const inOrder = (late: boolean) => messages.filter((message) => (message.late ?? false) === late);
  for (const lane of [inOrder(true), inOrder(false)])
    expect(lane.map(({ values }) => values?.n)).toEqual(
      lane.map(({ values }) => values?.n).sort((a = 0, b = 0) => a - b),
    );
  for (const { ts, values } of messages) expect(ts).toBe(IN_1980 + CORRECTION + (values?.n ?? 0));
});

test('what leaves before the clock is set is marked', async () => {
  const cloud = await broker();
  const clock = new UnsetClock(IN_1980);
  const upstream = await openTestUpstream(cloud.url, temporaryFolder(), {}, clock);
  upstream.accept(unset(1));
  await cloud.until(() => cloud.json('t/live').length === 1);
  clock.set(CORRECTION);
  upstream.accept(unset(2)); // it was on its way when the clock was set
  await cloud.until(() => cloud.json('t/live').length === 2);
  await upstream.close();
  expect(cloud.json<Message>('t/live').map(({ ts, clock: mark }) => ({ ts, mark }))).toEqual([
    { ts: IN_1980 + 1, mark: 'unset' },
    { ts: IN_1980 + CORRECTION + 2, mark: undefined },
  ]);
});

test('what must be sent again is sent with its true time', async () => {
  let answers = false;
  const script = await ScriptedBroker.start({ publish: () => (answers ? {} : 'silence') });
  onTestFinished(() => script.stop());
  const clock = new UnsetClock(IN_1980);
  const settings = { version: '3.1.1', ack_timeout: '1s' };
  const upstream = await openTestUpstream(script.url, temporaryFolder(), settings, clock);
  upstream.accept(unset(1));
  await script.until(() => script.published.length === 1);
  clock.set(CORRECTION);
  answers = true;
  await script.until(() => script.connections === 2 && script.published.length === 2);
  await upstream.close();
  const [first, second] = script.published.map(({ payload }) => JSON.parse(payload) as Message);
  expect(first).toMatchObject({ ts: IN_1980 + 1, clock: 'unset' });
  expect(second).toMatchObject({ id: first?.id, ts: IN_1980 + CORRECTION + 1 });
  expect(second?.clock).toBeUndefined();
});

test('what an earlier start left with a clock that was never set stays marked', async () => {
  const cloud = await broker();
  await cloud.down();
  const folder = temporaryFolder();
  const before = await openTestUpstream(cloud.url, folder, {}, new UnsetClock(IN_1980));
  for (const n of range(1, 50)) before.accept(unset(n));
  await before.close();
  const clock = new UnsetClock(IN_1980);
  const upstream = await openTestUpstream(cloud.url, folder, {}, clock);
  upstream.accept(unset(51));
  clock.set(CORRECTION);
  await cloud.up();
  await cloud.until(() => cloud.json('t/live').length === 51);
  await upstream.close();
  for (const { ts, clock: mark, values, late } of cloud.json<Message>('t/live'))
    if (late) expect({ ts, mark }).toEqual({ ts: IN_1980 + (values?.n ?? 0), mark: 'unset' });
    else expect({ ts, mark }).toEqual({ ts: IN_1980 + CORRECTION + 51, mark: undefined });
});

test('a gap made before the clock was set is corrected with the rest', async () => {
  const cloud = await broker();
  await cloud.down();
  const clock = new UnsetClock(IN_1980);
  // Nothing is written for so long that memory must give way.
  const settings = { buffer: { flush: '10s', memory: '60kB' } };
  const upstream = await openTestUpstream(cloud.url, temporaryFolder(), settings, clock);
  for (const n of range(1, 1000)) upstream.accept(unset(n));
  await vi.waitFor(() => expect(upstream.status().dropped).toBeGreaterThan(0), 10_000);
  const { dropped } = upstream.status();
  clock.set(CORRECTION);
  await cloud.up();
  await cloud.until(() => cloud.json('g/gap').length === 1);
  await upstream.close();
  const [told] = cloud.json<Message>('g/gap');
  const start = IN_1980 + CORRECTION;
  expect(told).toMatchObject({ ts: start + dropped, gap: { count: dropped, from: start + 1, to: start + dropped } });
  expect(told?.clock).toBeUndefined();
});
