import { describe, expect, test } from 'vitest';
import type { Flaw, TelemetryEvent } from '../../src/model.js';
import { compileRouter, type RouterOptions } from '../../src/routing/router.js';
import type { Rule } from '../../src/routing/rule.js';
import { batch, device, plant } from '../support/plant.js';

const rule = (more: Partial<Rule>): Rule => ({
  title: 'a rule',
  file: 'a.yaml',
  match: {},
  steps: [],
  to: ['cloud'],
  lane: 'live',
  ...more,
});

const change = { kind: 'change' } as const;

function router(rules: Rule[], more: Partial<RouterOptions> = {}) {
  const compiled = compileRouter({ ...plant(), rules, ...more });
  const send = (...args: Parameters<typeof batch>) => {
    const events: [upstream: string, event: TelemetryEvent][] = [];
    compiled.route(batch(...args), (upstream, event) => events.push([upstream, event]));
    return events;
  };
  return { ...compiled, send };
}

const [meter, other, pump] = plant().devices as [
  ReturnType<typeof device>,
  ReturnType<typeof device>,
  ReturnType<typeof device>,
];
const values = [100, 230, 5n];

describe('without rules', () => {
  test('every upstream gets everything, with its own topic', () => {
    const { send, stats } = router([]);
    expect(send(meter, 5, values)).toEqual([
      ['cloud', expect.objectContaining({ topic: 'tidegate/plant-7/meter-1/telemetry', lane: 'live', values })],
      ['site', expect.objectContaining({ topic: 'site/meter-1', device: 'meter-1', at: Date.UTC(2026, 0, 1) + 5 })],
    ]);
    expect(stats).toEqual({ unrouted: 0, judged: 0, failed: 0 });
  });

  test('nothing is copied: values and flaws are those of the batch, names the same array each time', () => {
    const { send } = router([]);
    const flaws = new Map<number, Flaw>([[0, { quality: 'bad', reason: 'timeout' }]]);
    const [[, first] = [], [, second] = []] = send(meter, 0, values, flaws);
    const [[, third] = []] = send(meter, 1, values);
    expect(first?.names).toEqual(['active_power', 'voltage_l1', 'energy_import']);
    expect(second?.names).toBe(first?.names);
    expect(third?.names).toBe(first?.names);
    expect(first?.values).toBe(values);
    expect(first?.flaws).toBe(flaws);
    expect(third).not.toHaveProperty('flaws');
  });

  test('devices that share a list of points share its names', () => {
    const twin = { ...device('twin', []), points: meter.points };
    const { send } = router([], { devices: [meter, twin] });
    expect(send(meter, 0, values)[0]?.[1].names).toBe(send(twin, 0, values)[0]?.[1].names);
  });

  test('an empty batch gives no event', () => {
    expect(router([]).send(device('empty', []), 0, [])).toEqual([]);
  });
});

describe('destinations', () => {
  test('several rules with the same one: the union, in the order of the batch, as one event', () => {
    const { send } = router([
      rule({ match: { point: ['energy_import'] } }),
      rule({ match: { point: ['voltage_l1', 'energy_*'] } }),
      rule({ match: { point: ['active_power'] }, lane: 'alarm' }),
      rule({ match: { point: ['active_power'] }, topic: 'power/{device}', to: ['cloud', 'site', 'cloud'] }),
    ]);
    expect(send(meter, 0, values).map(([to, { lane, topic, names }]) => [to, lane, topic, names])).toEqual([
      ['cloud', 'live', 'tidegate/plant-7/meter-1/telemetry', ['voltage_l1', 'energy_import']],
      ['cloud', 'alarm', 'tidegate/plant-7/meter-1/telemetry', ['active_power']],
      ['cloud', 'live', 'power/meter-1', ['active_power']],
      ['site', 'live', 'power/meter-1', ['active_power']],
    ]);
  });

  test('a topic written in a rule is the same destination as the same topic by default', () => {
    const { send } = router([
      rule({ match: { point: ['active_power'] }, topic: 'tidegate/{gateway}/{device}/telemetry' }),
      rule({ match: { point: ['voltage_l1'] } }),
    ]);
    expect(send(meter, 0, values).map(([, { names }]) => names)).toEqual([['active_power', 'voltage_l1']]);
  });

  test('rules that cover all points together copy nothing', () => {
    const { send } = router([
      rule({ match: { point: ['*_*'] } }),
      rule({ match: { point: ['active_power'] }, steps: [change] }),
    ]);
    expect(send(meter, 0, values)[0]?.[1].values).toBe(values);
  });

  test('a part of the points has its own values and flaws, and keeps its array of names', () => {
    const { send } = router([rule({ match: { point: ['voltage_l1', 'energy_import'] } })]);
    const flaws = new Map<number, Flaw>([
      [0, { quality: 'bad', reason: 'timeout' }],
      [2, { quality: 'uncertain', reason: 'above 4' }],
    ]);
    const [[, first] = []] = send(meter, 0, values, flaws);
    expect(first).toMatchObject({ names: ['voltage_l1', 'energy_import'], values: [230, 5n] });
    expect([...(first?.flaws ?? [])]).toEqual([[1, { quality: 'uncertain', reason: 'above 4' }]]);
    const [[, second] = []] = send(meter, 1, values, new Map([[0, { quality: 'bad', reason: 'timeout' }]]));
    expect(second?.names).toBe(first?.names);
    expect(second).not.toHaveProperty('flaws');
  });

  test('readings that no rule matches go nowhere, and are counted', () => {
    const { send, stats } = router([rule({ match: { device: ['meter-1'], point: ['active_power'] } })]);
    send(meter, 0, values);
    expect(send(pump, 0, [1, 'running'])).toEqual([]);
    send(meter, 1, values);
    expect(stats.unrouted).toBe(2 + 2 + 2);
  });

  test('a device that came later is routed as well', () => {
    const { send } = router([rule({ match: { tags: { area: ['n*'] } } })]);
    expect(send(device('late', ['x'], { tags: { area: 'north' } }), 0, [1])).toHaveLength(1);
    expect(send(other, 0, values)).toEqual([]);
  });
});

describe('cost', () => {
  test('a thousand rules of which five match cost as those five', () => {
    const matching = (index: number) => index % 200 === 0;
    const many = Array.from({ length: 1000 }, (_, index) =>
      rule({ match: matching(index) ? {} : { device: [`meter-1${index}`], point: ['*'] }, steps: [change] }),
    );
    const thousand = router(many);
    const five = router(many.filter((_, index) => matching(index)));
    for (let at = 0; at < 50; at++) {
      expect(thousand.send(meter, at, [at % 3, 230, 5n])).toEqual(five.send(meter, at, [at % 3, 230, 5n]));
    }
    expect(thousand.stats.judged).toBe(50 * 5 * 3);
    expect(five.stats.judged).toBe(thousand.stats.judged);
  });

  test('rules without steps judge nothing', () => {
    const { send, stats } = router([rule({}), rule({ match: { point: ['active_power'] }, to: ['site'] })]);
    send(meter, 0, values);
    expect(stats.judged).toBe(0);
  });
});
