import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { Poller } from '../../src/polling/poller.js';
import { device, good, later, linkDown, ScriptedWire } from '../support/scripted-wire.js';
import { fakeTimers } from '../support/timers.js';

let wire: ScriptedWire;
let poller: Poller;
fakeTimers(() => poller);
beforeEach(() => {
  wire = new ScriptedWire();
});

const two = [device('a', { p: {} }), device('b', { p: {} })];
const never = new Promise<never>(() => {});

describe('a wire that is down', () => {
  test('is tried again at once, then after 1 s, doubling to 60 s; told once', async () => {
    const tries: number[] = [];
    wire.open = async () => {
      tries.push(performance.now());
      throw linkDown('ECONNREFUSED');
    };
    poller = wire.start(two);
    await vi.advanceTimersByTimeAsync(200_000);
    const gaps = tries.slice(1).map((at, index) => Math.round((at - (tries[index] as number)) / 1000));
    expect(gaps).toEqual([0, 1, 2, 4, 8, 16, 32, 60, 60]);
    expect(wire.toldBy('a')).toEqual([{ p: '!ECONNREFUSED' }]);
    expect(wire.toldBy('b')).toEqual([{ p: '!ECONNREFUSED' }]);
    expect(poller.state('a')).toEqual({ state: 'offline', reason: 'ECONNREFUSED' });
    expect(wire.log.filter(({ level }) => level >= 40).length).toBeLessThanOrEqual(2);
  });

  test('brings everything back when it returns', async () => {
    let up = true;
    wire.open = async () => {
      if (!up) throw linkDown('ECONNREFUSED');
    };
    wire.reply = (read) => {
      if (!up) throw linkDown();
      return good(read);
    };
    poller = wire.start(two);
    await vi.advanceTimersByTimeAsync(15_000);
    up = false;
    await vi.advanceTimersByTimeAsync(10_000);
    up = true;
    await vi.advanceTimersByTimeAsync(20_000);
    expect(wire.states).toEqual([
      'a online',
      'b online',
      'a offline: ECONNREFUSED',
      'b offline: ECONNREFUSED',
      'a online',
      'b online',
    ]);
    expect(wire.toldBy('a').filter(({ p }) => p !== 1)).toEqual([{ p: '!ECONNREFUSED' }]);
    expect(poller.stats).toMatchObject({ reconnects: 1, overruns: 0 });
    expect(wire.closed).toBe(1);
  });

  test('for a moment only turns nothing bad', async () => {
    wire.reply = (read) => {
      if (wire.reads.length === 30) throw linkDown();
      return good(read);
    };
    poller = wire.start(two);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(poller.stats).toMatchObject({ reconnects: 1, failures: 1 });
    expect(wire.states).toEqual(['a online', 'b online']);
    expect(wire.batches.every(({ flaws }) => flaws === undefined)).toBe(true);
  });

  test('again and again is not opened again and again without pause', async () => {
    wire.reply = () => {
      throw linkDown();
    };
    poller = wire.start([device('a', { p: {} })]);
    await vi.advanceTimersByTimeAsync(100_000);
    expect(wire.opened).toBeLessThan(12);
    expect(wire.toldBy('a')).toEqual([{ p: '!reset by the other side' }]);
  });
});

describe('one device that breaks the wire', () => {
  test.each([0, 1])('is left alone, and the others go on (as number %s)', async (at) => {
    const devices = Array.from({ length: 10 }, (_, index) => device(`d${index}`, { p: { every: 1000 } }));
    const bad = `d${at * 5}`;
    wire.reply = (read) => {
      if (read.device === bad && read.at > 20_000) throw linkDown();
      return good(read);
    };
    poller = wire.start(devices);
    await vi.advanceTimersByTimeAsync(220_000);
    for (const { id } of devices) {
      const told = wire.toldBy(id);
      if (id === bad) {
        expect(told.filter(({ p }) => p !== 1)).toEqual([{ p: '!reset by the other side' }]);
      } else {
        expect(told.length).toBeGreaterThan(215);
        expect(told.every(({ p }) => p === 1)).toBe(true);
      }
    }
  });

  test('even when it does so from the start', async () => {
    wire.reply = (read) => {
      if (read.device === 'a') throw linkDown();
      return good(read);
    };
    poller = wire.start([...two, device('c', { p: {} })]);
    await vi.advanceTimersByTimeAsync(100_000);
    expect(wire.toldBy('b').length).toBeGreaterThan(95);
    expect(poller.state('a').state).toBe('offline');
    expect(poller.state('c').state).toBe('online');
  });
});

