/** What a rule test (`*.test.yaml`) may say: readings in, messages out. */
import { z } from 'zod';
import { deadband } from '../config/deadband.js';
import { pause } from '../units.js';

const value = z.union([z.number(), z.boolean(), z.bigint(), z.string()], {
  error: 'write a number, a text, true or false',
});
const values = z.record(z.string(), value).default({});
const reasons = z.record(z.string(), z.string()).default({});

const device = z.strictObject({
  profile: z.string().default('').describe('What `match: { profile }` and {profile} see.'),
  tags: z.record(z.string(), z.string()).default({}).describe('What `match: { tags }` and {tag.NAME} see.'),
  points: z
    .record(
      z.string(),
      z.strictObject({
        unit: z.string().optional().describe('UCUM code of the point.'),
        deadband: deadband.optional().describe('Its own deadband.'),
      }),
    )
    .default({})
    .describe('Units and deadbands, for points where a rule looks at them.'),
});

const given = z.strictObject({
  at: pause.describe('Time since the start of the test.'),
  device: z.string().describe('Device that is read.'),
  values: values.describe('Point → value.'),
  bad: reasons.describe('Point → why it has no value.'),
  uncertain: reasons.describe('Point → why its value is doubtful; the value itself stands in `values`.'),
});

const expected = z.strictObject({
  at: pause.describe('When the message is sent.'),
  to: z.string().describe('Upstream that gets the message.'),
  topic: z.string().optional().describe('Compared when written.'),
  lane: z.enum(['alarm', 'live']).optional().describe('Compared when written.'),
  device: z.string().optional().describe('Compared when written.'),
  values: values.describe('All values of the message.'),
  bad: reasons.describe('All bad points of the message.'),
  uncertain: reasons.describe('All uncertain points of the message.'),
});

/** One test as written. */
export const ruleTestSchema = z.strictObject({
  test: z.string().min(1).describe('What is proven, in a few words.'),
  gateway: z.string().optional().describe('Name of the gateway, for topics. Default: that of gateway.yaml.'),
  start: z
    .string()
    .refine((text) => !Number.isNaN(Date.parse(text)), { error: 'write a time such as 2026-01-31T08:00:00Z' })
    .default('2026-01-01T00:00:00Z')
    .describe('Wall-clock time at 0s, for rules that look at the clock.'),
  devices: z
    .record(z.string(), device)
    .optional()
    .describe('Devices that stand in for those of gateway.yaml; their points are those that `given` names.'),
  given: z.array(given).min(1).describe('Readings, in the order of time; one entry is one read of one device.'),
  expect: z.array(expected).describe('Every message, and no other. [] when nothing may be sent.'),
});

/** A file of rule tests. */
export const ruleTestFileSchema = z.array(ruleTestSchema);

/** A test as checked: times in milliseconds since its start. */
export type RuleTest = z.output<typeof ruleTestSchema>;
/** One read of one device. */
export type Given = RuleTest['given'][number];
/** One message. */
export type Expected = RuleTest['expect'][number];
