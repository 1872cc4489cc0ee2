import { describe, expect, test } from 'vitest';
import { type Deadband, type Flaw, type Point, Structure, type Value } from '../../src/model.js';
import { compileRouter } from '../../src/routing/router.js';
import type { Step } from '../../src/routing/rule.js';
import { batch, device, point } from '../support/plant.js';

/** What passes a rule with the steps given, of one point read each second. */
function passing(
  values: readonly Value[],
  steps: readonly Step[],
  more: Partial<Point> = {},
  flaws: readonly (Flaw | undefined)[] = [],
) {
  const meter = device('meter', [point('x', more)]);
  const rule = { title: 'x', file: '', match: {}, steps, to: ['cloud'], lane: 'live' } as const;
  const router = compileRouter({
    gateway: 'g',
    rules: [rule],
    devices: [meter],
    upstreams: [{ id: 'cloud', topic: 't' }],
  });
  const passed: number[] = [];
  for (const [second, value] of values.entries()) {
    const flaw = flaws[second];
    const reading = batch(meter, second * 1000, [value], flaw && new Map([[0, flaw]]));
    router.route(reading, () => passed.push(second));
  }
  return passed;
}

const change = (deadband?: Deadband, atLeastEvery?: number): Step[] => [{ kind: 'change', deadband, atLeastEvery }];

