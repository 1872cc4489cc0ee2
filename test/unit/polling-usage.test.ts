/** How busy a wire is said to be, on a faked clock. */
import { pino } from 'pino';
import { beforeEach, expect, test, vi } from 'vitest';
import type { Driver } from '../../src/driver.js';
import type { Poller } from '../../src/polling/poller.js';
import { type Pollers, preparePollers } from '../../src/polling/pollers.js';
import { device, good, later, linkDown, ScriptedWire } from '../support/scripted-wire.js';
import { fakeTimers } from '../support/timers.js';

let wire: ScriptedWire;
let running: Poller | Pollers | undefined;
fakeTimers(() => running);
beforeEach(() => {
  wire = new ScriptedWire();
});

const advance = (milliseconds: number): Promise<unknown> => vi.advanceTimersByTimeAsync(milliseconds);
const shareOf = (poller: Poller): number => Math.round(poller.usage.share(performance.now()) * 1_000) / 1_000;

test('is the time with a turn under way, whoever it is for', async () => {
  wire.reply = (read) => later(100, good(read));
  const poller = wire.start([device('a', { p: {} }), device('b', { p: {} })]);
  running = poller;
  await advance(10_000);
  expect(shareOf(poller)).toBeCloseTo(0.2, 1);
  void poller.run(() => later(3_000, undefined));
  await advance(10_000);
  // Reads that had to wait for the work come afterwards: three slots were missed, by both.
  expect(shareOf(poller)).toBeGreaterThan(0.3);
  expect(shareOf(poller)).toBeLessThan(0.36);
});

test('counts a turn that is still under way', async () => {
  wire.reply = () => new Promise(() => {});
  running = wire.start([device('a', { p: {} })]);
  await advance(4_000);
  expect(shareOf(running)).toBe(1);
});

test('is shared by all turns that the wire takes at once', async () => {
  wire.concurrency = 4;
  wire.reply = (read) => later(400, good(read));
  running = wire.start([device('a', { p: {} }), device('b', { p: {} })]);
  await advance(10_000);
  expect(shareOf(running)).toBeCloseTo(0.2, 1);
});

test('is nothing while the wire is gone, and goes on with the next session', async () => {
  wire.reply = (read) => later(500, good(read));
  const poller = wire.start([device('a', { p: {} })]);
  running = poller;
  await advance(10_000);
  expect(shareOf(poller)).toBe(0.5);
  wire.open = () => Promise.reject(linkDown());
  wire.reply = () => Promise.reject(linkDown());
  await advance(10_000);
  expect(shareOf(poller)).toBeCloseTo(0.25, 1);
});

test('forgets what was more than a minute ago; a wire that stays too busy is told of once', async () => {
  const told: { level: number; msg: string; connection?: string; load?: number; planned?: number }[] = [];
  const log = pino({ level: 'warn' }, { write: (line: string) => void told.push(JSON.parse(line)) });
  const pollers = preparePollers({ log, onBatch: () => {} });
  running = pollers;
  const driver: Driver = { ...wire.driver(), cost: () => 300 };
  let takes = 900;
  wire.reply = (read) => later(takes, good(read));
  const line = { connection: 'bus', driver, settings: {}, data: '/nowhere', gateway: 'g' };
  await pollers.use([{ ...line, devices: [device('a', { p: {} })] }]);
  await advance(50_000);
  expect(pollers.loads()).toEqual([{ id: 'bus', load: 0.9, planned: 0.3 }]);
  expect(told).toEqual([]);
  await advance(300_000);
  expect(told).toMatchObject([
    { connection: 'bus', load: 0.9, planned: 0.3, msg: expect.stringContaining('busy for more than 80 %') },
  ]);
  takes = 100;
  await advance(70_000);
  expect(pollers.loads()[0]?.load).toBeCloseTo(0.1, 2);
  takes = 950;
  await advance(120_000);
  expect(told).toHaveLength(2);
});
