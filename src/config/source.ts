/** A YAML file with its places: what people wrote, as plain values, and where each of them stands. */
import { readFileSync, statSync } from 'node:fs';
import { type Alias, isAlias, isMap, isNode, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { type ErrorCode, messageOf, type SourcePlace, TidegateError } from '../errors.js';
import { offsetWithin } from './scalar.js';
import { lostAlias, syntaxProblems } from './syntax.js';

/** Keys and indexes from the root of a file down to one node. */
export type Path = readonly (string | number)[];

/** A larger file is no file that a person wrote. */
const MOST_BYTES = 8_000_000;
/** Deeper nesting than this is refused before the parser meets it: it would exhaust the stack. */
const DEEPEST = 100;
/** More nodes than this (aliases counted each time they are used) is no file that a person wrote. */
const MOST_NODES = 200_000;

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
      throw new TidegateError('CONFIG_FILE', `cannot read ${path}: ${reasonOf(cause)}`, { cause });
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
      const document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false, intAsBigInt: true });
      this.#root = document.contents ?? undefined;
      errors.push(...syntaxProblems(document, text, (from, to) => this.#placeOf(from, to)));
      if (errors.length === 0) {
        const reader = new Reader(this.#anchors);
        const value = reader.read(document.contents);
        errors.push(...reader.lost.map((alias) => lostAlias(alias, (from, to) => this.#placeOf(from, to))));
        if (errors.length === 0) this.value = value;
      }
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

/** Turns nodes into plain values. */
class Reader {
  /** Aliases of what is not anchored above them. */
  readonly lost: Alias[] = [];
  #seen = 0;
  readonly #anchors: Map<string, Node>;

  constructor(anchors: Map<string, Node>) {
    this.#anchors = anchors;
  }

  read(node: unknown): unknown {
    if (++this.#seen > MOST_NODES) throw new Error(`more than ${MOST_NODES} values`);
    if (isNode(node) && !isAlias(node) && node.anchor) this.#anchors.set(node.anchor, node);
    if (isAlias(node)) {
      if (!this.#anchors.has(node.source)) this.lost.push(node);
      return this.read(this.#anchors.get(node.source));
    }
    if (isScalar(node)) return plain(node.value);
    if (isSeq(node)) return node.items.map((item) => this.read(item));
    if (!isMap(node)) return null;
    const entries = node.items.map((pair) => [keyText(pair.key), this.read(pair.value)] as const);
    return Object.fromEntries(entries);
  }
}

function plain(value: unknown): unknown {
  return typeof value === 'bigint' && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

/** A key as text: as written (`007` stays `007`), but hexadecimal numbers as decimal ones. */
function keyText(key: unknown): string {
  if (!isScalar(key)) return String(key);
  if (key.format === 'HEX') return String(key.value);
  return typeof key.value === 'string' ? key.value : (key.source ?? String(key.value));
}

function reasonOf(cause: unknown): string {
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === 'ENOENT') return 'it does not exist';
  if (code === 'EISDIR') return 'it is a folder';
  if (code === 'EACCES' || code === 'EPERM') return 'this user may not read it';
  return messageOf(cause);
}
