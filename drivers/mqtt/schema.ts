/** What people write for MQTT: connections, devices, points, examples. Every default is here. */
import { z } from 'zod';
import { size, wait } from '../../src/units.js';
import { parsePointer } from './pointer.js';
import { faultOfFilter, faultOfTopic } from './topic.js';

/** What is written for the site's own broker. */
export const LOCAL = 'local';
/** Most bytes of one message, whatever a connection says: a broker that speaks MQTT 5 is told. */
export const LARGEST = 16_000_000;

const BROKER = 'write local, mqtt://host:port or mqtts://host:port';

function isBroker(text: string): boolean {
  if (text === LOCAL) return true;
  if (!/^mqtts?:\/\/[^/?#\s]+$/.test(text) || !URL.canParse(text)) return false;
  const { hostname, port } = new URL(text);
  return hostname !== '' && port !== '0';
}

/** A text of which `fault` has nothing to say. */
const sound = (fault: (text: string) => string | undefined) =>
  z.string().superRefine((text, context) => {
    const message = fault(text);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  });

const topic = sound(faultOfTopic);
const pointer = sound((text) => {
  const steps = parsePointer(text);
  return typeof steps === 'string' ? steps : undefined;
});
const pem = z.string().regex(/-----BEGIN /, {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is what people write
  error: 'PEM text is wanted: name its file as in ${file:ca.pem}',
});

const broker = z
  .string({ error: BROKER })
  .refine((text) => !text.includes('@'), {
    error: 'a user or password does not belong in the address',
    params: { hint: 'write them as `username:` and `password:`, the password as a placeholder' },
    abort: true,
  })
  .refine(isBroker, { error: BROKER })
  .describe(
    "`local` for the site's own broker (`broker:` of gateway.yaml), else mqtt://host:port, or mqtts:// for TLS.",
  );

const discoverTopics = z.record(
  sound(faultOfFilter),
  z.string().regex(/^[^/]+\/[^/]+$/, { error: 'write a profile, as <vendor>/<model>' }),
);

/** Keys of a connection. */
export const connectionSchema = z
  .strictObject({
    broker,
    username: z.string().min(1).optional().describe('User name for the broker.'),
    password: z.string().optional().describe('Name an environment variable or a file, never the secret itself.'),
    ca: pem.optional().describe('The authority to trust, instead of the system ones, as PEM text: name its file.'),
    cert: pem.optional().describe('Client certificate, as PEM text.'),
    key: pem.optional().describe("That certificate's private key, as PEM text."),
    client_id: z
      .string()
      .min(1)
      .optional()
      .describe(
        'MQTT client id; by default tidegate-<gateway>-<connection> and something random. Discovery has -discover behind it.',
      ),
    version: z.enum(['auto', '3.1.1', '5']).default('auto').describe('MQTT version; `auto` tries 5, then 3.1.1.'),
    keepalive: wait
      .refine((milliseconds) => milliseconds >= 1_000 && milliseconds <= 65_535_000, { error: 'write 1s to 18h' })
      .default(30_000)
      .describe('Longest silence before the broker is asked whether it is there.'),
    timeout: wait
      .default(5_000)
      .describe(
        'How long to wait for one answer of the broker; when read by hand, also for a device to say something.',
      ),
    max_payload: size
      .refine((bytes) => bytes <= LARGEST, { error: 'write at most 16MB' })
      .default(1_000_000)
      .describe('Largest payload that is looked into; the points of a larger one are bad.'),
    discover_topics: discoverTopics
      .default({})
      .describe(
        'With `discover`: where unknown devices show themselves, and the profile that fits them: `zigbee2mqtt/+`, or `tele/{topic}/SENSOR` where the device topic is one level.',
      ),
  })
  .refine(({ username, password }) => password === undefined || username !== undefined, {
    path: ['password'],
    error: 'a password needs a username',
  })
  .refine(({ cert, key }) => (cert === undefined) === (key === undefined), {
    path: ['cert'],
    error: 'write both cert and key',
  })
  .superRefine((connection, context) => {
    if (connection.broker.startsWith('mqtts:')) return;
    const local = connection.broker === LOCAL;
    const needless = [...(local ? (['username', 'password', 'client_id'] as const) : []), 'ca', 'cert', 'key'] as const;
    for (const key of needless)
      if (connection[key] !== undefined)
        context.addIssue({
          code: 'custom',
          path: [key],
          message: local ? `the site's own broker needs no ${key}: remove it` : `${key} needs TLS: write mqtts://`,
        });
  });

const availability = z
  .strictObject({
    topic: topic.describe('Where the device, or what speaks for it, says whether it is there.'),
    pointer: pointer
      .optional()
      .describe('JSON pointer to the word, where the payload is JSON; plain payloads are taken too.'),
    online: z.string().min(1).default('online').describe('The word for there.'),
    offline: z.string().min(1).default('offline').describe('The word for gone.'),
  })
  .refine(({ online, offline }) => online !== offline, {
    path: ['offline'],
    error: 'there and gone need a word each: these are the same',
  });

/** Keys of a device. */
export const deviceSchema = z.strictObject({
  topic: sound((text) => (/[{}]/.test(text) ? "the device's own topic has no { }" : faultOfTopic(text))).describe(
    "The device's own topic: what `{topic}` stands for in its profile.",
  ),
  availability: z
    .union([availability, z.array(availability)])
    .transform((written) => [written].flat())
    .default([])
    .describe('Topics that say whether the device is there; it is when none of them says that it is not.'),
  stale: wait.optional().describe('A device of which nothing is heard for so long is offline. Without it, never.'),
});

const binary = z.strictObject({
  at: z.int().min(0).max(LARGEST).default(0).describe('The first byte, counted from 0.'),
  order: z
    .enum(['ABCD', 'CDAB', 'BADC', 'DCBA'])
    .default('ABCD')
    .describe('Bytes as they arrive, A the most significant.'),
  length: z.int().min(1).max(65_535).optional().describe('Bytes of a text.'),
});

const command = z.strictObject({
  topic: topic.describe('Where the device takes orders.'),
  payload: z
    .union([z.string(), z.record(z.string(), z.unknown())])
    .default('{value}')
    .describe('What is sent: text, or keys and values sent as JSON; {value} stands for the value.'),
});

const word = z.union([z.boolean(), z.int()], { error: 'write a whole number, true or false' });

/** Keys of a point. */
export const addressSchema = z.strictObject({
  topic: topic.default('{topic}').describe("Where it is told; {topic} stands for the device's own topic."),
  pointer: pointer
    .optional()
    .describe('JSON pointer (RFC 6901) to the value; without it the payload itself is the value.'),
  words: z
    .record(z.string().min(1), word)
    .optional()
    .describe(
      'Words that stand for raw values, as in { open: true, closed: false }; of two for one value, the first is written.',
    ),
  binary: binary.optional().describe('The payload is bytes, not text.'),
  timestamp: pointer
    .optional()
    .describe('JSON pointer to the time of the value: since 1970 (s, ms, µs, ns), or ISO 8601 with its zone.'),
  optional: z
    .boolean()
    .default(false)
    .describe('A message without this value is about other things; it stays as it was.'),
  command: command.optional().describe('How it is written.'),
});

const topics = z.record(z.string(), z.unknown());

/** Keys of a profile's example. */
export const exampleSchema = z.strictObject({
  topics: topics
    .optional()
    .describe('Payloads by topic, as the points write it: plain ones as text, JSON as keys and values.'),
  bytes: z
    .record(
      z.string(),
      z.string().regex(/^([0-9A-Fa-f]{2}\s*)*$/, { error: 'write bytes in hexadecimal: 41 ac 00 00' }),
    )
    .optional()
    .describe('Binary payloads by topic, in hexadecimal.'),
});

/** A connection, a device, an address and an example as checked: defaults filled in, durations in milliseconds, sizes in bytes. */
export type MqttConnection = z.infer<typeof connectionSchema>;
export type MqttDevice = z.infer<typeof deviceSchema>;
export type MqttAddress = z.infer<typeof addressSchema>;
export type MqttExample = z.infer<typeof exampleSchema>;
export type Availability = z.infer<typeof availability>;
export type Binary = z.infer<typeof binary>;
export type Command = z.infer<typeof command>;
