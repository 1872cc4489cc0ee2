/** Durations and sizes as people write them: `500ms`, `10s`, `15m`, `30d`; `64kB`, `256MB`, `2GB`. */
import { z } from 'zod';

const MILLISECONDS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const BYTES: Readonly<Record<string, number>> = { B: 1, kB: 1_000, MB: 1_000_000, GB: 1_000_000_000 };

const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;
const SIZE = /^(\d+(?:\.\d+)?)(B|kB|MB|GB)$/;

const DURATION_WORDS = 'write a duration with its unit, such as 500ms, 10s, 15m, 2h or 30d';
const SIZE_WORDS = 'write a size with its unit, such as 64kB, 256MB or 2GB';

/** A year: anything longer is a slip of the pen. */
const LONGEST = 365 * 86_400_000;
/** A petabyte, for the same reason. */
const LARGEST = 1e15;

/** Milliseconds of a duration as written, or undefined when it is none. */
export function parseDuration(text: unknown): number | undefined {
  return parse(text, DURATION, MILLISECONDS);
}

/** A duration with its unit, from 1 ms to a year; gives milliseconds. */
export const duration = durationFrom(1);

/** A duration that a timer waits for, from 1 ms to a day: longer ones are slips of the pen, and beyond 24 days a timer would not wait at all. */
export const wait = duration.refine((milliseconds) => milliseconds <= 86_400_000, { error: 'write at most 24h' });

/** A duration that may be none at all (`0s`); gives milliseconds. */
export const pause = durationFrom(0);

/** A size with its unit; gives bytes (1 kB = 1000 B). */
export const size = z
  .string({ error: SIZE_WORDS })
  .regex(SIZE, { error: SIZE_WORDS, abort: true })
  .refine(
    within((text) => parse(text, SIZE, BYTES), 1, LARGEST),
    { error: 'write a size from 1B to 1000000GB' },
  )
  .transform((text) => parse(text, SIZE, BYTES) ?? 0);

/** Milliseconds as people write them, in the largest unit that has no fraction: `90s`, `2h`. */
export function formatDuration(milliseconds: number): string {
  return format(milliseconds, MILLISECONDS);
}

/** Bytes as people write them, in the largest unit that has no fraction: `256MB`. */
export function formatSize(bytes: number): string {
  return format(bytes, BYTES);
}

function format(value: number, factors: Readonly<Record<string, number>>): string {
  const fitting = Object.entries(factors).filter(([, factor]) => value >= factor && value % factor === 0);
  const [unit, factor] = fitting.at(-1) ?? Object.entries(factors)[0] ?? ['', 1];
  return `${value / factor}${unit}`;
}

function durationFrom(least: number) {
  return z
    .string({ error: DURATION_WORDS })
    .regex(DURATION, { error: DURATION_WORDS, abort: true })
    .refine(within(parseDuration, least, LONGEST), { error: `write a duration from ${least}ms to 365d` })
    .transform((text) => parseDuration(text) ?? 0);
}

function parse(text: unknown, form: RegExp, factors: Readonly<Record<string, number>>): number | undefined {
  const [, number, unit = ''] = (typeof text === 'string' && form.exec(text)) || [];
  return number === undefined ? undefined : Math.round(Number(number) * (factors[unit] ?? Number.NaN));
}

function within(measure: (text: string) => number | undefined, least: number, most: number): (text: string) => boolean {
  return (text) => {
    const value = measure(text) ?? 0;
    return value >= least && value <= most;
  };
}
