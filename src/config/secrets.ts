/** `${env:NAME}` and `${file:/path}`: what is secret, or differs from box to box, stays out of `gateway.yaml`. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { TidegateError } from '../errors.js';
import { type Path, type Source, unreadable } from './source.js';

// biome-ignore lint/suspicious/noTemplateCurlyInString: it is what people write
const FORMS = 'write ${env:NAME} or ${file:/path}';
const PLACEHOLDER = /\$\{([^}]*)\}?/g;

/** What placeholders became. */
export interface Resolved {
  /** The same value, its placeholders replaced. */
  readonly value: unknown;
  /** What was put in, to be kept out of logs. */
  readonly secrets: string[];
  /** The files that placeholders name, whether they could be read or not. */
  readonly files: string[];
}

/**
 * Replaces the placeholders in every text of `value`. One that cannot be resolved stays as it is and adds CONFIG_SECRET to `problems`.
 * @param folder relative paths of files start here
 */
export function resolveSecrets(
  value: unknown,
  source: Source,
  folder: string,
  problems: TidegateError[],
  env: NodeJS.ProcessEnv = process.env,
): Resolved {
  const secrets = new Set<string>();
  const files = new Set<string>();

  const inText = (text: string, path: Path): string =>
    text.replace(PLACEHOLDER, (whole, inside: string, from: number) => {
      const named = /^file:(.+)$/.exec(inside)?.[1];
      if (named !== undefined) files.add(resolve(folder, named));
      const found = lookUp(whole, inside, folder, env);
      if (typeof found === 'string') {
        secrets.add(found);
        return found;
      }
      const place = source.placeWithin(path, from, whole.length);
      problems.push(new TidegateError('CONFIG_SECRET', found.message, { place, hint: found.hint }));
      return whole;
    });

  const walk = (part: unknown, path: Path): unknown => {
    if (typeof part === 'string') return inText(part, path);
    if (Array.isArray(part)) return part.map((item, index) => walk(item, [...path, index]));
    if (typeof part !== 'object' || part === null) return part;
    return Object.fromEntries(Object.entries(part).map(([key, item]) => [key, walk(item, [...path, key])]));
  };

  return { value: walk(value, []), secrets: [...secrets], files: [...files] };
}

function lookUp(
  whole: string,
  inside: string,
  folder: string,
  env: NodeJS.ProcessEnv,
): string | { message: string; hint: string } {
  const [, kind, name = ''] = /^(env|file):(.+)$/.exec(inside) ?? [];
  if (kind === undefined || !whole.endsWith('}')) return { message: `${whole} is no placeholder`, hint: FORMS };
  if (kind === 'env') {
    const text = env[name];
    if (text) return text;
    const state = text === undefined ? 'not set' : 'empty';
    return {
      message: `the environment variable ${name} is ${state}`,
      hint: `set ${name} for the user that runs Tidegate`,
    };
  }
  const file = resolve(folder, name);
  const hint = 'create the file, readable for the user that runs Tidegate';
  try {
    const text = readFileSync(file, 'utf8').replace(/[\r\n]+$/, '');
    return text === '' ? { message: `the file ${name} is empty`, hint } : text;
  } catch (cause) {
    return { message: `cannot read ${name}: ${unreadable(cause)}`, hint };
  }
}
