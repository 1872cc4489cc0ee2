/** Turns zod's issues into findings in our own words. */
import type { z } from 'zod';
import type { ErrorCode } from '../errors.js';
import type { Path } from './source.js';
import { hintFor, suggest } from './suggest.js';

type Issue = z.core.$ZodIssue;

/** One problem, before it has a place. */
export interface Finding {
  readonly code: ErrorCode;
  readonly path: Path;
  readonly message: string;
  readonly hint?: string;
  /** Mark the key, not the value. */
  readonly key: boolean;
  /** Text was asked for, and a number or boolean is there. */
  readonly wantsText?: boolean;
}

/** What the schema knows at a path: its keys, and what it says about itself. */
export interface Known {
  keys(path: Path): string[];
  about(path: Path): string | undefined;
}

const NOTHING: Known = { keys: () => [], about: () => undefined };

/** All findings about `value`, each said once: a mistyped required key is unknown, but not also missing. */
export function diagnose(issues: readonly Issue[], value: unknown, known: Known = NOTHING): Finding[] {
  const findings = issues.flatMap((issue) => explain(issue, [], value, known));
  return findings.flatMap((finding) => {
    if (finding.code !== 'CONFIG_MISSING_KEY') return [finding];
    const typo = mistyped(finding.path, value, known.keys(finding.path.slice(0, -1)));
    if (typo === undefined) return [finding];
    // A strict object says by itself that the mistyped key is unknown; a loose one leaves it to us.
    return findings.some(({ code, path }) => code === 'CONFIG_UNKNOWN_KEY' && same(path, typo.path)) ? [] : [typo];
  });
}

/** The unknown key that was meant to be the missing one. */
function mistyped(missing: Path, value: unknown, keys: readonly string[]): Finding | undefined {
  const parent = missing.slice(0, -1);
  const name = String(missing.at(-1));
  const holder = valueAt(value, parent);
  const strangers = Object.keys(typeof holder === 'object' && holder !== null ? holder : {}).filter(
    (key) => !keys.includes(key),
  );
  const key = suggest(name, strangers);
  return key === undefined ? undefined : unknown([...parent, key], [name]);
}

function unknown(path: Path, keys: readonly string[]): Finding {
  const key = String(path.at(-1));
  const hint = hintFor(key, keys);
  return {
    code: 'CONFIG_UNKNOWN_KEY',
    path,
    message: `unknown key "${key}"`,
    key: true,
    ...(hint !== undefined && { hint }),
  };
}

function same(a: Path, b: Path): boolean {
  return a.length === b.length && a.every((step, index) => String(step) === String(b[index]));
}

function explain(issue: Issue, parent: Path, value: unknown, known: Known): Finding[] {
  const path: Path = [...parent, ...(issue.path as (string | number)[])];
  const found = valueAt(value, path);
  const finding = (message: string, hint?: string): Finding => ({
    code: 'CONFIG_VALUE',
    path,
    message,
    key: false,
    ...(hint !== undefined && { hint }),
  });
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => {
        const finding = unknown([...path, key], known.keys(path));
        const torn = key.includes(' ') && valueAt(value, [...path, key]) === null;
        return torn ? { ...finding, hint: 'text with a comma inside { } needs quotes' } : finding;
      });
    case 'invalid_key':
      return [{ ...finding(`"${path.at(-1)}" cannot be a key: ${issue.issues[0]?.message ?? 'invalid'}`), key: true }];
    case 'invalid_union':
      return explainUnion(issue, path, value, known, finding);
    case 'invalid_type':
    case 'invalid_value': {
      if (found === undefined) return [missing(path, known.about(path) ?? wanted(issue))];
      const wantsText = isPlain(found) && (issue.code === 'invalid_value' || issue.expected === 'string');
      const meant = issue.code === 'invalid_value' ? suggest(String(found), issue.values.map(String)) : undefined;
      const near = meant === undefined ? undefined : `did you mean "${meant}"?`;
      if (path.length === 0 && found === null) return [emptyFile(known.keys([])[0])];
      if (typeof found === 'bigint') return [{ ...finding(`the number ${found} is too large`), wantsText }];
      return [{ ...finding(butFound(wanted(issue), found), near), wantsText }];
    }
    case 'custom': {
      const { code = 'CONFIG_VALUE', hint } = (issue.params ?? {}) as { code?: ErrorCode; hint?: string };
      return [{ ...finding(wanted(issue), hint), code }];
    }
    default:
      return [finding(wanted(issue))];
  }
}

