/** The shape of `gateway.yaml`. Types, error messages, the JSON Schema for editors and `gateway.example.yaml` follow from here. */
import { z } from 'zod';
import { duration, size, wait } from '../units.js';
import { type BrokerConfig, brokerSchema } from './broker.js';
import { topicTemplate } from './topic.js';

/** Ids become topic levels, file names and CEL values, so they keep to letters, digits, `-`, `_` and `.`. */
export const id = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, {
  error: 'an id has letters, digits, "-", "_" or "." (at most 64, the first a letter or digit)',
});

/** One wire. The driver's own schema checks all keys that are not here. */
export const connectionSchema = z
  .looseObject({
    driver: z.string().describe('Field protocol: one of the folders of drivers/.'),
    discover: z
      .boolean()
      .default(false)
      .describe('Take devices that announce themselves on this wire into the register, where they wait for approval.'),
  })
  .describe('One wire.');

/** One device. The driver's own schema checks all keys that are not here. */
export const deviceSchema = z
  .looseObject({
    profile: z.string().describe('Device profile, as <vendor>/<model>.'),
    connection: id.describe('One of `connections`.'),
    tags: z.record(z.string(), z.string()).default({}).describe('Free labels, for rules to match.'),
    disabled: z.boolean().default(false).describe('Known, and not polled.'),
  })
  .describe('One device.');

/** One name or pattern, or several. */
const patterns = z
  .union([z.string(), z.array(z.string()).min(1)], { error: 'write a pattern, or a list of them' })
  .transform((written) => [written].flat());

/** What may register itself: found on a connection, fitting a profile, being what it says. */
const admissionSchema = z
  .strictObject({
    connection: id.describe('Where it is found: one of `connections`, with `discover: true` or scanned.'),
    profile: patterns.describe(
      'The profile that it comes with must be one of these (* and ? are wildcards); one that comes with none gets the one that is named.',
    ),
    identity: z
      .record(z.string(), patterns)
      .default({})
      .describe('What it must say of itself (vendor, model, …), each as a pattern or a list of them.'),
  })
  .describe('Devices that need nobody to approve them.');

const buffer = z.strictObject({
  size: size
    .default(256_000_000)
    .describe('Most bytes on disk for this upstream, log files included; see `when_full`.'),
  age: duration.optional().describe('What waits longer than this has expired. Without it, nothing expires.'),
  keep_free: size
    .optional()
    .describe(
      'Bytes of the disk that are left free; nearer to that, the file grows no more. Default: 100MB, but not more than 5 % of the disk.',
    ),
  when_full: z
    .strictObject({
      live: z
        .enum(['thin', 'drop-oldest', 'drop-newest'])
        .default('thin')
        .describe(
          'Telemetry: `thin` keeps the whole span of an outage at falling resolution (smallest, largest, last value).',
        ),
      alarm: z
        .enum(['drop-oldest', 'drop-newest'])
        .default('drop-oldest')
        .describe('Alarms; they go after all telemetry.'),
    })
    .prefault({})
    .describe('What gives way when the file is full.'),
  rejected: size
    .default(1_000_000)
    .describe(
      'Most bytes of what the broker refused for good, kept for `tidegate outbox`; within `size`, the oldest give way.',
    ),
  memory: size.default(32_000_000).describe('Most bytes waiting in memory for the disk.'),
  flush: wait.default(1_000).describe('Flush window: an event is acknowledged or on disk within this time.'),
  live_for: wait
    .default(10_000)
    .describe('Telemetry that leaves later than this after its birth is backlog, marked `late`.'),
  durability: z
    .enum(['window', 'strict'])
    .default('window')
    .describe('`window`: see `flush`. `strict`: on disk before it is published.'),
});

const BROKER = 'write mqtt://host:port or mqtts://host:port';

