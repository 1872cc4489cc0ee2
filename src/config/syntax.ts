/** The YAML parser's complaints, in words for people. */
import type { Alias, Document, YAMLError } from 'yaml';
import { type SourcePlace, TidegateError } from '../errors.js';

/** One problem for each error or warning of the parser. */
export function syntaxProblems(
  document: Document.Parsed,
  text: string,
  placeOf: (from: number, to: number) => SourcePlace,
): TidegateError[] {
  const problems: TidegateError[] = [];
  const lines = new Set<number>();
  for (const error of [...document.errors, ...document.warnings].sort((a, b) => a.pos[0] - b.pos[0])) {
    const [from, to] = visible(text, error.pos);
    const place = placeOf(from, to);
    // One slip often gives several complaints about the same line: the first says it.
    if (lines.has(place.line)) continue;
    lines.add(place.line);
    const [message, hint] = words(error, text);
    problems.push(new TidegateError('CONFIG_SYNTAX', message, { place, ...(hint !== undefined && { hint }) }));
  }
  return problems;
}

/** What is wrong with blank space is shown at the word after it, and what is missing at the end at the last word. */
function visible(text: string, [from, to]: [number, number]): [from: number, to: number] {
  const blank = /^[ \t]*/.exec(text.slice(from))?.[0] ?? '';
  const start = from + (blank.includes('\t') ? blank.indexOf('\t') : blank.length);
  if (start < text.trimEnd().length) return [start, Math.max(start + 1, to)];
  const end = Math.max(0, text.trimEnd().length - 1);
  return [end, end + 1];
}

const TAB: [string, string] = ['a tab is used as indentation', 'indent with spaces: YAML does not allow tabs there'];

/** An alias (`*name`) of what is anchored nowhere above it: most often a pattern without quotes. */
export function lostAlias(alias: Alias, placeOf: (from: number, to: number) => SourcePlace): TidegateError {
  const [from, to] = alias.range ?? [0, 1];
  return new TidegateError('CONFIG_SYNTAX', `nothing is anchored as "${alias.source}"`, {
    place: placeOf(from, to),
    hint: 'put text that starts with * or & in quotes',
  });
}

function words(error: YAMLError, text: string): [message: string, hint?: string] {
  const [from] = error.pos;
  const line = text.slice(text.lastIndexOf('\n', from - 1) + 1).split('\n', 1)[0] ?? '';
  const token = /^["']?[^\s:"',{}[\]]*/.exec(text.slice(from))?.[0].replace(/^["']/, '') ?? '';
  switch (error.code) {
    case 'TAB_AS_INDENT':
      return TAB;
    case 'MULTIPLE_DOCS':
      return ['a second document begins here', 'remove the line with ---: one file holds one document'];
    case 'BAD_INDENT':
      if (/^[ ]*\t/.test(line)) return TAB;
      if (/ end with /.test(error.message))
        return ['a bracket is opened before this and not closed', 'close { with } and [ with ]'];
      return ['the indentation does not fit', 'keys of the same group start in the same column'];
    case 'TAG_RESOLVE_FAILED':
      return [`the tag "${token}" is not known`, 'write the value without a tag, in quotes if it starts with "!"'];
    case 'BLOCK_AS_IMPLICIT_KEY':
      if (/compact mappings/.test(error.message))
        return ['a second ": " stands in this line', 'put the text in quotes'];
      return ['this line does not fit here', 'look for a missing colon after a key, or for a wrong indentation'];
    case 'MULTILINE_IMPLICIT_KEY':
      if (/^\s*[\w.-]+:\S/.test(line)) return ['this line does not fit here', 'write a space after the colon'];
      return ['this line does not fit here', 'look for a missing colon after a key, or for a wrong indentation'];
    case 'BAD_SCALAR_START':
      return [`text cannot start with ${text.slice(from, from + 1)} here`, 'put the text in quotes'];
    case 'MISSING_CHAR':
      if (/quote/.test(error.message))
        return ['a quote is opened before this and not closed', 'close it with the same quote'];
      return [lower(error.message)];
    case 'UNEXPECTED_TOKEN':
      if (/flow-(map|seq)-/.test(error.message))
        return ['a bracket does not fit here', 'inside { } and [ ], text with brackets needs quotes'];
      return [lower(error.message)];
    default:
      return [lower(error.message)];
  }
}

function lower(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
