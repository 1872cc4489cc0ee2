import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { TidegateError } from '../../src/errors.js';
import { listRules, loadRules } from '../../src/routing/load.js';
import { ruleTestFileSchema } from '../../src/routing/proof.js';
import { proveRules } from '../../src/routing/prove.js';
import { ruleFileSchema } from '../../src/routing/rule.js';
import { plant } from '../support/plant.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidegate-rules-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const write = (name: string, text: string) => writeFileSync(join(folder, name), text);
const { devices, upstreams } = plant();
const context = { devices, upstreams: upstreams.map(({ id }) => id) };

async function load() {
  const problems: TidegateError[] = [];
  const rules = await loadRules(folder, context, problems);
  return { rules, problems: problems.map(({ message }) => message) };
}

describe('a folder of rules', () => {
  test('that is absent has none', async () => {
    const problems: TidegateError[] = [];
    expect(await loadRules(join(folder, 'absent'), context, problems)).toEqual([]);
    expect(await proveRules(join(folder, 'absent'))).toEqual([]);
    expect(problems).toEqual([]);
  });

  test('is read in the order of names, without tests and hidden files', async () => {
    write('b.yaml', '- { rule: two, send: cloud }\n- { rule: three, send: cloud }\n');
    write('a.yaml', '- { rule: one, send: site }\n');
    write('a.test.yaml', 'nonsense');
    write('.c.yaml', 'nonsense');
    write('README.md', 'nonsense');
    write('empty.yaml', '# nothing yet\n');
    const { rules, problems } = await load();
    expect(problems).toEqual([]);
    expect(rules.map(({ title }) => title)).toEqual(['one', 'two', 'three']);
    expect(listRules(folder, []).tests).toEqual([join(folder, 'a.test.yaml')]);
  });

  test('gives every form of a rule the same shape', async () => {
    write('a.yaml', '- { rule: short, send: cloud }\n- { rule: list, send: [cloud, site] }\n');
    write(
      'b.yaml',
      [
        '- rule: long',
        '  match: { device: meter-1, point: [active_power, "volt*"], profile: eastron/*, tags: { area: north } }',
        '  steps:',
        '    - where: value > 5',
        '    - change: { deadband: 2.5%, at_least_every: 15m }',
        '    - change: { deadband: 5 }',
        '    - change: {}',
        '  send: { to: cloud, topic: "x/{tag.area}", lane: alarm }',
      ].join('\n'),
    );
    const { rules, problems } = await load();
    expect(problems).toEqual([]);
    expect(rules).toMatchObject([
      { to: ['cloud'], lane: 'live', match: {}, steps: [] },
      { to: ['cloud', 'site'], lane: 'live' },
      {
        file: join(folder, 'b.yaml'),
        match: {
          device: ['meter-1'],
          point: ['active_power', 'volt*'],
          profile: ['eastron/*'],
          tags: { area: ['north'] },
        },
        steps: [
          { kind: 'where', expression: { text: 'value > 5' } },
          { kind: 'change', deadband: { percent: 2.5 }, atLeastEvery: 900_000 },
          { kind: 'change', deadband: { absolute: 5 } },
          { kind: 'change' },
        ],
        to: ['cloud'],
        topic: 'x/{tag.area}',
        lane: 'alarm',
      },
    ]);
  });

  test('may hold patterns that match nothing, and, without devices, names too', async () => {
    write('a.yaml', '- { rule: one, match: { device: "nothing-*", point: "x*", profile: "y*" }, send: cloud }\n');
    expect((await load()).problems).toEqual([]);
    write('a.yaml', '- { rule: one, match: { device: x, point: y, tags: { z: w } }, send: cloud }\n');
    expect((await load()).problems).toHaveLength(2);
    const problems: TidegateError[] = [];
    expect(await loadRules(folder, { ...context, devices: [] }, problems)).toHaveLength(1);
    expect(problems).toEqual([]);
  });

  test('leaves out the rules with problems and keeps the others', async () => {
    write('a.yaml', '- { rule: one, send: cloud }\n- { rule: two, send: nowhere }\n- { rule: three, send: site }\n');
    const { rules, problems } = await load();
    expect(rules.map(({ title }) => title)).toEqual(['one', 'three']);
    expect(problems).toEqual(['no upstream is called "nowhere"']);
  });
});

describe('rule tests', () => {
  test("use the gateway's own devices when they bring none", async () => {
    write('a.yaml', '- { rule: one, match: { device: meter-1 }, send: cloud }\n');
    write(
      'a.test.yaml',
      [
        '- test: own devices',
        '  given:',
        '    - { at: 0s, device: meter-1, values: { active_power: 5 } }',
        '    - { at: 0s, device: meter-2, values: { active_power: 5 } }',
        '  expect:',
        '    - { at: 0s, to: cloud, topic: tidegate/plant-7/meter-1/telemetry, values: { active_power: 5 } }',
      ].join('\n'),
    );
    expect(await proveRules(folder, plant())).toEqual([]);
    expect((await proveRules(folder)).map(({ code }) => code)).toEqual(['CONFIG_UNKNOWN_NAME', 'CONFIG_UNKNOWN_NAME']);
  });

  test('see the clock that they set', async () => {
    write('a.yaml', '- { rule: by night, steps: [{ where: at.getHours("UTC") < 6 }], send: cloud }\n');
    write(
      'a.test.yaml',
      [
        '- test: by night',
        '  start: 2026-06-01T05:59:00Z',
        '  devices: { d: {} }',
        '  given:',
        '    - { at: 0s, device: d, values: { x: 5 } }',
        '    - { at: 1m, device: d, values: { x: 6 } }',
        '  expect:',
        '    - { at: 0s, to: cloud, values: { x: 5 } }',
      ].join('\n'),
    );
    expect(await proveRules(folder)).toEqual([]);
  });

  test('tell a message too many, one too few, and another than expected', async () => {
    write('a.yaml', '- { rule: one, send: [cloud, site] }\n');
    const head = '- test: t\n  devices: { d: {} }\n  given: [{ at: 0s, device: d, values: { x: 5 } }]\n';
    const told = async (expected: string) => {
      write('a.test.yaml', `${head}  expect: ${expected}\n`);
      return (await proveRules(folder)).map(({ code, message }) => `${code} ${message}`);
    };
    const site = '{ at: 0s, to: site, values: { x: 5 } }';
    expect(await told(`[${site}, { at: 0s, to: cloud, values: { x: 5 } }]`)).toEqual([]);
    expect(await told(`[${site}]`)).toEqual(['RULE_TEST at 0s cloud also gets { device: d, values: { x: 5 } }']);
    expect(await told(`[${site}, { at: 0s, to: cloud, values: { x: "5" } }]`)).toHaveLength(1);
    expect(await told(`[${site}, { at: 0s, to: cloud, values: { x: 5, y: 6 } }]`)).toEqual([
      'RULE_TEST at 0s cloud should get { values: { x: 5, y: 6 } }, but gets { values: { x: 5 } }',
    ]);
    expect(await told(`[${site}, { at: 1s, to: cloud, values: { x: 5 } }]`)).toHaveLength(2);
  });
});

test('the schemas can be given to editors', () => {
  for (const schema of [ruleFileSchema, ruleTestFileSchema])
    expect(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })).toMatchObject({ type: 'array' });
});
