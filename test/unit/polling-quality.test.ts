import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { Poller } from '../../src/polling/poller.js';
import { device, good, type Read, ScriptedWire, silence } from '../support/scripted-wire.js';
import { fakeTimers } from '../support/timers.js';

let wire: ScriptedWire;
let poller: Poller;
fakeTimers(() => poller);
beforeEach(() => {
  wire = new ScriptedWire();
});

const three = device('a', { p: {}, q: {}, r: {} });

describe('a point that cannot be read', () => {
  test('says so once, again when the reason changes, and again when it recovers', async () => {
    const script: Record<string, string>[] = [
      {},
      { q: 'exception 02' },
      { q: 'exception 02' },
      { q: 'exception 02', r: 'timeout' },
      { q: 'timeout', r: 'timeout' },
      { r: 'timeout' },
      {},
      {},
    ];
    wire.reply = (read) => good(read, script[wire.reads.length - 1] ?? {});
    poller = wire.start([three]);
    await vi.advanceTimersByTimeAsync(7500);
    expect(wire.toldBy('a')).toEqual([
      { p: 1, q: 1, r: 1 },
      { p: 1, q: '!exception 02', r: 1 },
      { p: 1, r: 1 },
      { p: 1, r: '!timeout' },
      { p: 1, q: '!timeout' },
      { p: 1, q: 1 },
      { p: 1, q: 1, r: 1 },
      { p: 1, q: 1, r: 1 },
    ]);
    expect(wire.states).toEqual([
      'a online',
      'a degraded: 1 point bad: q (exception 02)',
      'a degraded: 2 points bad: q (exception 02), r (timeout)',
      'a degraded: 2 points bad: q (timeout), r (timeout)',
      'a degraded: 1 point bad: r (timeout)',
      'a online',
    ]);
  });

  test('leaves a list of points that is the same as long as the same points are bad', async () => {
    wire.reply = (read) => good(read, { q: 'exception 02' });
    poller = wire.start([three]);
    await vi.advanceTimersByTimeAsync(4500);
    const [first, ...rest] = wire.batches.map(({ points }) => points);
    expect(first?.length).toBe(3);
    expect(rest.length).toBe(4);
    expect(new Set(rest).size).toBe(1);
  });

  test('of a device whose every point is bad leaves nothing more to tell', async () => {
    wire.reply = (read) => good(read, { p: 'exception 02', q: 'exception 02', r: 'exception 02' });
    poller = wire.start([three]);
    await vi.advanceTimersByTimeAsync(4500);
    expect(wire.batches.length).toBe(1);
    expect(poller.state('a').state).toBe('degraded');
  });

  test('keeps its place among points that are due at other times', async () => {
    const script: Record<string, string>[] = [{}, { fast: 'exception 04' }, {}, { slow: 'exception 02' }, {}];
    wire.reply = (read) => good(read, script[wire.reads.length - 1] ?? {});
    poller = wire.start([device('a', { fast: { every: 1000 }, slow: { every: 3000 } })]);
    await vi.advanceTimersByTimeAsync(6500);
    expect(wire.toldBy('a')).toEqual([
      { fast: 1, slow: 1 },
      { fast: '!exception 04' },
      { fast: 1 },
      { fast: 1, slow: '!exception 02' },
      { fast: 1 },
      { fast: 1 },
      { fast: 1, slow: 1 },
    ]);
  });

  test('uncertain values are told each time, and do not degrade a device', async () => {
    poller = wire.start([device('a', { p: { limits: { max: 0 } } })]);
    await vi.advanceTimersByTimeAsync(1500);
    expect(wire.batches.map(({ values, flaws }) => [values, flaws?.get(0)])).toEqual([
      [[1], { quality: 'uncertain', reason: 'above 0' }],
      [[1], { quality: 'uncertain', reason: 'above 0' }],
    ]);
    expect(wire.states).toEqual(['a online']);
  });
});

describe('a device that does not answer', () => {
  const dead = (id: string) => (read: Read) => (read.device === id ? silence(read) : good(read));

  test('turns all its points bad once, after a second try, and good again when it returns', async () => {
    let gone = false;
    wire.reply = (read) => (gone ? silence(read) : good(read));
    poller = wire.start([device('a', { fast: { every: 1000 }, slow: { every: 60_000 } })]);
    await vi.advanceTimersByTimeAsync(1500);
    gone = true;
    await vi.advanceTimersByTimeAsync(30_000);
    expect(wire.toldBy('a').slice(2)).toEqual([{ fast: '!timeout', slow: '!timeout' }]);
    expect(poller.state('a')).toEqual({ state: 'offline', reason: 'timeout' });
    gone = false;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(wire.toldBy('a').slice(3, 5)).toEqual([{ fast: 1, slow: 1 }, { fast: 1 }]);
    expect(wire.states).toEqual(['a online', 'a offline: timeout', 'a online']);
    expect(wire.log.filter(({ msg }) => msg.startsWith('does not answer')).length).toBe(1);
    expect(poller.stats.overruns).toBe(0);
  });

  test('a single lost reply is asked for again and never told', async () => {
    wire.reply = (read) => (wire.reads.length === 3 ? silence(read, 100) : good(read));
    poller = wire.start([three]);
    await vi.advanceTimersByTimeAsync(3500);
    expect(wire.toldBy('a')).toEqual(Array.from({ length: 4 }, () => ({ p: 1, q: 1, r: 1 })));
    expect(wire.states).toEqual(['a online']);
    expect(poller.stats.failures).toBe(1);
  });

  test('costs the nine others next to nothing', async () => {
    const ten = Array.from({ length: 10 }, (_, index) => device(`d${index}`, { p: { every: 1000 } }));
    const count = async (reply: ScriptedWire['reply']): Promise<number> => {
      wire = new ScriptedWire();
      wire.reply = reply;
      poller = wire.start(ten);
      await vi.advanceTimersByTimeAsync(200_001);
      await poller.stop();
      return wire.batches.filter((batch) => batch.device.id !== 'd5').length;
    };
    const without = await count((read) => good(read));
    const withDead = await count(dead('d5'));
    expect(without).toBe(9 * 201);
    expect(withDead).toBeGreaterThan(0.99 * without);
    const probes = wire.timesOf('d5').slice(2);
    expect(probes.length).toBeGreaterThan(3);
    expect(probes.length).toBeLessThan(0.04 * 200);
  });

  test('is probed with one point, and read as a whole when it answers', async () => {
    let gone = true;
    wire.reply = (read) => (gone && read.device === 'a' ? silence(read) : good(read));
    poller = wire.start([three, device('b', { p: {} })]);
    await vi.advanceTimersByTimeAsync(28_000);
    gone = false;
    await vi.advanceTimersByTimeAsync(60_000);
    const reads = wire.reads.filter((read) => read.device === 'a').map(({ points }) => points.join('+'));
    expect(reads.slice(0, 5)).toEqual(['p+q+r', 'p+q+r', 'p', 'q', 'p+q+r']);
  });

  test('when all were dead, the first that returns has the others probed at once', async () => {
    let gone = true;
    wire.reply = (read) => (gone ? silence(read) : good(read));
    const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
    poller = wire.start(ids.map((id) => device(id, { p: {} })));
    await vi.advanceTimersByTimeAsync(100_000);
    expect(ids.every((id) => poller.state(id).state === 'offline')).toBe(true);
    gone = false;
    while (!ids.some((id) => poller.state(id).state === 'online')) await vi.advanceTimersByTimeAsync(100);
    await vi.advanceTimersByTimeAsync(100);
    expect(ids.filter((id) => poller.state(id).state !== 'online')).toEqual([]);
  });
});
