/** Devices that tell by themselves. */
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { TidegateError } from '../../src/errors.js';
import type { Push } from '../../src/model.js';
import type { Poller } from '../../src/polling/poller.js';
import { device, good, linkDown, ScriptedWire, silence } from '../support/scripted-wire.js';
import { fakeTimers } from '../support/timers.js';

let wire: ScriptedWire;
let poller: Poller;
fakeTimers(() => poller);
beforeEach(() => {
  wire = new ScriptedWire();
  wire.subscribe = () => [];
});

const pump = device('pump', { speed: { scale: 0.1 }, power: {}, state: { states: new Map([[1, 'on']]) } });
const soon = (): Promise<unknown> => vi.advanceTimersByTimeAsync(1);
const push = (values: Push['values'], rest: Partial<Push> = {}): void =>
  wire.listenerOf('pump').push({ values, ...rest });

describe('pushed values', () => {
  beforeEach(async () => {
    poller = wire.start([pump]);
    await soon();
  });

  test('become batches, scaled as values that were read; the first one brings the device online', () => {
    expect(poller.state('pump').state).toBe('starting');
    push([2301, 5, 1]);
    push([17], { indexes: [1] });
    expect(wire.toldBy('pump')).toEqual([{ speed: 230.1, power: 5, state: 'on' }, { power: 17 }]);
    expect(wire.states).toEqual(['pump online']);
    expect(poller.stats).toMatchObject({ pushes: 2, readings: 4, polls: 0 });
    expect(wire.reads).toEqual([]);
  });

  test('keep the time of their source', () => {
    push([1, 2, 3], { at: 1_700_000_000_000 });
    push([1, 2, 3]);
    const now = Date.now();
    expect(wire.batches.map(({ at, sourced }) => [at, sourced])).toEqual([
      [1_700_000_000_000, true],
      [now, false],
    ]);
  });

  test('of the same points share their list; new combinations without end do not fill the memory', () => {
    const lists = () => new Set(wire.batches.splice(0).map(({ points }) => points)).size;
    for (const indexes of [[0], [0, 2], [0], [0, 2], [1, 2], [0, 2]])
      push(
        indexes.map(() => 1),
        { indexes },
      );
    expect(lists()).toBe(3);
    push([1, 1, 1]);
    push([2, 2, 2]);
    expect(lists()).toBe(1);
  });

  test('that are bad say so once, again when the reason changes, and are good again', () => {
    const bad = (reason: string): Push => ({
      values: [null],
      indexes: [1],
      flaws: new Map([[0, { quality: 'bad', reason }]]),
    });
    push([1, 1, 1]);
    for (const reason of ['overheated', 'overheated', 'cold']) wire.listenerOf('pump').push(bad(reason));
    expect(poller.state('pump')).toEqual({ state: 'degraded', reason: '1 point bad: power (cold)' });
    push([7], { indexes: [1] });
    expect(wire.toldBy('pump').slice(1)).toEqual([{ power: '!overheated' }, { power: '!cold' }, { power: 7 }]);
    expect(poller.state('pump').state).toBe('online');
  });

  test('a device that goes silent is bad as a whole, until it tells again', () => {
    push([1, 1, 1]);
    wire.listenerOf('pump').silent('said goodbye');
    wire.listenerOf('pump').silent('said goodbye');
    expect(wire.toldBy('pump')[1]).toEqual({ speed: '!said goodbye', power: '!said goodbye', state: '!said goodbye' });
    push([3], { indexes: [1] });
    expect(wire.states).toEqual(['pump online', 'pump offline: said goodbye', 'pump online']);
    expect(wire.batches).toHaveLength(3);
  });

  test('one point told after a silence is no word of the others', () => {
    push([1, 1, 1]);
    wire.listenerOf('pump').silent('said goodbye');
    push([2], { indexes: [0] });
    const told = wire.log.filter(({ device }) => device === 'pump').map(({ msg }) => msg);
    expect(told).toEqual(['said goodbye', 'answers again']);
  });

  test('silence of hours is not an idle loop', async () => {
    push([1, 1, 1]);
    const before = poller.moves();
    await vi.advanceTimersByTimeAsync(10 * 3_600_000);
    expect(poller.moves()).toBeGreaterThan(before);
    expect([wire.opened, wire.batches.length]).toEqual([1, 1]);
  });

  test('after the poller was stopped are not heard', async () => {
    const listener = wire.listenerOf('pump');
    await poller.stop();
    listener.push({ values: [1, 1, 1] });
    listener.silent('gone');
    listener.broke(linkDown());
    expect([wire.batches.length, wire.states.length]).toEqual([0, 0]);
  });

  test('of a device that was taken off the wire are not heard, and its subscription is closed', async () => {
    const listener = wire.listenerOf('pump');
    poller.use([device('fan', { speed: {} })]);
    await soon();
    listener.push({ values: [1, 1, 1] });
    wire.listenerOf('fan').push({ values: [4] });
    expect(wire.batches.map(({ device: { id } }) => id)).toEqual(['fan']);
    expect(wire.subscribed.map(({ device: id, closed }) => [id, closed])).toEqual([
      ['pump', true],
      ['fan', false],
    ]);
    expect(wire.opened).toBe(1);
  });
});