describe('change', () => {
  test.each<[string, Value[], Deadband | undefined, number[]]>([
    ['any difference, without a deadband', [1, 1, 1.0001, 1.0001], undefined, [0, 2]],
    ['more than an absolute deadband', [100, 105, 95, 105.1, 110.1, 100], { absolute: 5 }, [0, 3, 5]],
    ['drift, measured from what was sent', [0, 2, 4, 6, 8, 10, 12], { absolute: 5 }, [0, 3, 6]],
    ['more than a percentage of what was sent', [200, 204, 204.1, 208, 209, -1], { percent: 2 }, [0, 2, 4, 5]],
    ['anything, after 0 with a percentage', [0, 0, 0.001], { percent: 50 }, [0, 2]],
    ['integers of 64 bits, digit by digit', [2n ** 63n, 2n ** 63n, 2n ** 63n + 1n], undefined, [0, 2]],
    ['integers of 64 bits with a deadband', [2n ** 63n, 2n ** 63n + 5n, 2n ** 63n + 6n], { absolute: 5 }, [0, 2]],
    ['texts, whatever the deadband', ['on', 'on', 'off'], { absolute: 5 }, [0, 2]],
    ['booleans', [true, true, false], undefined, [0, 2]],
    ['another type', [1, '1', 1n, 1n], { absolute: 5 }, [0, 1, 2]],
    ['a number that became none, and is one again', [1, Number.NaN, Number.NaN, 1], { absolute: 5 }, [0, 1, 3]],
    ['infinity', [1, Infinity, Infinity, -Infinity, 1], { absolute: 5 }, [0, 1, 3, 4]],
  ])('passes %s', (_, values, deadband, passed) => {
    expect(passing(values, change(deadband))).toEqual(passed);
  });

  test("takes the point's own deadband when it names none", () => {
    expect(passing([100, 105, 106], change(), { deadband: { absolute: 5 } })).toEqual([0, 2]);
    expect(passing([100, 101, 103], change({ percent: 2 }), { deadband: { absolute: 50 } })).toEqual([0, 2]);
  });

  test('passes every change of quality, and only the change', () => {
    const bad: Flaw = { quality: 'bad', reason: 'timeout' };
    const above: Flaw = { quality: 'uncertain', reason: 'above 5' };
    const values = [1, null, null, 1, 1, 1];
    const flaws = [undefined, bad, { ...bad, reason: 'exception 02' }, above, above, undefined];
    expect(passing(values, change({ absolute: 5 }), {}, flaws)).toEqual([0, 1, 3, 5]);
  });

  test('a structure changes with its text', () => {
    const values = ['[1]', '[1]', '[2]', '[2]', '[1]'].map((text) => new Structure(text));
    expect(passing(values, change())).toEqual([0, 2, 4]);
  });

  test('breaks a silence in time, counted from what was sent', () => {
    expect(passing([1, 1, 1, 2, 2, 2, 2, 2], change(undefined, 3000))).toEqual([0, 3, 6]);
  });

  test('breaks a silence at the read nearest to its end', () => {
    const each = { every: 1000 };
    expect(passing(new Array(8).fill(1), change(undefined, 2600), each)).toEqual([0, 3, 6]);
    expect(passing(new Array(8).fill(1), change(undefined, 2400), each)).toEqual([0, 2, 4, 6]);
    expect(passing(new Array(4).fill(1), change(undefined, 100), each)).toEqual([0, 1, 2, 3]);
  });

  test('remembers only what passed the steps after it as well', () => {
    const above = { text: '', usesTime: false, passes: (reading: { value: unknown }) => (reading.value as number) > 5 };
    const steps: Step[] = [...change({ absolute: 2 }), { kind: 'where', expression: above }];
    expect(passing([6, 0, 7, 8, 9], steps)).toEqual([0, 4]);
    expect(passing([6, 0, 7, 8, 9], steps.reverse())).toEqual([0, 4]);
  });

  test('remembers for each device, point and rule by itself, over every list that a point is read in', () => {
    const [a, b] = ['a', 'b'].map((id) => device(id, ['x', 'y'])) as [
      ReturnType<typeof device>,
      ReturnType<typeof device>,
    ];
    const rule = { file: '', match: {}, steps: change(), to: ['cloud'], lane: 'live' } as const;
    const rules = [
      { ...rule, title: 'all', topic: 'all' },
      { ...rule, title: 'x', topic: 'x', match: { point: ['x'] } },
    ];
    const router = compileRouter({ gateway: 'g', rules, devices: [a, b], upstreams: [{ id: 'cloud', topic: 't' }] });
    const sent: string[] = [];
    const route = (of: typeof a, at: number, values: Value[], points = of.points) =>
      router.route({ ...batch(of, at, values), points }, (_, { topic, device: id, names }) =>
        sent.push(`${at} ${id} ${topic}: ${names.join(' ')}`),
      );
    const onlyX = [a.points[0] as Point];
    route(a, 0, [1, 1]);
    route(b, 1, [1, 2]);
    route(a, 2, [1], onlyX);
    route(a, 3, [2], onlyX);
    route(a, 4, [2, 1]);
    route(b, 5, [1, 3]);
    expect(sent).toEqual([
      '0 a all: x y',
      '0 a x: x',
      '1 b all: x y',
      '1 b x: x',
      '3 a all: x',
      '3 a x: x',
      '5 b all: y',
    ]);
  });

  test('a router in place of another: what is the very rule and device of before goes on, the rest begins anew', () => {
    const [a, b] = [device('a', ['x']), device('b', ['x'])];
    const rule = { file: '', match: {}, steps: change(), to: ['cloud'], lane: 'live' } as const;
    const [kept, former] = [
      { ...rule, title: 'kept', topic: 'kept' },
      { ...rule, title: 'other', topic: 'other' },
    ];
    const scene = { gateway: 'g', upstreams: [{ id: 'cloud', topic: 't' }] };
    const before = compileRouter({ ...scene, rules: [former, kept], devices: [a, b] });
    for (const one of [a, b]) before.route(batch(one, 0, [1]), () => {});
    const again = { ...b };
    const router = compileRouter({ ...scene, rules: [kept, { ...former }], devices: [a, again], before });
    const sent: string[] = [];
    for (const one of [a, again])
      router.route(batch(one, 1, [1]), (_, event) => sent.push(`${event.device} ${event.topic}`));
    expect(sent).toEqual(['a other', 'b kept', 'b other']);
  });
});
