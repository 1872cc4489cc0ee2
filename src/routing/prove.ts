/** Runs the tests that stand beside rule files: `north.test.yaml` proves `north.yaml`. */
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { check } from '../config/check.js';
import type { Path, Source } from '../config/source.js';
import { hintFor } from '../config/suggest.js';
import type { TidegateError } from '../errors.js';
import { listRules, loadRuleFile, readSource } from './load.js';
import { type Expected, type RuleTest, ruleTestFileSchema, ruleTestSchema } from './proof.js';
import type { Rule } from './rule.js';
import { type Message, namesIn, play, type Scene, standIns } from './stage.js';

const DEFAULT_TOPIC = 'tidegate/{gateway}/{device}/telemetry';

/**
 * Runs every `*.test.yaml` of a folder, each against the rule file of the same name alone.
 * @param scene the gateway that tests may refer to; without it every test brings its own devices, and all upstreams exist
 * @returns every failure: RULE_TEST at the line that says otherwise, and what is wrong with the files themselves
 */
export async function proveRules(folder: string, scene?: Scene): Promise<TidegateError[]> {
  const problems: TidegateError[] = [];
  for (const file of listRules(folder, []).tests) await proveFile(file, scene, problems);
  return problems;
}

async function proveFile(file: string, scene: Scene | undefined, problems: TidegateError[]): Promise<void> {
  const source = readSource(file, problems);
  if (!source) return;
  const ruleFile = file.replace(/\.test\.yaml$/, '.yaml');
  if (!existsSync(ruleFile)) {
    const hint = 'a test is called like its rule file: north.test.yaml tests north.yaml';
    const message = `there is no ${basename(ruleFile)} that this tests`;
    problems.push(source.problem('RULE_TEST', [], message, { hint }));
    return;
  }
  const before = problems.length;
  const rules = await loadRuleFile(ruleFile, undefined, problems);
  if (problems.length > before) return;
  const written = source.value ?? [];
  if (!Array.isArray(written)) {
    check(ruleTestFileSchema, source, written, [], problems);
    return;
  }
  for (const [index, entry] of written.entries()) {
    const test = check(ruleTestSchema, source, entry, [index], problems);
    if (test) proveTest(test, rules, sceneFor(test, rules, scene), source, [index], problems);
  }
}

/** What a test does not say itself comes from the gateway. */
function sceneFor(test: RuleTest, rules: readonly Rule[], scene: Scene | undefined): Scene {
  const named = [...new Set(rules.flatMap(({ to }) => to))];
  return {
    gateway: test.gateway ?? scene?.gateway ?? 'gateway',
    devices: test.devices ? standIns(test) : (scene?.devices ?? []),
    upstreams: scene?.upstreams ?? named.map((id) => ({ id, topic: DEFAULT_TOPIC })),
  };
}

function proveTest(
  test: RuleTest,
  rules: readonly Rule[],
  scene: Scene,
  source: Source,
  at: Path,
  problems: TidegateError[],
): void {
  const mistakes = checkTest(test, scene, source, at);
  if (mistakes.length > 0) {
    problems.push(...mistakes);
    return;
  }
  const { messages, failures } = play(test, rules, scene);
  for (const { rule, error } of failures)
    problems.push(source.problem('RULE_TEST', [...at, 'test'], `the rule "${rule.title}" fails: ${error.message}`));
  const left = [...messages];
  const missing = [...test.expect.entries()].filter(([, expected]) => {
    const index = left.findIndex((message) => fits(expected, message));
    if (index >= 0) left.splice(index, 1);
    return index < 0;
  });
  for (const [index, expected] of missing) {
    const near = left.findIndex((message) => message.at === expected.at && message.to === expected.to);
    const [got] = near >= 0 ? left.splice(near, 1) : [];
    const head = `at ${expected.at / 1000}s ${expected.to} should get ${show(expected, expected)}`;
    const message = `${head}, but gets ${got ? show(got, expected) : 'nothing'}`;
    problems.push(source.problem('RULE_TEST', [...at, 'expect', index], message));
  }
  for (const message of left) {
    const text = `at ${message.at / 1000}s ${message.to} also gets ${show(message, { device: '' })}`;
    problems.push(
      source.problem('RULE_TEST', [...at, 'expect'], text, { key: true, hint: 'expect it, or mend the rule' }),
    );
  }
}

