/** Shows a problem as compilers do: where, what, the line with a mark below it, and what to do. */
import { relative } from 'node:path';
import { CODES, type ErrorCode, type TidegateError } from '../errors.js';

/** Codes whose messages say what to do: general advice would only be noise beside the marked place. */
const CLEAR = new Set<ErrorCode>(['CONFIG_VALUE', 'CONFIG_CONFLICT']);
/** Characters of a long line that are shown. */
const WIDTH = 110;

/** One problem as text for a terminal or a log, without a line end after it. */
export function formatProblem(error: TidegateError, options: { color?: boolean } = {}): string {
  const paint = (code: string, text: string) => (options.color ? `\u001b[${code}m${text}\u001b[0m` : text);
  const advice = error.hint ?? (error.place && CLEAR.has(error.code) ? '' : CODES[error.code].todo);
  const code = paint('2', `[${error.code}]`);
  const place = error.place;
  if (!place) return `${paint('1', error.message)}\n  ${advice}  ${code}`;

  const gutter = String(place.line).length + 2;
  const bar = paint('2', '|');
  const { text, skipped } = excerpt(place.text, place.column);
  const before = text.slice(0, place.column - 1 - skipped).replace(/[^\t]/g, ' ');
  const mark = '^'.repeat(Math.max(1, Math.min(place.length, text.length - before.length)));
  return [
    `${shortPath(place.file)}:${place.line}:${place.column}: ${paint('1', error.message)}`,
    `${String(place.line).padStart(gutter)} ${bar} ${text}`,
    `${' '.repeat(gutter)} ${bar} ${before}${paint('31', mark)}${advice === '' ? `  ${code}` : ''}`,
    ...(advice === '' ? [] : [`${' '.repeat(gutter)}   ${advice}  ${code}`]),
  ]
    .map((line) => line.trimEnd())
    .join('\n');
}

/** The line without secrets and control characters, cut to a window around the column when it is long. */
function excerpt(line: string, column: number): { text: string; skipped: number } {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a terminal must not obey what a file holds
  const text = mask(line).replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\ufffd');
  if (text.length <= WIDTH) return { text, skipped: 0 };
  const skipped = column > WIDTH - 30 ? column - 40 : 0;
  const end = skipped + WIDTH;
  const shown = `${skipped > 0 ? '…' : ''}${text.slice(skipped > 0 ? skipped + 1 : 0, end)}${end < text.length ? '…' : ''}`;
  return { text: shown, skipped };
}

/** A password in an address, and the value of a key `password` with or without quotes. */
const IN_ADDRESS = /(?<=:\/\/[^\s:/@]*:)[^\s@/]+(?=@)/g;
const IN_FLOW = /(?<=password["']?\s*:\s*)("[^"]*|'[^']*|(?![\s"',}!])(?:\$\{[^}]*\}|[^,}])+)/gi;
const IN_BLOCK = /(?<=^\s*["']?password["']?\s*:\s*)("[^"]*|'[^']*|[^\s"'!].*)/gi;

/** Replaces what looks like a secret by as many stars, so that messages can be shown to anyone; placeholders stay. */
function mask(line: string): string {
  const stars = (secret: string) =>
    secret.replace(/\$\{[^}]*\}|[^\s"']/g, (part) => (part.startsWith('${') && part.endsWith('}') ? part : '*'));
  return line.replace(IN_ADDRESS, stars).replace(IN_BLOCK, stars).replace(IN_FLOW, stars);
}

function shortPath(file: string): string {
  const short = relative(process.cwd(), file);
  return short !== '' && !short.startsWith('..') ? short : file;
}
