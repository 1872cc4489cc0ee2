import { beforeAll, describe, expect, test } from 'vitest';
import type { Flaw, Value } from '../../src/model.js';
import { type Compile, type Expression, loadCompiler, type Reading } from '../../src/routing/expression.js';
import { compileRouter } from '../../src/routing/router.js';
import { batch, device, point } from '../support/plant.js';

let compile: Compile;
beforeAll(async () => {
  compile = await loadCompiler();
});

const reading = (more: Partial<Reading>): Reading => ({
  value: 80,
  quality: 'good',
  device: 'meter-1',
  point: 'active_power',
  profile: 'eastron/sdm630',
  unit: 'W',
  tags: { area: 'north' },
  at: new Date('2026-01-31T22:30:00Z'),
  ...more,
});

const ask = (text: string, more: Partial<Reading> = {}) => (compile(text) as Expression).passes(reading(more));

describe('numbers', () => {
  // Numbers of points are doubles, or ints when they have 64 bits; numbers of people are whichever they wrote.
  const kinds: [string, Value][] = [
    ['double', 80],
    ['int', 80n],
  ];
  const trues = [
    'value > 79 && value >= 80 && value < 81 && value <= 80',
    'value > 79.5 && 79.5 < value && 79 < value',
    'value == 80 && value == 80.0 && 80 == value && value != 81',
    'value * 2 > 159 && 2 * value == 160 && value * 0.5 == 40',
    'value + 1 == 81 && 1 + value == 81.0 && 2 + value > 3',
    'value - 0.5 == 79.5 && 100 - value == 20 && value - 1 == 79',
    'value / 0.5 == 160 && 160 / value == 2 && value / 8.0 == 10.0',
    'value % 7 == 3 && 163 % value == 3 && value % 7.5 == 5.0',
    '-value < 0 && -value == -80',
    '(value * 2 + 1) * 3.5 > 10 && value - 2 * value < 0',
    '1 + 2.5 == 3.5 && 1.0 == 1 && 5 / 2.0 == 2.5',
    'value in [79, 80]',
    'double(value) / 3.0 > 26.6',
  ];
  test.each(kinds.flatMap(([kind, value]) => trues.map((text) => [kind, text, value] as const)))(
    '%s: %s',
    (_, text, value) => {
      expect(ask(text, { value })).toBe(true);
    },
  );

  test('doubles divide to doubles, 64-bit integers to integers', () => {
    expect(ask('value / 2 == 2.5', { value: 5 })).toBe(true);
    expect(ask('value / 2 == 2', { value: 5n })).toBe(true);
  });

  test('64-bit integers compare with every digit', () => {
    expect(ask('value == 9007199254740993', { value: 9007199254740993n })).toBe(true);
    expect(ask('value == 9007199254740992', { value: 9007199254740993n })).toBe(false);
    expect(ask('value > 1', { value: 2n ** 64n - 1n })).toBe(true);
  });
});

describe('everything else', () => {
  test.each([
    ['quality == "good" && device == "meter-1" && profile.startsWith("eastron/")'],
    ['point in ["active_power", "energy"] && unit == "W"'],
    ['tags.area == "north" && has(tags.area) && !has(tags.hall)'],
    ['at.getHours("Europe/Berlin") == 23 && at.getHours("UTC") == 22'],
    ['at > timestamp("2026-01-31T22:00:00Z")'],
    ['point.matches("^active_.*")'],
  ])('%s', (text) => {
    expect(ask(text)).toBe(true);
  });

  test('a boolean point is a condition by itself, a number is not', () => {
    expect(ask('value', { value: true })).toBe(true);
    expect(() => ask('value', { value: 5 })).toThrow('the expression gave 5, not true or false');
  });
});

describe('in a router', () => {
  const pump = device('pump', ['speed', point('state', { type: 'string' })]);
  function router(text: string) {
    const rule = { title: 'r', file: 'r.yaml', match: {}, to: ['cloud'], lane: 'live' } as const;
    const expression = compile(text) as Expression;
    let asked = 0;
    const counted: Expression = {
      ...expression,
      passes: (one) => {
        asked++;
        return expression.passes(one);
      },
    };
    const errors: string[] = [];
    const compiled = compileRouter({
      gateway: 'g',
      rules: [{ ...rule, steps: [{ kind: 'where', expression: counted }] }],
      devices: [pump],
      upstreams: [{ id: 'cloud', topic: 't' }],
      onError: (_, error) => errors.push(error.message),
    });
    const names: string[][] = [];
    const send = (at: number, values: Value[], flaws?: ReadonlyMap<number, Flaw>) =>
      compiled.route(batch(pump, at, values, flaws), (_, event) => names.push([...event.names]));
    return { names, errors, send, stats: compiled.stats, asked: () => asked };
  }
  const bad = new Map<number, Flaw>([[0, { quality: 'bad', reason: 'timeout' }]]);

  test('a reading that an expression cannot judge stays; it is counted, and told once', () => {
    const { send, names, errors, stats } = router('value > 5');
    for (let at = 0; at < 3; at++) send(at, [6, 'running']);
    expect(names).toEqual([['speed'], ['speed'], ['speed']]);
    expect(errors).toEqual(['these types do not go together: string > int']);
    expect(stats).toMatchObject({ failed: 3, judged: 6 });
  });

  test('a bad reading does not pass a condition on its value, which is no fault', () => {
    const { send, names, errors, stats } = router('point == "speed" && value > 5');
    send(0, [null, 'running'], bad);
    expect(names).toEqual([]);
    expect(errors).toEqual([]);
    expect(stats.failed).toBe(0);
  });

  test('a bad reading passes a condition on its quality', () => {
    const { send, names } = router('quality == "bad" || (point == "speed" && value > 5)');
    send(0, [null, 'running'], bad);
    send(1, [6, 'running']);
    send(2, [4, 'running']);
    expect(names).toEqual([['speed'], ['speed']]);
  });

  test('a point that stays bad is judged once, unless the time matters', () => {
    const timeless = router('quality == "bad"');
    const timely = router('quality == "bad" && at.getHours("UTC") < 1');
    for (const { send } of [timeless, timely])
      for (let hour = 0; hour < 3; hour++) send(hour * 3_600_000, [null, 'on'], bad);
    expect(timeless.names).toEqual([['speed'], ['speed'], ['speed']]);
    expect(timeless.asked()).toBe(1 + 3);
    expect(timely.names).toEqual([['speed']]);
    expect(timely.asked()).toBe(6);
  });
});
