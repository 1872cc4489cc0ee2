import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { Poller } from '../../src/polling/poller.js';
import { device, good, later, ScriptedWire, silence } from '../support/scripted-wire.js';
import { fakeTimers } from '../support/timers.js';

let wire: ScriptedWire;
let poller: Poller;
fakeTimers(() => poller);
beforeEach(() => {
  wire = new ScriptedWire();
  wire.reply = (read) => later(20, good(read));
});

const points = { p: { every: 1000 } };
const [a, b, c] = [device('a', points), device('b', points), device('c', points)];

/** The times of a device's reads from a time on, in whole seconds. */
function slots(id: string, from: number): number[] {
  return wire
    .timesOf(id)
    .filter((at) => at >= from)
    .map((at) => Math.round(at));
}

describe('the devices of a wire that is open', () => {
  test('a new one is read at once, in a phase of its own; nobody else is shifted', async () => {
    poller = wire.start([a, b]);
    const start = Math.round(performance.now());
    await vi.advanceTimersByTimeAsync(10_100);
    poller.use([a, c, b]);
    await vi.advanceTimersByTimeAsync(20);
    expect(slots('c', start)).toEqual([start + 10_100]);
    await vi.advanceTimersByTimeAsync(9_900);
    const seconds = Array.from({ length: 9 }, (_, n) => start + 11_000 + 1000 * n);
    expect(slots('a', start + 11_000).slice(0, 9)).toEqual(seconds);
    expect(slots('b', start + 11_000).slice(0, 9)).toEqual(seconds.map((at) => at + 500));
    expect(slots('c', start + 11_000).slice(0, 9)).toEqual(seconds.map((at) => at + 250));
    expect([wire.opened, wire.closed, poller.stats.reconnects, poller.stats.overruns]).toEqual([1, 0, 0, 0]);
  });

  test('one that is gone is not read again, and what a read still brings is for nobody', async () => {
    poller = wire.start([a, b]);
    await vi.advanceTimersByTimeAsync(5_010);
    // A read of a is under way.
    expect(wire.timesOf('a').length).toBe(wire.toldBy('a').length + 1);
    const [reads, told] = [wire.timesOf('a').length, wire.toldBy('a').length];
    poller.use([b]);
    await vi.advanceTimersByTimeAsync(5_000);
    expect([wire.timesOf('a').length, wire.toldBy('a').length]).toEqual([reads, told]);
    expect(wire.toldBy('b').length).toBeGreaterThanOrEqual(9);
    expect([wire.opened, wire.closed]).toEqual([1, 0]);
  });

  test('one that differs is read at once, by what it is now, in the phase that it had', async () => {
    poller = wire.start([a, b]);
    const start = Math.round(performance.now());
    await vi.advanceTimersByTimeAsync(5_100);
    poller.use([a, device('b', { q: { every: 1000 } })]);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(slots('b', start + 5_100)).toEqual([5_100, 5_500, 6_500, 7_500].map((at) => start + at));
    expect(wire.toldBy('b').at(-1)).toEqual({ q: 1 });
    expect(poller.state('b')).toEqual({ state: 'online' });
  });

  test('a dead one that is gone no longer slows the probes of others', async () => {
    wire.reply = (read) => (read.device === 'a' ? silence(read, 100) : later(20, good(read)));
    poller = wire.start([a, b]);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(poller.state('a').state).toBe('offline');
    poller.use([b, c, device('d', points)]);
    wire.reply = (read) => (read.device === 'b' ? silence(read, 100) : later(20, good(read)));
    await vi.advanceTimersByTimeAsync(30_000);
    expect(poller.state('b').state).toBe('offline');
    // A probe of 100 ms may come every 25 × 100 ms as long as only one device is dead.
    const last = wire.timesOf('b').slice(-3) as [number, number, number];
    expect(Math.round(last[2] - last[1])).toBeLessThan(2_700);
  });

  test('the last one may go, and others come', async () => {
    poller = wire.start([a]);
    await vi.advanceTimersByTimeAsync(3_000);
    poller.use([]);
    await vi.advanceTimersByTimeAsync(3_000);
    poller.use([c]);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(wire.toldBy('c').length).toBeGreaterThanOrEqual(3);
    expect(() => poller.state('a')).toThrow(RangeError);
  });
});

test('a wire that is down: the new ones are read when it opens', async () => {
  let up = false;
  wire.open = () => (up ? Promise.resolve() : Promise.reject(new Error('nobody there')));
  poller = wire.start([a]);
  await vi.advanceTimersByTimeAsync(3_000);
  poller.use([a, b]);
  up = true;
  await vi.advanceTimersByTimeAsync(10_000);
  expect([poller.state('a'), poller.state('b')]).toEqual([{ state: 'online' }, { state: 'online' }]);
});
