/** Where a character of a scalar's value stands in the file: quotes, escapes, indentation and folded lines lie in between. */
import type { Scalar } from 'yaml';

const ESCAPE_LENGTH: Readonly<Record<string, number>> = { x: 4, u: 6, U: 10 };

/**
 * The offset in `text` of character `index` of the scalar's value. Characters other than white space are counted on both
 * sides, because YAML changes white space alone (YAML 1.2.2 §6.5, §8.1); an index at the end gives the offset after the last.
 */
export function offsetWithin(text: string, scalar: Scalar, index: number): number {
  const value = String(scalar.value);
  const [start, end] = scalar.range ?? [0, 0];
  const wanted = value.slice(0, index).replace(/\s/g, '').length;
  const atSpace = index >= value.length || /\s/.test(value[index] ?? '');
  let offset = contentStart(text, scalar, start);
  if (atSpace && wanted === 0) return offset;
  let seen = 0;
  let after = offset;
  while (offset < end) {
    const length = lengthOfOne(text, scalar, offset);
    if (!isSpace(text.slice(offset, offset + length), scalar)) {
      if (seen === wanted && !atSpace) return offset;
      seen++;
      after = offset + length;
      if (seen === wanted && atSpace) return after;
    }
    offset += length;
  }
  return after;
}

function contentStart(text: string, { type }: Scalar, start: number): number {
  if (type === 'QUOTE_DOUBLE' || type === 'QUOTE_SINGLE') return start + 1;
  // The header of a block (`|`, `>-`, a comment) ends with its line.
  if (type === 'BLOCK_LITERAL' || type === 'BLOCK_FOLDED') return text.indexOf('\n', start) + 1 || start;
  return start;
}

/** Characters of the file that stand for one of the value. */
function lengthOfOne(text: string, { type }: Scalar, offset: number): number {
  if (type === 'QUOTE_SINGLE' && text.startsWith("''", offset)) return 2;
  if (type === 'QUOTE_DOUBLE' && text[offset] === '\\') return ESCAPE_LENGTH[text[offset + 1] ?? ''] ?? 2;
  return 1;
}

/** True for what becomes white space of the value, or nothing at all. */
function isSpace(written: string, { type }: Scalar): boolean {
  return /^\s$/.test(written) || (type === 'QUOTE_DOUBLE' && /^\\[\s_LPfnrtv]$/.test(written));
}