describe('a driver with a fault', () => {
  test.each<[string, () => never | { values: never[]; answered: boolean }]>([
    [
      'throws what it should not',
      () => {
        throw new TypeError('x is not a function');
      },
    ],
    ['gives too few values', () => ({ values: [], answered: true })],
    ['gives an object that is no structure', () => ({ values: [{ raw: '01' } as never], answered: true })],
    ['gives nothing', () => undefined as never],
  ])('that %s ends its session only: told with its stack, opened again later', async (_, fault) => {
    wire.reply = (read) => (wire.reads.length === 5 ? fault() : good(read));
    poller = wire.start([device('a', { p: {} })]);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(wire.opened).toBe(2);
    expect(poller.state('a').state).toBe('online');
    const broke = wire.log.filter(({ msg }) => msg.startsWith('connection broke'));
    expect(broke.length).toBe(1);
    expect(broke[0]?.err).toMatchObject({ stack: expect.any(String) });
  });

  test('whose read never ends is opened anew after a minute, and a late answer is ignored', async () => {
    wire.reply = (read) => (wire.reads.length === 5 ? later(90_000, good(read, { p: 'stale' })) : good(read));
    poller = wire.start([device('a', { p: {} })]);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(wire.opened).toBe(2);
    expect(wire.toldBy('a').filter(({ p }) => p === '!stale')).toEqual([]);
    expect(poller.state('a').state).toBe('online');
  });

  test('that opens for ever is given up after a minute; a session that comes too late is closed', async () => {
    let tries = 0;
    wire.open = () => (++tries === 1 ? later(61_000, undefined) : Promise.resolve());
    poller = wire.start(two);
    await vi.advanceTimersByTimeAsync(70_000);
    expect(wire.states).toEqual([
      'a offline: the driver took over 60 s',
      'b offline: the driver took over 60 s',
      'a online',
      'b online',
    ]);
    expect([wire.opened, wire.closed]).toEqual([2, 1]);
  });

  test('what fails behind the poller does not stop it', async () => {
    poller = wire.start(two, () => {
      throw new Error('no such route');
    });
    await vi.advanceTimersByTimeAsync(5400);
    expect(wire.reads.length).toBe(12);
    expect(wire.opened).toBe(1);
    expect(wire.log.filter(({ msg }) => msg.includes('no such route')).length).toBe(1);
  });
});

describe('stopping', () => {
  test.each([
    ['while a read hangs and the session does not close', 'read'],
    ['while the driver opens', 'open'],
    ['while waiting for the next attempt', 'pause'],
  ])('%s takes less than two seconds', async (_, where) => {
    if (where === 'read') wire.reply = () => never;
    if (where === 'read') wire.close = () => never;
    if (where === 'open') wire.open = () => never;
    if (where === 'pause') wire.open = () => Promise.reject(linkDown());
    poller = wire.start(two);
    await vi.advanceTimersByTimeAsync(40_000);
    let stopped = false;
    void poller.stop().then(() => {
      stopped = true;
    });
    await vi.advanceTimersByTimeAsync(1999);
    expect(stopped).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('closes the session; no read begins and no batch comes afterwards', async () => {
    wire.reply = (read) => later(50, good(read));
    poller = wire.start(two);
    await vi.advanceTimersByTimeAsync(1020);
    const reads = wire.reads.length;
    const batches = wire.batches.length;
    await poller.stop();
    await vi.advanceTimersByTimeAsync(10_000);
    expect([wire.reads.length, wire.batches.length, wire.closed]).toEqual([reads, batches, 1]);
    expect(wire.states.some((state) => state.includes('offline'))).toBe(false);
  });
});
