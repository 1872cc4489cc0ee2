/** One JSON log line as people read it on a terminal: `14:03:21 warn  meter-1  no reply  unit=1`. */
import { printable } from './text.js';

const COLORS: Record<string, string> = { debug: '2', info: '36', warn: '33', error: '31', fatal: '41;97' };
/** Bindings that say whom a line is about; they lead the line instead of following it. */
const SUBJECTS = ['connection', 'device', 'upstream'];

/** Turns a JSON line into one for people; a line that is not JSON is returned as it is. */
export function formatLogLine(line: string, color: boolean): string {
  let record: Record<string, unknown>;
  try {
    record = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return line;
  }
  const { time, level, msg, err, error, ...rest } = record;
  const parts = [clockTime(time), paint(String(level).padEnd(5), COLORS[String(level)] ?? '', color)];
  const subjects = SUBJECTS.filter((key) => typeof rest[key] === 'string').map((key) => String(rest[key]));
  if (subjects.length > 0) parts.push(paint(printable(subjects.join('/')), '1', color));
  if (msg !== undefined) parts.push(printable(String(msg)));
  const fields = Object.entries(rest).filter(([key, value]) => !SUBJECTS.includes(key) || typeof value !== 'string');
  const tail = fields.map(([key, value]) => `${key}=${fieldText(value)}`);
  for (const thrown of [err, error]) if (thrown !== undefined) tail.push(errorText(thrown));
  if (tail.length > 0) parts.push(paint(tail.join(' '), '2', color));
  return `${parts.join(' ')}\n`;
}

function clockTime(time: unknown): string {
  const at = new Date(String(time));
  return Number.isNaN(at.getTime()) ? '--:--:--' : at.toTimeString().slice(0, 8);
}

function fieldText(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return printable(/[\s"=]/.test(text) && typeof value === 'string' ? JSON.stringify(text) : text);
}

function errorText(thrown: unknown): string {
  if (typeof thrown !== 'object' || thrown === null) return printable(String(thrown));
  const { code, message, stack } = thrown as { code?: unknown; message?: unknown; stack?: unknown };
  if (typeof stack === 'string') return `\n${stack.split('\n').map(printable).join('\n')}`;
  return printable([message, code === undefined ? '' : `[${String(code)}]`].filter(Boolean).join(' '));
}

function paint(text: string, style: string, color: boolean): string {
  return color && style !== '' ? `\u001b[${style}m${text}\u001b[0m` : text;
}
