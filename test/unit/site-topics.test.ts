import { beforeEach, describe, expect, test } from 'vitest';
import { SiteTopics } from '../../src/broker/site-topics.js';
import { type Device, type Flaw, Structure, type TelemetryEvent, type Value } from '../../src/model.js';
import { device, point } from '../support/plant.js';

const AT = 1_764_312_000_000;
const meter = device('meter-1', [point('voltage', { unit: 'V' }), 'state', 'count']);

let told: string[];
let site: SiteTopics;
beforeEach(() => {
  told = [];
  site = new SiteTopics((topic, payload) => void told.push(`${topic} ${payload}`));
  site.use([meter], () => true);
});

/** What a reading of these points publishes. */
function take(
  values: Readonly<Record<string, Value>>,
  more: { at?: number; flaws?: Map<number, Flaw>; of?: Device } = {},
): string[] {
  const { at = 0, flaws, of = meter } = more;
  const names = namesOf(Object.keys(values).join());
  const event = {
    kind: 'telemetry',
    device: of.id,
    at: AT + at,
    lane: 'live',
    topic: '',
    names,
    values: Object.values(values),
  } as const;
  site.take(flaws ? { ...event, flaws } : (event as TelemetryEvent));
  return told.splice(0);
}

/** Events of the same shape share their names. */
const lists = new Map<string, string[]>();
function namesOf(names: string): string[] {
  const list = lists.get(names) ?? names.split(',');
  lists.set(names, list);
  return list;
}

describe('a payload', () => {
  test.each<[Value, string]>([
    [230.5, '230.5'],
    [-0.1, '-0.1'],
    [true, 'true'],
    ['he said "on"', '"he said \\"on\\""'],
    [12_345_678_901_234_567_890n, '"12345678901234567890"'],
    [42n, '42'],
    [Number.NaN, 'null'],
    [Structure.of({ a: [1, 2n ** 60n] }), '{"a":[1,"1152921504606846976"]}'],
  ])('of %s', (value, text) => {
    expect(take({ state: value })).toEqual([`site/meter-1/state {"value":${text},"ts":${AT}}`]);
  });

  test('has the unit, and why a value is not good', () => {
    const flaws = new Map<number, Flaw>([
      [0, { quality: 'uncertain', reason: 'above 253 V' }],
      [1, { quality: 'bad', reason: 'timeout' }],
    ]);
    expect(take({ voltage: 300, state: null }, { flaws })).toEqual([
      `site/meter-1/voltage {"value":300,"unit":"V","ts":${AT},"quality":"uncertain","reason":"above 253 V"}`,
      `site/meter-1/state {"value":null,"ts":${AT},"quality":"bad","reason":"timeout"}`,
    ]);
  });

  test('says when nobody vouches for its time', () => {
    site.take({
      kind: 'telemetry',
      device: 'meter-1',
      at: AT,
      clock: 'unset',
      lane: 'live',
      topic: '',
      names: ['count'],
      values: [1],
    });
    expect(told).toEqual([`site/meter-1/count {"value":1,"ts":${AT},"clock":"unset"}`]);
  });
});

describe('a message comes', () => {
  test('when the value has changed, or its quality, or a minute has gone by', () => {
    const bad = new Map<number, Flaw>([[0, { quality: 'bad', reason: 'timeout' }]]);
    expect(take({ count: 1 })).toHaveLength(1);
    expect(take({ count: 1 }, { at: 1_000 })).toEqual([]);
    expect(take({ count: 2 }, { at: 2_000 })).toHaveLength(1);
    expect(take({ count: null }, { at: 3_000, flaws: bad })).toHaveLength(1);
    expect(take({ count: null }, { at: 4_000, flaws: bad })).toEqual([]);
    expect(take({ count: 2 }, { at: 5_000 })).toHaveLength(1);
    expect(take({ count: 2 }, { at: 64_999 })).toEqual([]);
    expect(take({ count: 2 }, { at: 65_000 })).toHaveLength(1);
    expect(take({ count: 2 }, { at: 66_000 })).toEqual([]);
  });

  test('when the quality alone has changed', () => {
    const flaws = (quality: Flaw['quality']) => new Map<number, Flaw>([[0, { quality, reason: 'stale' }]]);
    expect(take({ count: 1 }, { flaws: flaws('uncertain') })).toHaveLength(1);
    expect(take({ count: 1 }, { flaws: flaws('bad') })).toHaveLength(1);
    expect(take({ count: 1 }, { flaws: flaws('bad') })).toEqual([]);
  });

  test('when the clock was set back', () => {
    take({ count: 1 }, { at: 0 });
    expect(take({ count: 1 }, { at: -3_600_000 })).toHaveLength(1);
  });

  test('once, for a point that is read in more than one list', () => {
    expect(take({ voltage: 1, count: 1 })).toHaveLength(2);
    expect(take({ count: 1 })).toEqual([]);
    expect(take({ count: 2, state: 'on' })).toHaveLength(2);
    expect(take({ voltage: 1, count: 2 })).toEqual([]);
  });

  test('for a structure when its text differs', () => {
    take({ state: Structure.of([1]) });
    expect(take({ state: Structure.of([1]) })).toEqual([]);
    expect(take({ state: Structure.of([2]) })).toHaveLength(1);
  });

  test('not for a device that is not there', () => {
    expect(take({ count: 1 }, { of: device('gone', ['count']) })).toEqual([]);
  });
});

describe('a reload', () => {
  test('clears what is gone, or sent no more, and nothing else', () => {
    take({ voltage: 1, state: 'on', count: 1 });
    site.use([meter], (_, name) => name !== 'state');
    expect(told.splice(0)).toEqual(['site/meter-1/state ']);
    expect(take({ voltage: 1, count: 1 })).toEqual([]);
    const smaller = device('meter-1', ['count']);
    site.use([smaller], () => true);
    expect(told.splice(0)).toEqual(['site/meter-1/voltage ']);
    // It is another device of that name: what it tells is news.
    expect(take({ count: 1 }, { of: smaller })).toHaveLength(1);
    site.use([], () => true);
    expect(told.splice(0)).toEqual(['site/meter-1/count ']);
    site.use([], () => true);
    expect(told).toEqual([]);
  });

  test('a point that is sent again is told again, and cleared again', () => {
    take({ count: 1 });
    site.use([meter], () => false);
    site.use([meter], () => true);
    told.splice(0);
    expect(take({ count: 1 })).toHaveLength(1);
    site.use([], () => true);
    expect(told).toEqual(['site/meter-1/count ']);
  });
});