/** Where events go: an MQTT broker. */
export const upstreamSchema = z
  .strictObject({
    url: z
      .string()
      .refine((text) => !text.includes('@'), {
        error: 'a user or password does not belong in the address',
        params: { hint: 'write them as `username:` and `password:`, the password as a placeholder' },
        abort: true,
      })
      .refine(isBroker, { error: BROKER })
      .describe('Broker: mqtt://host:port, or mqtts://host:port for TLS.'),
    version: z.enum(['auto', '3.1.1', '5']).default('auto').describe('MQTT version; `auto` tries 5, then 3.1.1.'),
    client_id: z.string().min(1).optional().describe('MQTT client id; by default tidegate-<gateway>-<upstream>.'),
    username: z.string().optional().describe('User name for the broker.'),
    password: z
      .string()
      .optional()
      .describe('Name an environment variable or a file, never the secret itself: see gateway.example.yaml.'),
    ca: z
      .string()
      .optional()
      .describe('PEM file of the authority to trust, instead of the system ones; relative to this file.'),
    cert: z.string().optional().describe('PEM file of the client certificate.'),
    key: z.string().optional().describe("PEM file of the client certificate's key."),
    keepalive: wait
      .refine((milliseconds) => milliseconds >= 1_000 && milliseconds <= 65_535_000, { error: 'write 1s to 18h' })
      .default(30_000)
      .describe('Longest silence before the broker is asked whether it is there.'),
    connect_timeout: wait.default(10_000).describe('Longest wait for the broker to accept a connection.'),
    ack_timeout: wait
      .default(30_000)
      .describe(
        'A connection on which the oldest message is not acknowledged for this long is given up and opened again.',
      ),
    reconnect: z
      .strictObject({
        min: wait.default(1_000).describe('First pause after a lost connection.'),
        max: wait.default(60_000).describe('Longest pause; each pause doubles, with jitter.'),
      })
      .prefault({})
      .describe('Pauses between attempts to connect.'),
    in_flight: z.int().min(1).max(1000).default(32).describe('Most messages published and not yet acknowledged.'),
    payload: z.enum(['json']).default('json').describe('Payload format.'),
    topic: topicTemplate(['gateway', 'device', 'profile', 'upstream'])
      .default('tidegate/{gateway}/{device}/telemetry')
      .describe('Topic template: {gateway}, {device}, {profile}, {upstream}, {tag.NAME}.'),
    status_topic: topicTemplate(['gateway', 'upstream'])
      .default('tidegate/{gateway}/status')
      .describe('Where birth and last will are retained: {gateway}, {upstream}.'),
    device_topic: topicTemplate(['gateway', 'device', 'profile', 'upstream'])
      .default('tidegate/{gateway}/{device}/status')
      .describe(
        'Where each device is told, retained, when it comes, goes or changes: {gateway}, {device}, {profile}, {upstream}, {tag.NAME}.',
      ),
    gap_topic: topicTemplate(['gateway', 'upstream'])
      .default('tidegate/{gateway}/gap')
      .describe('Where removed events are reported: {gateway}, {upstream}.'),
    order: z
      .enum(['lanes', 'strict'])
      .default('lanes')
      .describe(
        '`lanes`: alarms, then live data, then the backlog. `strict`: alarms, then all else in one sequence, oldest first.',
      ),
    backlog: z
      .strictObject({
        max_share: z
          .number()
          .positive()
          .max(1)
          .default(0.5)
          .describe(
            'Share of `in_flight` that the backlog may take; less while the broker acknowledges slowly or refuses.',
          ),
        max_rate: z
          .int()
          .min(1)
          .optional()
          .describe('Most readings of the backlog per second. Without it: as fast as the broker takes them.'),
      })
      .prefault({})
      .describe('How fast what waited follows after an outage.'),
    buffer: buffer.prefault({}).describe('What is kept while the broker cannot be reached.'),
  })
  .describe('One MQTT broker that events go to.');

/** The whole of `gateway.yaml`. */
export const gatewaySchema = z.strictObject({
  gateway: id.describe('Name of this gateway, unique among those that share a broker.'),
  data: z.string().min(1).default('data').describe('Folder for state (outboxes); relative to this file.'),
  profiles: z
    .string()
    .min(1)
    .default('device-profiles')
    .describe('Folder of own profiles; relative to this file. Shipped ones are found without it.'),
  rules: z
    .string()
    .min(1)
    .default('rules')
    .describe(
      'Folder of rules; relative to this file. Without rule files everything goes to every upstream, and to the local broker.',
    ),
  plugins: z
    .array(z.string().min(1))
    .default([])
    .describe(
      'Drivers that do not come with Tidegate: paths from this file (./drivers/acme.js), or installed packages. They run with all rights of the gateway.',
    ),
  watch: z
    .boolean()
    .default(false)
    .describe('Take up changes of this file, and of what it names, while the gateway runs; see docs/reload.md.'),
  log: z
    .strictObject({
      level: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('Least important lines to write.'),
    })
    .prefault({})
    .describe('Logging.'),
  connections: z.record(id, connectionSchema).default({}).describe('Wires to devices, by id.'),
  devices: z.record(id, deviceSchema).default({}).describe('Devices, by id.'),
  broker: brokerSchema.optional(),
  register: z
    .array(admissionSchema)
    .default([])
    .describe('Which of the devices that are found run without being approved by hand, and with which profile.'),
  upstreams: z.record(id, upstreamSchema).default({}).describe('Brokers that events go to, by id.'),
});

function isBroker(text: string): boolean {
  if (!/^mqtts?:\/\/[^/?#\s]+$/.test(text) || !URL.canParse(text)) return false;
  const { hostname, port } = new URL(text);
  return hostname !== '' && port !== '0';
}

/** `gateway.yaml` as checked: defaults filled in, durations in milliseconds, sizes in bytes, secrets resolved. */
export type GatewayConfig = Omit<z.infer<typeof gatewaySchema>, 'upstreams' | 'broker'> & {
  readonly upstreams: Readonly<Record<string, UpstreamConfig>>;
  /** Absent: there is no local broker. */
  readonly broker?: BrokerConfig | undefined;
};
export type UpstreamConfig = z.infer<typeof upstreamSchema> & {
  /** Digest of what is in the PEM files: another one when they were renewed. */
  readonly certificates?: string;
};
export type BufferConfig = UpstreamConfig['buffer'];
