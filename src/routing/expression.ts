/** Conditions of rules in CEL (Common Expression Language), parsed and type-checked when rules are loaded. */
import type * as Cel from '@marcbachmann/cel-js';
import { hintFor } from '../config/suggest.js';
import type { Quality } from '../model.js';

/** What an expression can name. One object is reused for all readings. */
export interface Reading {
  /** The value; a structure as maps and lists. */
  value: unknown;
  quality: Quality;
  device: string;
  point: string;
  profile: string;
  /** UCUM code, empty when the point has none. */
  unit: string;
  tags: Readonly<Record<string, string>>;
  /** Time of the reading: a CEL timestamp, so that `at.getHours("Europe/Berlin")` works. */
  at: Date;
}

/** A checked expression. */
export interface Expression {
  readonly text: string;
  /** False when the result depends on nothing but the value, its quality and the point. */
  readonly usesTime: boolean;
  /** @throws Error when the expression cannot be evaluated for this reading, or gives no true or false */
  passes(reading: Reading): boolean;
}

/** What is wrong with an expression, and which of its characters. */
export interface Mistake {
  readonly message: string;
  readonly hint?: string | undefined;
  readonly from: number;
  readonly length: number;
}

/** Checks an expression and makes it ready to run, or says what is wrong with it. */
export type Compile = (text: string) => Expression | Mistake;

const VARIABLES: Readonly<Record<keyof Reading, string>> = {
  value: 'dyn',
  quality: 'string',
  device: 'string',
  point: 'string',
  profile: 'string',
  unit: 'string',
  tags: 'map<string, string>',
  at: 'google.protobuf.Timestamp',
};

/** Loads the CEL library, which a gateway without conditions never does. */
export async function loadCompiler(): Promise<Compile> {
  const cel = await import('@marcbachmann/cel-js');
  const environment = new cel.Environment();
  for (const [name, type] of Object.entries(VARIABLES)) environment.registerVariable(name, type);
  registerNumbers(environment);
  return (text) => compile(environment, text);
}

/**
 * Plain CEL refuses to mix `double` and `int`, but `value * 2` is what people mean; the library compares them already.
 * Every operator names its result type: without it `2 + value` would be taken for an int.
 */
function registerNumbers(environment: Cel.Environment): void {
  type Numeric = number | bigint;
  const operators: Record<string, (left: Numeric, right: Numeric) => number> = {
    '+': (left, right) => Number(left) + Number(right),
    '-': (left, right) => Number(left) - Number(right),
    '*': (left, right) => Number(left) * Number(right),
    '/': (left, right) => Number(left) / Number(right),
    '%': (left, right) => Number(left) % Number(right),
  };
  for (const [operator, handler] of Object.entries(operators)) {
    environment.registerOperator(`double ${operator} int: double`, handler);
    environment.registerOperator(`int ${operator} double: double`, handler);
  }
  environment.registerOperator('double % double: double', (left: number, right: number) => left % right);
  // biome-ignore lint/suspicious/noDoubleEquals: compares a number with a bigint by value
  environment.registerOperator('double == int: bool', (left: Numeric, right: Numeric) => left == right);
}

function compile(environment: Cel.Environment, text: string): Expression | Mistake {
  let parsed: Cel.ParseResult;
  try {
    parsed = environment.parse(text);
  } catch (error) {
    return mistakeOf(error as Cel.ParseError, environment, text);
  }
  const result = parsed.check();
  if (result.error) return mistakeOf(result.error, environment, text);
  if (result.type !== 'bool' && result.type !== 'dyn')
    return {
      message: `the expression must give true or false, not ${result.type}`,
      hint: 'compare it with something, such as value > 80',
      from: 0,
      length: text.length,
    };
  return {
    text,
    usesTime: /\bat\b/.test(text),
    passes(reading) {
      const passed: unknown = parsed(reading);
      if (typeof passed === 'boolean') return passed;
      throw new Error(`the expression gave ${typeof passed === 'string' ? `"${passed}"` : passed}, not true or false`);
    },
  };
}

/** What an expression that failed for a reading is told as. */
export function describeFailure(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, summary } = error as Partial<Cel.EvaluationError>;
  return code !== undefined && summary !== undefined ? explain(code, summary, '').message : error.message;
}

function mistakeOf(error: Cel.ParseError | Cel.TypeError, environment: Cel.Environment, text: string): Mistake {
  const from = error.range?.start ?? 0;
  const length = (error.range?.end ?? text.length) - from;
  const functions = environment.getDefinitions().functions.map(({ name }) => name);
  return { ...explain(error.code, error.summary, text.slice(from, from + length), functions), from, length };
}

/** What people coming from other languages write. */
const SPELLINGS: Readonly<Record<string, string>> = { '=': '==', '&': '&&', '|': '||', and: '&&', or: '||', not: '!' };

/** The library's complaint about `marked` in words for people. */
function explain(
  code: string,
  summary: string,
  marked: string,
  functions?: readonly string[],
): { message: string; hint?: string | undefined } {
  const subject = (/: (.*)$/s.exec(summary)?.[1] ?? '').replace(/\bdyn<(\w+)>/g, '$1');
  switch (code) {
    case 'unknown_variable':
      return { message: `nothing is called "${subject}" here`, hint: hintFor(subject, Object.keys(VARIABLES)) };
    case 'no_matching_overload': {
      const [, call = '', name = ''] = /'((?:.*\.)?(\w+)\(.*\))'/.exec(summary) ?? [];
      if (functions && !functions.includes(name))
        return { message: `there is no function "${name}"`, hint: hintFor(name, functions) };
      return { message: `the function ${name} cannot be used like this: ${call}` };
    }
    case 'no_such_overload':
      return { message: `these types do not go together: ${subject}` };
    case 'unexpected_character':
    case 'unexpected_token': {
      if (subject === 'EOF') return { message: 'the expression ends too early' };
      const right = SPELLINGS[marked];
      return { message: `"${marked}" does not fit here`, hint: right && `write ${right} instead` };
    }
    default:
      return { message: `${summary.charAt(0).toLowerCase()}${summary.slice(1)}` };
  }
}
