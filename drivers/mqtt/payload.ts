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

  /** As UTF-8, without the NUL that programs in C may send behind it. */
  get text(): string | Unfit {
    const { bytes } = this;
    const length = bytes.at(-1) === 0 ? bytes.length - 1 : bytes.length;
    this.#text ??= isUtf8(bytes) ? bytes.toString('utf8', 0, length) : new Unfit('the payload is not UTF-8 text');
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
    // Trimmed of a byte order mark too.
    const json: unknown = JSON.parse(text.trimStart());
    return /\d{16}/.test(text) ? exactly(text, json) : json;
  } catch {
    return new Unfit(text.trim() === '' ? 'the payload is empty' : `the payload is no JSON: ${shown(text)}`);
  }
}

/** Texts and numbers of what is known to be JSON: in other text, a quote that never ends would be looked for again and again. */
const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
/** Marks a text that was a number; a letter for private use, which no device writes. */
const MARK = '\u{F0000}';
const MARKED = /^\u{F0000}-?\d{16,}$/u;

/** The same JSON, but that no digit of a long integer is lost: each travels as a marked text. */
function exactly(text: string, json: unknown): unknown {
  const marked = text.replaceAll(TOKENS, (token) =>
    /^-?\d{16,}$/.test(token) && !Number.isSafeInteger(Number(token)) ? `"${MARK}${token}"` : token,
  );
  if (marked === text) return json;
  return JSON.parse(marked, (_key, value: unknown) =>
    typeof value === 'string' && MARKED.test(value) ? new LongInteger(value.slice(MARK.length)) : value,
  );
}

/** JSON as a device would write it: long integers are numbers, with all their digits. */
export function writeJson(value: unknown): string {
  const marked = JSON.stringify(value, (_key, part) => (typeof part === 'bigint' ? `${MARK}${part}` : part));
  return marked.replaceAll(/"\u{F0000}(-?\d+)"/gu, '$1');
}

/** What a device said, for people: the beginning, on one line. */
export function shown(value: unknown): string {
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null && !(value instanceof LongInteger)) return 'an object';
  const text = value instanceof LongInteger ? value.digits : String(value);
  const line = text.slice(0, SHOWN).replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029\uFFFD]+/gu, ' ');
  return `"${line}${text.length > SHOWN ? '…' : ''}"`;
}

/** Characters of a payload that people are shown. */
const SHOWN = 40;