describe('points that have to be polled', () => {
  test('are read by their schedule, the others never', async () => {
    wire.subscribe = () => ['power'];
    poller = wire.start([pump]);
    await vi.advanceTimersByTimeAsync(2_500);
    push([1, 1], { indexes: [0, 2] });
    expect(wire.reads.map(({ points }) => points)).toEqual([['power'], ['power'], ['power']]);
    expect(wire.toldBy('pump')).toContainEqual({ speed: 0.1, state: 'on' });
    expect(wire.states).toEqual(['pump online']);
  });

  test('keep the time of their source, where they have one', async () => {
    wire.subscribe = () => ['power'];
    wire.reply = (read) => ({ ...good(read), ...(wire.reads.length === 1 && { at: 1_700_000_000_000 }) });
    poller = wire.start([pump]);
    await soon();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(wire.batches.map(({ sourced }) => sourced)).toEqual([true, false]);
    expect(wire.batches[0]?.at).toBe(1_700_000_000_000);
  });

  test('that stay unanswered do not turn bad what is pushed', async () => {
    wire.subscribe = () => ['power'];
    wire.reply = (read) => silence(read);
    poller = wire.start([pump]);
    await soon();
    push([1, 1], { indexes: [0, 2] });
    await vi.advanceTimersByTimeAsync(60_000);
    push([2], { indexes: [0] });
    expect(wire.toldBy('pump')).toEqual([{ speed: 0.1, state: 'on' }, { power: '!timeout' }, { speed: 0.2 }]);
    expect(poller.state('pump').state).toBe('degraded');
    wire.reply = (read) => good(read);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(poller.state('pump').state).toBe('online');
  });
});

describe('scale factors', () => {
  const meter = device('pump', {
    w: { type: 'int16', scaleFrom: 'sf' },
    a: {},
    sf: { type: 'int16', kind: 'scale' },
    v: { type: 'int16', scaleFrom: 'sf' },
  });
  beforeEach(async () => {
    poller = wire.start([meter]);
    await soon();
    // In the order in which they are offered: the values, then the factors that they need.
    expect(wire.subscribed[0]?.points.map(({ id }) => id)).toEqual(['w', 'a', 'v', 'sf']);
  });

  test('that were told before scale what is told later', () => {
    push([2301, 1, 12, -1]);
    push([2302], { indexes: [0] });
    expect(wire.toldBy('pump')).toEqual([{ w: 230.1, a: 1, v: 1.2 }, { w: 230.2 }]);
  });

  test('that come later than what they scale tell it again', () => {
    push([2301, 7], { indexes: [0, 1] });
    push([-1], { indexes: [3] });
    push([-2], { indexes: [3] });
    expect(wire.toldBy('pump')).toEqual([{ w: '!scale factor sf: not told yet', a: 7 }, { w: 230.1 }, { w: 23.01 }]);
    expect(poller.state('pump').state).toBe('online');
  });

  test('alone are not news', () => {
    push([-1], { indexes: [3] });
    expect(wire.batches).toEqual([]);
  });
});

describe('a subscription that fails', () => {
  test('concerns its device only; it is told, and tried again after 1 s, 2 s, 4 s', async () => {
    const tries: number[] = [];
    wire.subscribe = ({ device: id, at }) => {
      if (id !== 'pump' || tries.push(at) > 3) return [];
      throw new TidegateError('DEVICE_UNAVAILABLE', 'too many subscriptions');
    };
    poller = wire.start([pump, device('fan', { speed: {} })]);
    await soon();
    wire.listenerOf('fan').push({ values: [4] });
    expect(poller.state('pump')).toEqual({ state: 'offline', reason: 'not subscribed: too many subscriptions' });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(tries.map((at) => Math.round((at - (tries[0] as number)) / 1000))).toEqual([0, 1, 3, 7]);
    push([1, 1, 1]);
    const why = '!not subscribed: too many subscriptions';
    expect(wire.toldBy('pump')).toEqual([
      { speed: why, power: why, state: why },
      { speed: 0.1, power: 1, state: 'on' },
    ]);
    expect([wire.opened, wire.toldBy('fan'), poller.state('fan').state]).toEqual([1, [{ speed: 4 }], 'online']);
  });

  test('because the wire is gone breaks the wire; on the next one everybody subscribes again', async () => {
    wire.subscribe = () => {
      if (wire.opened === 1) throw linkDown();
      return [];
    };
    poller = wire.start([pump, device('fan', { speed: {} })]);
    await vi.advanceTimersByTimeAsync(1_500);
    expect(wire.opened).toBe(2);
    push([1, 1, 1]);
    wire.listenerOf('fan').push({ values: [4] });
    expect([poller.state('pump').state, poller.state('fan').state]).toEqual(['online', 'online']);
  });

  test('late, after the device was taken off, is closed', async () => {
    let subscribed = (_: string[]): void => {};
    wire.subscribe = () =>
      new Promise((resolve) => {
        subscribed = resolve;
      });
    poller = wire.start([pump]);
    await soon();
    poller.use([]);
    subscribed([]);
    await soon();
    expect(wire.subscribed[0]?.closed).toBe(true);
  });
});