/** The branch of a union that fits best speaks for it; when none does, all that may be written is named. */
function explainUnion(
  issue: Extract<Issue, { code: 'invalid_union' }>,
  path: Path,
  value: unknown,
  known: Known,
  finding: (message: string) => Finding,
): Finding[] {
  const found = valueAt(value, path);
  if (found === undefined) return [missing(path, known.about(path) ?? own(issue) ?? 'write a value')];
  const branches = issue.errors.map((errors) => errors.flatMap((inner) => explain(inner as Issue, path, value, known)));
  const wantsText = branches.some(
    (branch) => branch.length === 1 && branch[0]?.wantsText && branch[0].path.length === path.length,
  );
  // A branch whose complaints are all inside, not about the value as a whole, has the right type.
  const inside = branches.filter((branch) =>
    branch.every((part) => part.path.length > path.length || part.code === 'CONFIG_UNKNOWN_KEY'),
  );
  const best = inside.sort((a, b) => a.length - b.length)[0];
  if (best) return best;
  const message =
    own(issue) ??
    [...new Set(branches.map((branch) => branch[0]?.message.replace(/, not .*$/, '') ?? ''))].join(', or ');
  return [{ ...finding(butFound(message, found)), wantsText }];
}

function missing(path: Path, message: string): Finding {
  const key = path.at(-1);
  return {
    code: 'CONFIG_MISSING_KEY',
    path,
    message: typeof key === 'string' ? `the key "${key}" is missing` : 'nothing is here',
    hint: message,
    key: true,
  };
}

function emptyFile(first: string | undefined): Finding {
  const hint = first === undefined ? {} : { hint: `start with "${first}:"` };
  return { code: 'CONFIG_MISSING_KEY', path: [], message: 'the file is empty', key: false, ...hint };
}

/** The schema's own words, unless they are zod's. */
function own(issue: Issue): string | undefined {
  return /^(Invalid|Too|Unrecognized|Expected)\b/.test(issue.message) ? undefined : issue.message;
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'write text',
  number: 'write a number',
  int: 'write a whole number',
  boolean: 'write true or false',
  object: 'write keys and values',
  record: 'write keys and values',
  array: 'write a list',
  tuple: 'write a list',
  map: 'write keys and values',
};

/** What should be written. */
function wanted(issue: Issue): string {
  const words = own(issue);
  if (words !== undefined) return words;
  if (issue.code === 'invalid_type') return TYPES[issue.expected] ?? `write ${issue.expected}`;
  if (issue.code === 'invalid_value') {
    const values = issue.values.map(String);
    return values.length === 1 ? `write ${values[0]}` : `write ${values.slice(0, -1).join(', ')} or ${values.at(-1)}`;
  }
  if (issue.code === 'too_small') return bound(issue.minimum, issue.origin, 'at least', issue.inclusive === false);
  if (issue.code === 'too_big') return bound(issue.maximum, issue.origin, 'at most', issue.inclusive === false);
  return issue.message;
}

function bound(limit: number | bigint, origin: string, which: string, strict: boolean): string {
  if (origin === 'string') return limit === 1 ? 'the text is empty' : `write ${which} ${limit} characters`;
  if (origin === 'array') return `write ${which} ${limit} ${limit === 1 ? 'entry' : 'entries'}`;
  if (origin === 'object' || origin === 'record') return `write ${which} ${limit} ${limit === 1 ? 'key' : 'keys'}`;
  return strict
    ? `write a number ${which === 'at least' ? 'above' : 'below'} ${limit}`
    : `write a number of ${which} ${limit}`;
}

function isPlain(value: unknown): boolean {
  return typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint';
}

function valueAt(value: unknown, path: Path): unknown {
  let node = value;
  for (const step of path) {
    if (typeof node !== 'object' || node === null) return undefined;
    node = (node as Record<string, unknown>)[String(step)];
  }
  return node;
}

function butFound(wish: string, found: unknown): string {
  return found === null ? `nothing is written here: ${wish}` : `${wish}, not ${show(found)}`;
}

/** A value as a person would name it. */
function show(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'keys and values';
  const text = typeof value === 'string' ? `"${value}"` : String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
