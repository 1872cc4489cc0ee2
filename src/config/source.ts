/** A YAML file with its places: what people wrote, as plain values, and where each of them stands. */
import { readFileSync, statSync } from 'node:fs';
import { isAlias, isMap, isNode, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { type ErrorCode, messageOf, type SourcePlace, TidegateError } from '../errors.js';
import { keyText, readNodes } from './nodes.js';
import { offsetWithin } from './scalar.js';
import { syntaxProblems } from './syntax.js';

/** Keys and indexes from the root of a file down to one node. */
export type Path = readonly (string | number)[];

/** A larger file is no file that a person wrote. */
const MOST_BYTES = 8_000_000;
/** Deeper nesting than this is refused before the parser meets it: it would exhaust the stack. */
const DEEPEST = 100;

export class Source {
  readonly file: string;
  readonly text: string;
  /** The whole file as plain values; integers beyond 2^53 as bigint. Undefined when the file has syntax errors. */
  readonly value: unknown;
  /** Syntax errors, duplicate keys, unknown tags: `CONFIG_SYNTAX`, in the order of the file. */
  readonly errors: readonly TidegateError[];
  readonly #root: Node | undefined;
  readonly #lines = new LineCounter();
  readonly #anchors = new Map<string, Node>();

  /** @throws TidegateError CONFIG_FILE when the file cannot be read or is not UTF-8 text */
  static read(path: string): Source {
    let bytes: Buffer;
    try {
      const { size } = statSync(path);
      if (size > MOST_BYTES) throw new Error(`it is larger than ${MOST_BYTES / 1e6} MB`);
      bytes = readFileSync(path);
    } catch (cause) {
      throw new TidegateError('CONFIG_FILE', `cannot read ${path}: ${unreadable(cause)}`, { cause });
    }
    let text: string | undefined;
    try {
      text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    } catch {
      text = undefined;
    }
    if (text === undefined || text.includes('\0'))
      throw new TidegateError('CONFIG_FILE', `${path} is not a text file in UTF-8`, {
        hint: 'save it as UTF-8 with a text editor',
      });
    return new Source(path, text);
  }

  /** @param file the name to show in messages */
  constructor(file: string, text: string) {
    this.file = file;
    this.text = text;
    const errors: TidegateError[] = [];
    try {
      if (deepest(text) > DEEPEST) throw new RangeError('too deep');
      // The reader finds keys that are written twice: the parser compares each with each, which takes long in a long file.
      const options = { lineCounter: this.#lines, prettyErrors: false, intAsBigInt: true, uniqueKeys: false };
      const document = parseDocument(text, options);
      this.#root = document.contents ?? undefined;
      const placeOf = (from: number, to: number) => this.#placeOf(from, to);
      errors.push(...syntaxProblems(document, text, placeOf));
      const { value, complaints } = readNodes(document.contents, this.#anchors, placeOf);
      errors.push(...complaints);
      if (errors.length === 0) this.value = value;
    } catch (cause) {
      const detail = { place: this.#placeOf(0, 1), cause, hint: 'look for many brackets, dashes or aliases in a row' };
      errors.push(new TidegateError('CONFIG_SYNTAX', 'the file is nested too deep, or too large', detail));
    }
    this.errors = errors;
  }

  /** An error that points at the node at `path` (`key: true`: at its key), or at the nearest node above it that exists. */
  problem(code: ErrorCode, path: Path, message: string, options: { hint?: string; key?: boolean } = {}): TidegateError {
    return new TidegateError(code, message, {
      place: this.place(path, options.key),
      ...(options.hint !== undefined && { hint: options.hint }),
    });
  }

  /** Where the value (or the key) at `path` stands; the nearest node above when there is none. */
  place(path: Path, key = false): SourcePlace {
    const { found, keyNode, node } = this.#find(path);
    if (found < path.length && found > 0) return this.place(path.slice(0, found), true);
    // A value of several lines, or an empty one, is best shown by its key.
    const spans = isNode(node) && node.range && !this.text.slice(node.range[0], node.range[1]).trim().includes('\n');
    const shown = keyNode && (key || !spans || node.range?.[0] === node.range?.[1]) ? keyNode : node;
    const [from, to] = shown?.range ?? [0, 1];
    return this.#placeOf(from, to);
  }

  /** A place inside the text of the scalar at `path`: `from` and `length` count characters of its value. */
  placeWithin(path: Path, from: number, length: number): SourcePlace {
    const { node } = this.#find(path);
    if (!isScalar(node) || !node.range || typeof node.value !== 'string') return this.place(path);
    const start = offsetWithin(this.text, node, from);
    return this.#placeOf(start, Math.max(start + 1, offsetWithin(this.text, node, from + length)));
  }

  /** The scalar at `path` as it is written (`007`, `3.10`), or undefined when there is none. */
  written(path: Path): string | undefined {
    const { found, node } = this.#find(path);
    return found === path.length && isScalar(node) ? node.source : undefined;
  }

  /** True when something is written at `path`. */
  has(path: Path): boolean {
    return this.#find(path).found === path.length;
  }

  #find(path: Path): { found: number; node: Node | undefined; keyNode: Node | undefined } {
    let node = this.#resolve(this.#root);
    let keyNode: Node | undefined;
    for (const [depth, step] of path.entries()) {
      let next: unknown;
      let nextKey: unknown;
      if (isMap(node)) {
        const pair = node.items.find((item) => keyText(item.key) === String(step));
        if (pair) [nextKey, next] = [pair.key, pair.value ?? pair.key];
      } else if (isSeq(node) && typeof step === 'number') next = node.items[step];
      if (!isNode(next)) return { found: depth, node, keyNode };
      node = this.#resolve(next);
      keyNode = isNode(nextKey) ? nextKey : undefined;
    }
    return { found: path.length, node, keyNode };
  }

  #resolve(node: Node | undefined): Node | undefined {
    return isAlias(node) ? this.#anchors.get(node.source) : node;
  }

  #placeOf(from: number, to: number): SourcePlace {
    const { line, col } = this.#lines.linePos(Math.min(from, this.text.length));
    const start = this.#lines.lineStarts[line - 1] ?? 0;
    const text = (this.text.slice(start).split('\n', 1)[0] ?? '').replace(/\r$/, '');
    const column = Math.max(1, col);
    const length = Math.max(1, Math.min(to - from, text.length - column + 1));
    return { file: this.file, line: Math.max(1, line), column, text, length };
  }
}

/** A bound on the nesting of brackets and dashes; quotes are not looked at. */
function deepest(text: string): number {
  let depth = 0;
  let most = 0;
  for (const { 0: mark } of text.matchAll(/[[{]|[\]}]|(?:^|\n) *(?:[-?] +)*/g)) {
    if (mark === '[' || mark === '{') depth++;
    else if (mark === ']' || mark === '}') depth = Math.max(0, depth - 1);
    // Blocks nest by their indentation, and by dashes on one line.
    most = Math.max(most, depth, mark.length / 2);
  }
  return most;
}

/** Why a file cannot be read, in words. */
export function unreadable(cause: unknown): string {
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === 'ENOENT') return 'it does not exist';
  if (code === 'EISDIR') return 'it is a folder';
  if (code === 'EACCES' || code === 'EPERM') return 'this user may not read it';
  return messageOf(cause);
}
