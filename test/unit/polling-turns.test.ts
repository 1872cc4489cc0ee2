/** Who gets the wire next: what was asked for, reads by their deadline, and dead devices seldom. */
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { TidegateError } from '../../src/errors.js';
import type { Poller } from '../../src/polling/poller.js';
import { device, good, later, linkDown, ScriptedWire, silence } from '../support/scripted-wire.js';
import { fakeTimers } from '../support/timers.js';

let wire: ScriptedWire;
let poller: Poller;
fakeTimers(() => poller);
beforeEach(() => {
  wire = new ScriptedWire();
});

const advance = (milliseconds: number): Promise<unknown> => vi.advanceTimersByTimeAsync(milliseconds);
const many = (count: number, every = 1000) =>
  Array.from({ length: count }, (_, i) => device(`d${i}`, { p: { every } }));

describe('work that was asked for', () => {
  test('goes next, not after the reads that are due', async () => {
    const turns: string[] = [];
    wire.reply = (read) => {
      turns.push(read.device);
      return later(100, good(read));
    };
    poller = wire.start(many(20));
    await advance(150);
    const done = poller.run(async () => turns.push('work'));
    await advance(100);
    await done;
    expect(turns).toEqual(['d0', 'd1', 'work', 'd2']);
  });

  test('is on the wire before the answer of the turn before is worked on', async () => {
    const order: string[] = [];
    wire.reply = (read) => later(100, good(read));
    poller = wire.start(many(2), ({ device: { id } }) => order.push(`${id} told`));
    await advance(50);
    const done = poller.run(async () => order.push('work'));
    await advance(60);
    await done;
    expect(order).toEqual(['work', 'd0 told']);
  });

  test('in a row leaves every second turn to the reads that are due', async () => {
    const turns: string[] = [];
    wire.reply = (read) => {
      turns.push(read.device);
      return later(100, good(read));
    };
    poller = wire.start(many(3, 100_000));
    await advance(50);
    for (const name of ['a', 'b', 'c', 'd']) void poller.run(async () => turns.push(name));
    await advance(1_000);
    expect(turns).toEqual(['d0', 'a', 'd1', 'b', 'd2', 'c', 'd']);
  });

  test('has the wire for itself, or one of its places', async () => {
    for (const concurrency of [undefined, 3]) {
      wire = new ScriptedWire();
      wire.concurrency = concurrency;
      let active = 0;
      let most = 0;
      const call = async <T>(result: T): Promise<T> => {
        most = Math.max(most, ++active);
        await later(50, undefined);
        active--;
        return result;
      };
      wire.reply = (read) => call(good(read));
      poller = wire.start(many(5, 60));
      await advance(1);
      for (let i = 0; i < 5; i++) void poller.run(() => call(undefined));
      await advance(2_000);
      for (let i = 0; i < 5; i++) void poller.run(() => call(undefined));
      await advance(2_000);
      expect(most).toBe(concurrency ?? 1);
      await poller.stop();
    }
  });

  test('fails by itself without harm; when it says that the wire is gone, the wire is opened again', async () => {
    poller = wire.start(many(1));
    await advance(1);
    await expect(poller.run(() => Promise.reject(new TypeError('oops')))).rejects.toThrow('oops');
    await expect(poller.run(() => Promise.reject(new TidegateError('WRITE_REFUSED', 'no')))).rejects.toThrow('no');
    expect(wire.opened).toBe(1);
    await expect(poller.run(() => Promise.reject(linkDown()))).rejects.toThrow('reset');
    await advance(1_500);
    expect(wire.opened).toBe(2);
    expect(await poller.run(async () => 7)).toBe(7);
  });

  test('is told when there is no wire, and when the wire goes before or while it is done', async () => {
    wire.open = () => Promise.reject(linkDown('ECONNREFUSED'));
    poller = wire.start(many(1, 5_000));
    await expect(poller.run(async () => 1)).rejects.toThrow('not connected yet');
    await advance(1);
    await expect(poller.run(async () => 1)).rejects.toMatchObject({
      code: 'LINK_DOWN',
      message: 'not connected: ECONNREFUSED',
    });
    wire.open = () => Promise.resolve();
    await advance(3_000);
    const told: string[] = [];
    const tell = (error: Error): void => void told.push(error.message);
    let signal: AbortSignal | undefined;
    const work = async (turn: { signal: AbortSignal }): Promise<void> => {
      signal = turn.signal;
      await later(100, undefined);
      throw linkDown();
    };
    poller.run(work).catch(tell);
    poller.run(async () => tell(new Error('too late'))).catch(tell);
    await advance(200);
    expect(told).toEqual(['reset by the other side', 'connection broke: reset by the other side']);
    expect(signal?.aborted).toBe(true);
    await advance(10_000);
    const last = poller.run(() => new Promise(() => {})).catch(tell);
    await poller.stop();
    await last;
    expect(told.at(-1)).toBe('stopped');
  });

  test('that nobody waits for any more is not begun; under way it is asked to end, and keeps the wire until it does', async () => {
    wire.reply = (read) => later(100, good(read));
    poller = wire.start(many(1, 100));
    await advance(50);
    const asker = new AbortController();
    const begun: string[] = [];
    const first = poller.run((turn) => {
      begun.push('first');
      return new Promise((resolve) => turn.signal.addEventListener('abort', () => setTimeout(resolve, 1_000)));
    }, asker.signal);
    const second = poller.run(async () => begun.push('second'), asker.signal);
    await advance(100);
    const reads = wire.reads.length;
    asker.abort(new Error('gone'));
    await expect(first).rejects.toThrow('gone');
    await expect(second).rejects.toThrow('gone');
    await advance(900);
    expect([begun, wire.reads.length]).toEqual([['first'], reads]);
    await advance(500);
    expect(wire.reads.length).toBeGreaterThan(reads);
  });

  test('that shows no sign of life for a minute means a stuck driver; a sign now and then is enough', async () => {
    poller = wire.start(many(1));
    await advance(1);
    const lost = poller.run(() => new Promise(() => {})).catch((error: Error) => error.message);
    await advance(70_000);
    expect(await lost).toBe('connection broke: the driver took over 60 s');
    expect(wire.opened).toBe(2);
    const scan = poller.run(async ({ alive }) => {
      for (let i = 0; i < 10; i++) {
        await later(50_000, undefined);
        alive();
      }
      return 'done';
    });
    const before = poller.moves();
    await advance(500_000);
    expect(await scan).toBe('done');
    expect(poller.moves()).toBeGreaterThan(before);
    expect(wire.opened).toBe(2);
  });
});

