/** Deadbands as people write them, in profiles and in rules: `5` (in the point's own unit) or `"2%"`. */
import { z } from 'zod';
import type { Deadband } from '../model.js';

const PERCENT = /^(\d+(?:\.\d+)?)\s*%$/;

const WORDS = 'write a number that is not negative, in the unit of the point, or a percentage such as 2%';

/** A number, or a percentage of the last value told. */
export const deadband = z
  .union([z.number({ error: WORDS }).nonnegative(), z.string().regex(PERCENT, { error: WORDS })], { error: WORDS })
  .transform(
    (written): Deadband =>
      typeof written === 'number'
        ? { absolute: written }
        : { percent: Number(PERCENT.exec(written)?.[1] ?? Number.NaN) },
  );
