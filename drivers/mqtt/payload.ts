/** What one message carries. Its text and its JSON are made once, when a point first asks for them. */
import { isUtf8 } from 'node:buffer';

/** Why a point has no value. */
export class Unfit {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

/** An integer that a double cannot hold: all its digits. */
export class LongInteger {
  readonly digits: string;

  constructor(digits: string) {
    this.digits = digits;
  }

  toJSON(): string {
    return this.digits;
  }
}

/** A payload, at most as large as the connection's `max_payload`. */
export class Payload {
  readonly bytes: Buffer;
  #text: string | Unfit | undefined;
  #json: { readonly value: unknown } | undefined;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** Keeps the bytes, and nothing that was made of them. */
  forget(): void {
    this.#text = undefined;
    this.#json = undefined;
  }

  /** As UTF-8. */
  get text(): string | Unfit {
    this.#text ??= isUtf8(this.bytes) ? this.bytes.toString() : new Unfit('the payload is not UTF-8 text');
    return this.#text;
  }

  /** As JSON (RFC 8259); integers beyond 2^53 are `LongInteger`s. */
  get json(): unknown {
    this.#json ??= { value: parse(this.text) };
    return this.#json.value;
  }
}

function parse(text: string | Unfit): unknown {
  if (text instanceof Unfit) return text;
  try {
    return /\d{16}/.test(text) ? parseExactly(text) : JSON.parse(text);
  } catch {
    return new Unfit(text.trim() === '' ? 'the payload is empty' : `the payload is no JSON: ${shown(text)}`);
  }
}

const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
/** Marks a text that was a number; a letter for private use, which no device writes. */
const MARK = '\u{F0000}';
const MARKED = /^\u{F0000}-?\d{16,}$/u;

/** `JSON.parse`, but that no digit of a long integer is lost: each travels as a marked text. */
function parseExactly(text: string): unknown {
  const marked = text.replaceAll(TOKENS, (token) =>
    /^-?\d{16,}$/.test(token) && !Number.isSafeInteger(Number(token)) ? `"${MARK}${token}"` : token,
  );
  // What is no JSON must not become some by being marked.
  if (marked !== text) JSON.parse(text);
  return JSON.parse(marked, (_key, value: unknown) =>
    typeof value === 'string' && MARKED.test(value) ? new LongInteger(value.slice(MARK.length)) : value,
  );
}

/** JSON as a device would write it: long integers are numbers, with all their digits. */
export function writeJson(value: unknown): string {
  const marked = JSON.stringify(value, (_key, part) => (typeof part === 'bigint' ? `${MARK}${part}` : part));
  return marked.replaceAll(/"\u{F0000}(-?\d+)"/gu, '$1');
}

/** The beginning of what a device said, for people, on one line. */
export function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
  const line = text.slice(0, 41).replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029\uFFFD]+/gu, ' ');
  return `"${line.length > 40 ? `${line.slice(0, 40)}…` : line}"`;
}
