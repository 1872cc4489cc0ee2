import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Poller } from '../../src/polling/poller.js';
import { preparePollers } from '../../src/polling/pollers.js';
import { device, good, later, ScriptedWire } from '../support/scripted-wire.js';

let wire: ScriptedWire;
let poller: Poller | undefined;
beforeEach(() => {
  vi.useFakeTimers();
  wire = new ScriptedWire();
});
afterEach(async () => {
  await poller?.stop();
  vi.useRealTimers();
});

/** Times since the first read. */
function since(times: readonly number[]): number[] {
  return times.map((time) => Math.round(time - (times[0] ?? 0)));
}

describe('polling by schedule', () => {
  test('reads everything at once at first, then each point by its own interval', async () => {
    poller = wire.start([device('a', { fast: { every: 1000 }, slow: { every: 3000 } })]);
    await vi.advanceTimersByTimeAsync(6500);
    expect(wire.reads.map(({ points }) => points.join('+'))).toEqual([
      'fast+slow',
      'fast',
      'fast',
      'fast+slow',
      'fast',
      'fast',
      'fast+slow',
    ]);
    expect(since(wire.timesOf('a'))).toEqual([0, 1000, 2000, 3000, 4000, 5000, 6000]);
    expect(poller?.stats).toEqual({
      polls: 7,
      pushes: 0,
      readings: 10,
      overruns: 0,
      failures: 0,
      reconnects: 0,
      attempts: 1,
    });
  });

  test('the batches of equal reads share their list of points', async () => {
    poller = wire.start([device('a', { p: {}, q: {} })]);
    await vi.advanceTimersByTimeAsync(2500);
    expect(new Set(wire.batches.map(({ points }) => points)).size).toBe(1);
    expect(new Set(wire.reads.map(({ list }) => list)).size).toBe(1);
  });

  test('wires that were opened at different times are polled at the same moments, ten at a time', async () => {
    const pollers = preparePollers({ log: pino({ level: 'silent' }), onBatch: () => {} });
    onTestFinished(pollers.stop);
    const wires = Array.from({ length: 21 }, () => new ScriptedWire());
    const lines = wires.map((each, index) => each.line(`wire-${index}`, [device(`on-${index}`, { p: {} })]));
    await pollers.use(lines.slice(0, 1));
    await vi.advanceTimersByTimeAsync(300.5);
    await pollers.use(lines);
    await vi.advanceTimersByTimeAsync(2500);
    const [first = [], ...others] = wires.map(({ reads }) => reads.slice(1).map(({ at }) => at));
    expect(first).toHaveLength(2);
    const later = others.map((times) => times.map((time, read) => time - (first[read] ?? 0)));
    expect(later).toEqual([...Array(9).fill([0, 0]), ...Array(10).fill([10, 10]), [20, 20]]);
  });

  test('devices of one wire take their turns spread over the interval', async () => {
    poller = wire.start(['a', 'b', 'c', 'd'].map((id) => device(id, { p: { every: 1000 } })));
    await vi.advanceTimersByTimeAsync(2999);
    const start = wire.timesOf('a')[0] as number;
    const later = wire.reads.filter(({ at }) => at >= start + 1000).map(({ at, device }) => [device, at - start]);
    expect(later).toEqual([
      ['a', 1000],
      ['b', 1250],
      ['c', 1500],
      ['d', 1750],
      ['a', 2000],
      ['b', 2250],
      ['c', 2500],
      ['d', 2750],
    ]);
  });

  test('a slow read does not shift the reads after it', async () => {
    wire.reply = (read) => (read.at > 0 && wire.reads.length === 3 ? later(700, good(read)) : good(read));
    poller = wire.start([device('a', { p: { every: 500 } })]);
    await vi.advanceTimersByTimeAsync(3100);
    // The third, due at 1000, holds the wire until 1700: the one of 1500 runs at once (by the faked clock a turn of the event loop takes a
    // millisecond), the one of 2000 in time.
    expect(since(wire.timesOf('a'))).toEqual([0, 500, 1000, 1701, 2000, 2500, 3000]);
    expect(poller.stats.overruns).toBe(0);
  });

  test('reads that fall out are counted, and told once', async () => {
    wire.reply = (read) => later(2500, good(read));
    poller = wire.start([device('a', { p: { every: 1000 } })]);
    await vi.advanceTimersByTimeAsync(24_900);
    // The tenth read began at 22,500: of the 23 slots until then, 13 fell out.
    expect(wire.reads.length).toBe(10);
    expect(poller.stats.overruns).toBe(13);
    expect(wire.log.filter(({ msg }) => msg.includes('falls behind')).length).toBe(1);
  });

  test('a wire that is too slow for all serves all alike', async () => {
    wire.reply = (read) => later(600, good(read));
    poller = wire.start(['a', 'b', 'c'].map((id) => device(id, { p: { every: 1000 } })));
    await vi.advanceTimersByTimeAsync(60_000);
    const counts = ['a', 'b', 'c'].map((id) => wire.timesOf(id).length);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
  });

  test('one read at a time, unless the session takes more; never two of one device', async () => {
    for (const [concurrency, expected] of [
      [undefined, 1],
      [2, 2],
      [8, 3],
    ] as const) {
      wire = new ScriptedWire();
      wire.concurrency = concurrency;
      const reading = new Set<string>();
      let most = 0;
      wire.reply = async (read) => {
        expect(reading.has(read.device)).toBe(false);
        reading.add(read.device);
        most = Math.max(most, reading.size);
        await later(400, undefined);
        reading.delete(read.device);
        return good(read);
      };
      poller = wire.start(['a', 'b', 'c'].map((id) => device(id, { p: { every: 300 } })));
      await vi.advanceTimersByTimeAsync(5000);
      expect(most).toBe(expected);
      await poller.stop();
    }
  });

  test('points that are written only, and scale factors, do not leave in batches', async () => {
    wire.reply = (read) => ({ values: read.points.map((id) => (id === 'sf' ? -1 : 2301)), answered: true });
    poller = wire.start([
      device('a', {
        w: { type: 'int16', scaleFrom: 'sf' },
        sf: { type: 'int16', kind: 'scale' },
        go: { access: 'write' },
      }),
    ]);
    await vi.advanceTimersByTimeAsync(10);
    expect(wire.reads[0]?.points).toEqual(['w', 'sf']);
    expect(wire.toldBy('a')).toEqual([{ w: 230.1 }]);
  });

  test('a driver that answers without ever waiting leaves timers their turn', async () => {
    vi.useRealTimers();
    poller = wire.start(Array.from({ length: 50 }, (_, index) => device(`d${index}`, { p: { every: 1 } })));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(wire.reads.length).toBeGreaterThan(50);
  });
});
