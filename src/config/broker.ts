/** The shape of `broker:` in `gateway.yaml`: the local MQTT broker. */
import { z } from 'zod';
import { size, wait } from '../units.js';
import { isHashedPassword } from './password.js';

/** The name under which rules send to the local broker; no upstream may have it while there is one. */
export const LOCAL = 'local';

const LISTEN = 'write address:port, such as 127.0.0.1:1883, 0.0.0.0:1883 or [::1]:1883';
const place = z
  .string({ error: LISTEN })
  .refine((text) => placeOf(text) !== undefined, { error: LISTEN })
  .describe('Address and port to listen on; 0.0.0.0 is every network, port 0 any free one.');

/** A topic filter (MQTT 3.1.1 §4.7). */
const filter = z.string().min(1).refine(isTopicFilter, {
  error: 'a topic filter has + for a whole level, and # for all levels that follow, at its end alone',
});

const rights = {
  read: z.array(filter).default([]).describe('Topic filters that may be subscribed to, with all that is narrower.'),
  write: z
    .array(filter)
    .default([])
    .describe(
      'Topic filters of what may be published; site/# and what begins with $ is never among them, it belongs to the gateway.',
    ),
};

const user = z
  .strictObject({
    password: z
      .string()
      .refine((text) => text.includes('${') || isHashedPassword(text), {
        error: 'this is no hashed password',
        params: { hint: 'tidegate broker password prints one, in quotes; the password itself stands nowhere' },
      })
      .describe('The hashed password, as tidegate broker password prints it.'),
    ...rights,
  })
  .describe('One user.');

const limits = z
  .strictObject({
    clients: z.int().min(1).max(10_000).default(100).describe('Most clients at once.'),
    connects: z
      .number()
      .positive()
      .max(10_000)
      .default(10)
      .describe('Most attempts to connect per second from one address; five seconds of it at once.'),
    connect_within: wait.default(10_000).describe('Longest time from the connection to the end of CONNECT.'),
    packet: size
      .refine((bytes) => bytes >= 1_000 && bytes <= 16_000_000, { error: 'write 1kB to 16MB' })
      .default(256_000)
      .describe('Largest packet of a client that has signed in; before that 8kB.'),
    publishes: z
      .int()
      .min(1)
      .max(100_000)
      .default(1_000)
      .describe(
        'Most messages per second from one client, and all else that it sends; whoever sends more is read more slowly.',
      ),
    queue: size
      .refine((bytes) => bytes >= 100_000 && bytes <= 100_000_000, { error: 'write 100kB to 100MB' })
      .default(1_000_000)
      .describe('Most bytes that wait for one client; one that reads more slowly is cut.'),
    retained: z
      .strictObject({
        topics: z.int().min(0).max(1_000_000).default(10_000).describe('Most topics.'),
        size: size.default(16_000_000).describe('Most bytes.'),
      })
      .prefault({})
      .describe('What clients may have retained; site/# does not count.'),
  })
  .refine(({ packet, queue }) => 2 * packet <= queue, {
    path: ['queue'],
    error: 'make it twice the largest packet (packet), or whoever gets such a one is cut',
  });

/** The local MQTT broker. */
export const brokerSchema = z
  .strictObject({
    listen: place
      .default('127.0.0.1:1883')
      .describe('Address and port for MQTT without TLS; 0.0.0.0 is every network, port 0 any free one.'),
    tls: z
      .strictObject({
        listen: place,
        cert: z.string().describe('PEM file of the certificate, with those between it and its authority.'),
        key: z.string().describe("PEM file of the certificate's key."),
      })
      .optional()
      .describe('A second place to listen, with TLS.'),
    users: z
      .record(z.string().min(1).max(256), user)
      .default({})
      .describe('Who may connect, by user name, and what each may read and write.'),
    anonymous: z
      .strictObject(rights)
      .optional()
      .describe(
        'What clients without a user name may do; only those on this machine. Without it they may not connect.',
      ),
    limits: limits.prefault({}).describe('What one client may take, so that it hurts no other.'),
  })
  .describe('The local MQTT broker, for devices and programs on site; see docs/broker.md.');

/** `broker:` as checked: sizes in bytes, durations in milliseconds. */
export type BrokerConfig = Omit<z.infer<typeof brokerSchema>, 'tls'> & {
  readonly tls?: TlsConfig;
};
/** Where to listen with TLS. */
export type TlsConfig = NonNullable<z.infer<typeof brokerSchema>['tls']> & {
  /** Digest of what is in the PEM files: another one when they were renewed. */
  readonly certificates?: string;
};
/** What one user may do: topic filters. */
export interface Rights {
  readonly read: readonly string[];
  readonly write: readonly string[];
}
/** One user, with the hashed password. */
export type BrokerUser = z.infer<typeof user>;

/** Host and port of `address:port`; undefined when it is none. */
export function placeOf(text: string): { host: string; port: number } | undefined {
  const [, six, four, port = ''] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:[\]/]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = six ?? four;
  return host === undefined || Number(port) > 65_535 ? undefined : { host, port: Number(port) };
}

/** Whether only this machine itself reaches an address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^(::ffff:)?127\.\d+\.\d+\.\d+$/i.test(host);
}

/** Whether wildcards stand where they may: + for a whole level, # for the last (MQTT 3.1.1 §4.7.1). */
export function isTopicFilter(text: string): boolean {
  return text.split('/').every((level) => level === '+' || level === '#' || !/[+#]/.test(level)) && !/#./.test(text);
}
