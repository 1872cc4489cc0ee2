/** Durations and sizes as people write them: `500ms`, `10s`, `15m`, `30d`; `64kB`, `256MB`, `2GB`. */
import { z } from 'zod';

const MILLISECONDS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const BYTES = { B: 1, kB: 1_000, MB: 1_000_000, GB: 1_000_000_000 } as const;

const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;
const SIZE = /^(\d+(?:\.\d+)?)(B|kB|MB|GB)$/;

/** A duration with its unit; gives milliseconds. */
export const duration = z
  .string({ error: 'write a duration with its unit, such as 500ms, 10s, 15m, 2h or 30d' })
  .regex(DURATION, { error: 'write a duration with its unit, such as 500ms, 10s, 15m, 2h or 30d' })
  .transform((text) => {
    const [, number, unit] = DURATION.exec(text) as unknown as [string, string, keyof typeof MILLISECONDS];
    return Math.round(Number(number) * MILLISECONDS[unit]);
  });

/** A size with its unit; gives bytes (1 kB = 1000 B). */
export const size = z
  .string({ error: 'write a size with its unit, such as 64kB, 256MB or 2GB' })
  .regex(SIZE, { error: 'write a size with its unit, such as 64kB, 256MB or 2GB' })
  .transform((text) => {
    const [, number, unit] = SIZE.exec(text) as unknown as [string, string, keyof typeof BYTES];
    return Math.round(Number(number) * BYTES[unit]);
  });