/** Names that do not exist, and times that run backwards. */
function checkTest(test: RuleTest, { devices, upstreams }: Scene, source: Source, at: Path): TidegateError[] {
  const problems: TidegateError[] = [];
  const unknown = (path: Path, name: string, known: string[], message: string, key = false) => {
    const hint = hintFor(name, known);
    const options = { key, ...(hint !== undefined && { hint }) };
    problems.push(source.problem('CONFIG_UNKNOWN_NAME', [...at, ...path], message, options));
  };
  const deviceIds = devices.map(({ id }) => id);
  let now = 0;
  for (const [index, given] of test.given.entries()) {
    const path = ['given', index];
    if (given.at < now)
      problems.push(source.problem('CONFIG_VALUE', [...at, ...path, 'at'], 'this is earlier than the line before it'));
    now = Math.max(now, given.at);
    const device = devices.find(({ id }) => id === given.device);
    if (!device) {
      unknown([...path, 'device'], given.device, deviceIds, `no device is called "${given.device}"`);
      continue;
    }
    const points = device.points.map(({ id }) => id);
    for (const name of namesIn(given)) {
      const group = Object.hasOwn(given.values, name) ? 'values' : Object.hasOwn(given.bad, name) ? 'bad' : 'uncertain';
      if (!points.includes(name))
        unknown([...path, group, name], name, points, `the device ${device.id} has no point "${name}"`, true);
      if (group === 'values' && given.bad[name] !== undefined)
        problems.push(
          source.problem('CONFIG_CONFLICT', [...at, ...path, 'bad', name], `"${name}" has a value and is bad`),
        );
      if (group === 'uncertain')
        problems.push(
          source.problem(
            'CONFIG_MISSING_KEY',
            [...at, ...path, group, name],
            `"${name}" is uncertain, but has no value`,
          ),
        );
    }
  }
  const known = upstreams.map(({ id }) => id);
  for (const [index, { to }] of test.expect.entries())
    if (!known.includes(to)) unknown(['expect', index, 'to'], to, known, `no upstream is called "${to}"`);
  return problems;
}

function fits(expected: Expected, message: Message): boolean {
  return (
    expected.at === message.at &&
    expected.to === message.to &&
    (expected.topic ?? message.topic) === message.topic &&
    (expected.lane ?? message.lane) === message.lane &&
    (expected.device ?? message.device) === message.device &&
    (['values', 'bad', 'uncertain'] as const).every((key) => sameEntries(expected[key], message[key]))
  );
}

function sameEntries(a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>): boolean {
  const names = Object.keys(a);
  // 5 in a test stands for the bigint 5 of a 64-bit point, too; 1 and true still differ.
  const isNumeric = (x: unknown) => typeof x === 'number' || typeof x === 'bigint';
  const same = (x: unknown, y: unknown) =>
    Object.is(x, y) || (typeof x !== typeof y && isNumeric(x) && isNumeric(y) && Number(x) === Number(y));
  return (
    names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && same(a[name], b[name]))
  );
}

/** A message as it would be written in a test, with the optional keys that `like` has. */
function show(message: Partial<Message> | Expected, like: Partial<Message> | Expected): string {
  const head = (['topic', 'lane', 'device'] as const)
    .filter((key) => like[key] !== undefined)
    .map((key) => `${key}: ${message[key]}`);
  const groups = (['values', 'bad', 'uncertain'] as const)
    .map((key) => [key, Object.entries(message[key] ?? {})] as const)
    .filter(([, entries]) => entries.length > 0)
    .map(([key, entries]) => `${key}: { ${entries.map(([name, value]) => `${name}: ${value}`).join(', ')} }`);
  const parts = [...head, ...groups];
  return parts.length > 0 ? `{ ${parts.join(', ')} }` : '{}';
}
