/** Reads a folder of rule files. Every problem of every file is told in one run. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { check } from '../config/check.js';
import { type Path, Source } from '../config/source.js';
import { messageOf, TidegateError } from '../errors.js';
import { type Compile, loadCompiler, type Mistake } from './expression.js';
import { checkNames, type RuleContext } from './names.js';
import { type Rule, ruleFileSchema, ruleSchema, type Step, stepSchema, type WrittenRule } from './rule.js';

/** The files of a folder of rules, in the order of their names. */
export interface RuleFiles {
  /** Paths of `*.yaml`. */
  readonly rules: readonly string[];
  /** Paths of `*.test.yaml`. */
  readonly tests: readonly string[];
}

/** Lists a folder of rules; an absent one has none. */
export function listRules(folder: string, problems: TidegateError[]): RuleFiles {
  let names: string[];
  try {
    names = readdirSync(folder).sort();
  } catch (cause) {
    const absent = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    if (!absent)
      problems.push(
        new TidegateError('CONFIG_FILE', `cannot read the folder ${folder}: ${messageOf(cause)}`, { cause }),
      );
    return { rules: [], tests: [] };
  }
  for (const name of names.filter((name) => name.endsWith('.yml')))
    problems.push(
      new TidegateError('CONFIG_FILE', `${join(folder, name)} is not read: rule files end in .yaml`, {
        hint: `rename it to ${name.replace(/yml$/, 'yaml')}`,
      }),
    );
  const files = names.filter((name) => name.endsWith('.yaml') && !name.startsWith('.'));
  const isTest = (name: string) => name.endsWith('.test.yaml');
  return {
    rules: files.filter((name) => !isTest(name)).map((name) => join(folder, name)),
    tests: files.filter(isTest).map((name) => join(folder, name)),
  };
}

/**
 * Loads every rule file of a folder; an absent folder has no rules.
 * @param context what rules can name; without it names are not checked
 */
export async function loadRules(
  folder: string,
  context: RuleContext | undefined,
  problems: TidegateError[],
): Promise<Rule[]> {
  const compiler = lazyCompiler();
  const rules: Rule[] = [];
  for (const file of listRules(folder, problems).rules)
    rules.push(...(await loadRuleFile(file, context, problems, compiler)));
  return rules;
}

/** Loads one rule file. A rule with problems is left out of what is returned. */
export async function loadRuleFile(
  file: string,
  context: RuleContext | undefined,
  problems: TidegateError[],
  compiler = lazyCompiler(),
): Promise<Rule[]> {
  const source = readSource(file, problems);
  if (!source) return [];
  // A file that holds nothing but comments has no rules.
  const written = source.value ?? [];
  if (!Array.isArray(written)) {
    check(ruleFileSchema, source, written, [], problems);
    return [];
  }
  const rules: Rule[] = [];
  const titles = new Set<string>();
  for (const [index, entry] of written.entries()) {
    const before = problems.length;
    const parsed = check(ruleSchema, source, entry, [index], problems) ?? soundParts(entry, source, index);
    if (parsed.rule !== '' && titles.has(parsed.rule))
      problems.push(
        source.problem('CONFIG_CONFLICT', [index, 'rule'], `two rules of this file are called "${parsed.rule}"`),
      );
    titles.add(parsed.rule);
    const rule = await build(parsed, source, index, problems, compiler);
    checkNames(rule, source, [index], context, problems);
    if (problems.length === before) rules.push(rule);
  }
  return rules;
}

/** Reads a YAML file; its syntax errors become problems. */
export function readSource(file: string, problems: TidegateError[]): Source | undefined {
  try {
    const source = Source.read(file);
    problems.push(...source.errors);
    return source.errors.length === 0 ? source : undefined;
  } catch (error) {
    if (!(error instanceof TidegateError)) throw error;
    problems.push(error);
    return undefined;
  }
}

/** Loads the CEL library when the first condition asks for it. */
function lazyCompiler(): () => Promise<Compile> {
  let loading: Promise<Compile> | undefined;
  return () => {
    loading ??= loadCompiler();
    return loading;
  };
}

/** What can still be checked of a rule that has mistakes, so that all of them are told in one run. */
function soundParts(entry: unknown, source: Source, index: number): WrittenRule {
  const written = (typeof entry === 'object' && entry !== null ? entry : {}) as Record<string, unknown>;
  const { shape } = ruleSchema;
  const match = check(shape.match, source, written.match, [index, 'match'], []);
  const send = check(shape.send, source, written.send, [index, 'send'], []) ?? [];
  const steps = Array.isArray(written.steps) ? written.steps : [];
  return {
    rule: check(shape.rule, source, written.rule, [index, 'rule'], []) ?? '',
    match: match ?? {},
    // Steps stay where they are, so that places fit.
    steps: steps.map((step, number) => check(stepSchema, source, step, [index, 'steps', number], []) ?? {}),
    // Which devices a topic is for cannot be told without the match.
    send: match || Array.isArray(send) ? send : send.to,
  };
}

async function build(
  written: WrittenRule,
  source: Source,
  index: number,
  problems: TidegateError[],
  compiler: () => Promise<Compile>,
): Promise<Rule> {
  const steps: Step[] = [];
  for (const [number, { where, change }] of written.steps.entries()) {
    if (where !== undefined) {
      const compiled = (await compiler())(where);
      if ('message' in compiled) problems.push(mistakeAt(source, [index, 'steps', number, 'where'], compiled));
      else steps.push({ kind: 'where', expression: compiled });
    } else if (change) steps.push({ kind: 'change', deadband: change.deadband, atLeastEvery: change.at_least_every });
  }
  const send = Array.isArray(written.send)
    ? { to: written.send, topic: undefined, lane: 'live' as const }
    : written.send;
  const { rule: title, match } = written;
  return { title, file: source.file, match, steps, to: send.to, topic: send.topic, lane: send.lane };
}

function mistakeAt(source: Source, path: Path, { message, hint, from, length }: Mistake): TidegateError {
  const place = source.placeWithin(path, from, length);
  return new TidegateError('RULE_EXPRESSION', message, { place, ...(hint !== undefined && { hint }) });
}