describe('a wire that is lost', () => {
  test('is told by the listener, and opened again; what the old one still pushes is not heard', async () => {
    poller = wire.start([pump]);
    await vi.advanceTimersByTimeAsync(20_000);
    const old = wire.listenerOf('pump');
    old.push({ values: [1, 1, 1] });
    old.broke(linkDown());
    await soon();
    expect([wire.opened, wire.closed, wire.subscribed.length]).toEqual([2, 1, 2]);
    old.push({ values: [9, 9, 9] });
    old.broke(linkDown());
    push([2, 2, 1]);
    expect(wire.toldBy('pump').map(({ power }) => power)).toEqual([1, 2]);
    expect(wire.states).toEqual(['pump online']);
    expect(poller.stats.reconnects).toBe(1);
  });

  test('for longer turns all bad, until each is told again', async () => {
    poller = wire.start([pump]);
    await vi.advanceTimersByTimeAsync(20_000);
    push([1, 1, 1]);
    wire.open = () => Promise.reject(linkDown('ECONNREFUSED'));
    wire.listenerOf('pump').broke(linkDown());
    await vi.advanceTimersByTimeAsync(10_000);
    expect(poller.state('pump')).toEqual({ state: 'offline', reason: 'ECONNREFUSED' });
    wire.open = () => Promise.resolve();
    await vi.advanceTimersByTimeAsync(60_000);
    push([5], { indexes: [1] });
    const why = '!ECONNREFUSED';
    expect(wire.toldBy('pump').slice(1)).toEqual([{ speed: why, power: why, state: why }, { power: 5 }]);
    expect(poller.state('pump').state).toBe('online');
  });
});

describe('a driver that pushes what it must not', () => {
  test.each<[string, unknown]>([
    ['too few values', { values: [1] }],
    ['no values', {}],
    ['nothing', undefined],
    ['a hole', { values: [1, undefined, 1] }],
    ['null without a reason', { values: [1, null, 1] }],
    ['an index beyond', { values: [1], indexes: [3] }],
    ['a negative index', { values: [1], indexes: [-1] }],
    ['half an index', { values: [1], indexes: [0.5] }],
    ['indexes out of order', { values: [1, 1], indexes: [1, 0] }],
    ['an index twice', { values: [1, 1], indexes: [1, 1] }],
    ['a flaw of nothing', { values: [1, 1, 1], flaws: new Map([[3, { quality: 'bad', reason: 'x' }]]) }],
    ['a time that is none', { values: [1, 1, 1], at: Number.NaN }],
  ])('%s: ends its subscription, which comes back', async (_name, garbage) => {
    poller = wire.start([pump]);
    await soon();
    push([1, 1, 1]);
    wire.listenerOf('pump').push(garbage as Push);
    expect(poller.state('pump').reason).toMatch(/^subscription ended: /);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(wire.subscribed.map(({ closed }) => closed)).toEqual([true, false]);
    expect([wire.opened, wire.closed]).toEqual([1, 0]);
    expect(wire.log.filter(({ level }) => level >= 40)).toEqual([expect.objectContaining({ err: expect.anything() })]);
    push([2, 2, 1]);
    expect(poller.state('pump').state).toBe('online');
  });

  test('again and again, is asked seldom, and the others notice nothing', async () => {
    wire.subscribe = ({ device: id, listener }) => {
      listener.push({ values: id === 'pump' ? [] : [4] });
      return [];
    };
    poller = wire.start([pump, device('fan', { speed: {} })]);
    await vi.advanceTimersByTimeAsync(600_000);
    expect(wire.subscribed.filter(({ device: id }) => id === 'pump').length).toBeLessThan(20);
    expect(wire.states.filter((state) => state.startsWith('fan'))).toEqual(['fan online']);
    expect(poller.state('pump').state).toBe('offline');
    expect(wire.opened).toBe(1);
  });
});
