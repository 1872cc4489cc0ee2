/** The shape of a profile file: what every device of one type shares. The driver's own schemas check all keys that are not here. */
import { z } from 'zod';
import { deadband } from '../config/deadband.js';
import { POINT_ACCESS, POINT_KINDS, POINT_TYPES, Structure } from '../model.js';
import { wait } from '../units.js';

/** `<vendor>/<model>`: also the file's place below a folder of profiles. */
export const profileName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]*(\.[a-z0-9_-]+)*\/[a-z0-9][a-z0-9_-]*(\.[a-z0-9_-]+)*$/, {
    error: 'write <vendor>/<model> in small letters, digits, "-", "_" and "."',
  });

/** Id of a point: a level of a topic, a key of JSON, a name in CEL. */
export const pointId = z.string().regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/, {
  error: 'a point id has letters, digits, "_" or "-" (at most 64, the first a letter)',
});

const integer = z.union([z.int(), z.bigint()], { error: 'write a whole number' });

/** Keys of a point that mean the same in every driver. */
export const pointSchema = z.looseObject({
  type: z.enum(POINT_TYPES).describe('How the raw value is decoded.'),
  unit: z.string().min(1).optional().describe('UCUM code of the value, such as V, kWh, Cel or %.'),
  kind: z
    .enum(POINT_KINDS)
    .default('gauge')
    .describe(
      '`gauge`: a momentary value. `counter`: a total that only grows. `scale`: a scale-factor register for `scale_from`.',
    ),
  scale: z
    .number()
    .refine((scale) => scale !== 0, { error: 'write a number other than 0: value = raw × scale + offset' })
    .default(1)
    .describe('value = raw × scale + offset.'),
  offset: z.number().default(0).describe('value = raw × scale + offset.'),
  scale_from: z
    .string()
    .optional()
    .describe('Id of a point of kind `scale`: value = raw × 10^(that point) × scale + offset.'),
  invalid: z.array(integer).optional().describe('Raw values that mean "no value": they turn the point bad.'),
  states: z
    .record(
      z.string().regex(/^-?\d+$/, { error: 'write the raw value first, as in { 0: off, 1: on }' }),
      z.string().min(1),
    )
    .refine((states) => Object.keys(states).length > 0, { error: 'write at least one state' })
    .optional()
    .describe('Names of raw values; the value is then the name.'),
  limits: z
    .strictObject({
      min: z.number().optional().describe('Below this a value is uncertain.'),
      max: z.number().optional().describe('Above this a value is uncertain.'),
    })
    .refine(({ min = -Infinity, max = Infinity }) => min <= max, { error: 'min is above max' })
    .optional()
    .describe('Outside of these, after scaling, a value is delivered as uncertain.'),
  access: z.enum(POINT_ACCESS).default('read').describe('Whether the point can be read, written, or both.'),
  every: wait
    .refine((milliseconds) => milliseconds >= 10, { error: 'write at least 10ms' })
    .default(10_000)
    .describe('How often the point is read.'),
  deadband: deadband
    .optional()
    .describe('Smallest change worth telling, where a rule asks for changes and names none.'),
  description: z.string().min(1).optional().describe('What the point is, where its id does not say it.'),
});
export type WrittenPoint = z.infer<typeof pointSchema>;

/** Numbered blocks: one point written, several meant. */
export const repeatSchema = z
  .strictObject({
    count: z.int().min(1).max(1000).describe('How many points.'),
    step: z.int().optional().describe('What is added to `address` from one to the next.'),
    from: z.int().min(0).default(1).describe('The number of the first.'),
  })
  .describe('Makes a numbered block of points; {n} in the id and description stands for the number.');

const keysAndValues = z.record(z.string(), z.unknown(), { error: 'write keys and values' });

/** A value of a point of type `json`. */
const structure = z.union([z.array(z.unknown()), z.record(z.string(), z.unknown())]).transform(Structure.of);

/** One example: words on the wire as the driver writes them, and what they must become. */
export const exampleSchema = z.looseObject({
  note: z.string().min(1).optional().describe('Where the example comes from.'),
  gives: z
    .record(z.string(), z.union([z.number(), z.bigint(), z.string(), z.boolean(), z.null(), structure]))
    .describe('Point id → value after scaling; null for a point that must be bad.'),
});

/** The whole file. Points and defaults are checked one by one, after `extends` and `repeat`. */
export const profileSchema = z.strictObject({
  profile: profileName.describe('Name, as <vendor>/<model>: the same as the path of the file.'),
  title: z.string().min(1).describe('Maker and model, for people.'),
  source: z.string().min(1).optional().describe('Where the numbers come from: document, version, page.'),
  description: z.string().min(1).optional().describe('What a fitter should know: wiring, settings, limits.'),
  driver: z.string().optional().describe('Field protocol; may be left out with `extends`.'),
  extends: profileName
    .optional()
    .describe('Another profile to start from (one level); a point set to null is removed.'),
  device: keysAndValues
    .default({})
    .describe('Settings of the driver for every such device; a device in gateway.yaml may say otherwise.'),
  defaults: keysAndValues
    .default({})
    .describe('Keys that every point shares unless it says otherwise; null in a point takes a key away.'),
  points: z
    .record(
      z.string(),
      z.union([keysAndValues, z.null()], { error: 'write keys and values, or null to remove the point' }),
    )
    .default({})
    .describe('What the device tells, by point id.'),
  examples: z.array(exampleSchema).default([]).describe('Proof: words on the wire and the values that they must give.'),
});
export type WrittenProfile = z.infer<typeof profileSchema>;
