/** Checks values against zod schemas and says every problem at its place, in words for people. */
import type { ZodType } from 'zod';
import type { TidegateError } from '../errors.js';
import { diagnose, type Known } from './diagnose.js';
import { describedAs, knownKeys } from './shape.js';
import type { Path, Source } from './source.js';

export { suggest } from './suggest.js';

/** Where the value at a path (relative to what is checked) was written. */
export type Where = (path: Path) => { source: Source; path: Path };

/** What the schema alone does not know. */
export interface CheckOptions {
  /** Keys that are also known at the root, to suggest them (another schema checks them). */
  readonly known?: Iterable<string>;
}

/**
 * Checks `value` and gives what the schema makes of it, or undefined when anything is wrong: all of it is then in `problems`.
 * A number or boolean where text is asked for is taken as it is written (`version: 5`, `unit: 1`, `username: 007`).
 * A schema's own `refine` may carry `params: { code, hint }` for the error that it becomes.
 * @param at path of `value` in the file, or a function that tells where each part of it comes from
 */
export function check<T>(
  schema: ZodType<T>,
  source: Source,
  value: unknown,
  at: Path | Where,
  problems: TidegateError[],
  options: CheckOptions = {},
): T | undefined {
  const where: Where = typeof at === 'function' ? at : (path) => ({ source, path: [...at, ...path] });
  let input = value;
  let result = schema.safeParse(input);
  if (!result.success) {
    const texts = new Map(
      diagnose(result.error.issues, input)
        .filter((finding) => finding.wantsText)
        .map((finding) => [finding.path, written(where(finding.path))] as const),
    );
    for (const [path, text] of texts) if (text !== undefined) input = replaceAt(input, path, text);
    if (texts.size > 0) result = schema.safeParse(input);
  }
  if (result.success) return result.data;
  const known: Known = {
    keys: (path) => [...knownKeys(schema, path), ...(path.length === 0 ? (options.known ?? []) : [])],
    about: (path) => describedAs(schema, path),
  };
  for (const finding of diagnose(result.error.issues, input, known)) {
    const { source: file, path } = where(finding.path);
    const { hint, key } = finding;
    problems.push(file.problem(finding.code, path, finding.message, { ...(hint !== undefined && { hint }), key }));
  }
  return undefined;
}

function written({ source, path }: ReturnType<Where>): string | undefined {
  return source.written(path);
}

function replaceAt(value: unknown, path: Path, text: string): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return text;
  if (Array.isArray(value)) return value.map((item, index) => (index === step ? replaceAt(item, rest, text) : item));
  const old = value as Record<string, unknown>;
  return { ...old, [step]: replaceAt(old[step], rest, text) };
}