describe('what was answered in the moment in which the wire breaks', () => {
  test('is told, and the device counts as one that answered', async () => {
    wire.concurrency = 2;
    wire.reply = async (read) => {
      await later(100, undefined);
      if (read.device === 'd1') throw linkDown();
      return good(read);
    };
    poller = wire.start(many(2, 60_000));
    await advance(101);
    expect(wire.toldBy('d0')[0]).toEqual({ p: 1 });
    expect(wire.states[0]).toBe('d0 online');
  });

  test('and breaks it by itself, is held against its own device only', async () => {
    wire.reply = (read) => later(10, read.device === 'd1' ? { values: [], answered: true } : good(read));
    poller = wire.start(many(3));
    await advance(60_000);
    const blamed = wire.log.filter(({ msg }) => msg.startsWith('reading it breaks the connection'));
    expect(new Set(blamed.map((line) => line.device))).toEqual(new Set(['d1']));
    expect(['d0', 'd1', 'd2'].map((id) => poller.state(id).state)).toEqual(['online', 'offline', 'online']);
  });
});

describe('reads', () => {
  test('that must be done earlier go first', async () => {
    wire.reply = (read) => later(90, good(read));
    const slow = Array.from({ length: 10 }, (_, i) => device(`slow${i}`, { p: { every: 60_000 } }));
    poller = wire.start([...slow, device('fast', { p: { every: 200 } })]);
    await advance(3_000);
    // Eleven reads of 90 ms are due at once; the fast one never waits for more than the one before it.
    const times = wire.timesOf('fast');
    const gaps = times.slice(1).map((at, i) => at - (times[i] as number));
    expect(Math.max(...gaps)).toBeLessThanOrEqual(200 + 90);
    expect(poller.stats.overruns).toBe(0);
    expect(new Set(wire.reads.map(({ device: id }) => id)).size).toBe(11);
  });

  test('that may wait longest still get their turn on a wire that is too slow for all', async () => {
    wire.reply = (read) => later(150, good(read));
    poller = wire.start([device('slow', { p: { every: 10_000 } }), device('fast', { p: { every: 100 } })]);
    await advance(100_000);
    expect(wire.timesOf('slow').length).toBeGreaterThanOrEqual(9);
  });
});

describe('dead devices', () => {
  test.each([
    [1, 1_000],
    [30, 1_000],
    [60, 3_000],
  ])('%s of them, silent for %s ms each time, take at most 5 % of the wire', async (dead, cost) => {
    let held = 0;
    wire.reply = (read) => {
      if (!read.device.startsWith('dead')) return later(5, good(read));
      held += cost;
      return silence(read, cost);
    };
    poller = wire.start([...many(2, 500), ...Array.from({ length: dead }, (_, i) => device(`dead${i}`, { p: {} }))]);
    // Until all are known to be dead: two reads of each.
    await advance(2 * dead * (cost + 50) + 5_000);
    held = 0;
    const span = 6 * 3_600_000;
    const reads = wire.timesOf('d0').length;
    await advance(span);
    expect(held / span).toBeLessThanOrEqual(0.05);
    expect(held).toBeGreaterThan(0);
    expect(wire.timesOf('d0').length - reads).toBeGreaterThan(0.95 * (span / 500));
  });

  test('that come back together are all found soon: one that answers lets the next be asked', async () => {
    let power = false;
    wire.reply = (read) => (power || read.device === 'd0' ? later(5, good(read)) : silence(read, 1_000));
    poller = wire.start(many(40));
    await advance(3 * 3_600_000);
    power = true;
    const online = (): number => many(40).filter(({ id }) => poller.state(id).state === 'online').length;
    // One probe is due at most 25 × 39 s after the last; behind it come all the others.
    for (let waited = 0; online() === 1 && waited < 1_000; waited++) await advance(1_000);
    await advance(5_000);
    expect(online()).toBe(40);
  });

  test('that answer only the probe cost no more than those that answer nothing', async () => {
    let held = 0;
    wire.reply = (read) => {
      if (read.device !== 'flaky' || read.points.length === 1) return later(5, good(read));
      held += 1_000;
      return silence(read, 1_000);
    };
    poller = wire.start([...many(1), device('flaky', { p: {}, q: {}, r: {} })]);
    await advance(10_000);
    held = 0;
    await advance(3_600_000);
    expect(held / 3_600_000).toBeLessThanOrEqual(0.05);
  });
});
