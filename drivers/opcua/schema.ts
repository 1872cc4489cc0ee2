/** What people write for OPC UA: connections, devices, points, examples. Every default is here. */
import { z } from 'zod';
import { pause, wait } from '../../src/units.js';
import { parseBrowsePath, parseNodeId } from './address.js';
import { BUILT_IN } from './built-in.js';

/** Security policies (OPC UA Part 7 §6.6.2), by the end of their URI. The deprecated ones (Basic128Rsa15, Basic256) are not spoken. */
export const POLICIES = ['None', 'Basic256Sha256', 'Aes128_Sha256_RsaOaep', 'Aes256_Sha256_RsaPss'] as const;

/** What security does to each message: it cannot be forged, or neither forged nor read (OPC UA Part 4 §7.20). */
export const MODES = ['Sign', 'SignAndEncrypt'] as const;

const URL_HINT = { error: 'write opc.tcp://host:port/path, such as opc.tcp://10.0.0.9:4840' };
const ENDPOINT = /^opc\.tcp:\/\/(?:\[[0-9A-Fa-f:.%a-z]+\]|[^\s:/[\]@]+)(?::\d{1,5})?(?:\/\S*)?$/;

/** Keys of a connection. */
export const connectionSchema = z
  .strictObject({
    endpoint: z
      .string(URL_HINT)
      .regex(ENDPOINT, URL_HINT)
      .describe('Where the server listens: opc.tcp://host:port/path.'),
    security: z
      .enum(POLICIES)
      .default('Basic256Sha256')
      .describe(
        'Security policy. What is written is used, or nothing: there is no fallback. `None` neither proves who the server is nor hides anything.',
      ),
    mode: z.enum(MODES).optional().describe('Whether messages are only signed, or encrypted too (the default).'),
    username: z.string().min(1).optional().describe('User to sign in as; nobody (anonymous) when left out.'),
    password: z.string().optional().describe('Name an environment variable or a file, never the secret itself.'),
    certificate: z
      .string()
      .optional()
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is what people write
      .describe('Certificate to sign in with, as PEM text: name its file, as in ${file:user.pem}.'),
    key: z.string().optional().describe("That certificate's private key, as PEM text."),
    accept_expired: z
      .boolean()
      .default(false)
      .describe("Go on with a server's approved certificate that has expired or is not valid yet."),
    timeout: wait.default(5_000).describe('How long to wait for one answer of the server.'),
    connect_timeout: wait
      .default(15_000)
      .describe('How long each step of connecting may take: finding, securing, signing in.'),
    publishing: wait
      .refine((milliseconds) => milliseconds >= 10, { error: 'write at least 10ms' })
      .default(500)
      .describe('How often the server tells what changed.'),
    keep_alive: wait
      .refine((milliseconds) => milliseconds >= 100, { error: 'write at least 100ms' })
      .default(5_000)
      .describe('Longest silence before the server is asked whether it is there.'),
    max_nodes: z
      .int()
      .min(1)
      .max(10_000)
      .default(1_000)
      .describe('Most nodes in one request; what the server says of its own limits counts too.'),
  })
  .refine(({ security, mode }) => security !== 'None' || mode === undefined, {
    path: ['mode'],
    error: 'security: None neither signs nor encrypts: remove mode, or name a security policy',
  })
  .refine(({ username, password }) => password === undefined || username !== undefined, {
    path: ['password'],
    error: 'a password needs a username',
  })
  .refine(({ certificate, key }) => (certificate === undefined) === (key === undefined), {
    path: ['certificate'],
    error: 'write both certificate and key',
  })
  .refine(({ username, certificate }) => username === undefined || certificate === undefined, {
    path: ['certificate'],
    error: 'sign in with a username or with a certificate, not both',
  });

const nodeId = z.string().superRefine((text, context) => {
  const wrong = parseNodeId(text);
  if (typeof wrong === 'string') context.addIssue({ code: 'custom', message: wrong });
});

const browsePath = z.string().superRefine((text, context) => {
  const wrong = parseBrowsePath(text);
  if (typeof wrong === 'string') context.addIssue({ code: 'custom', message: wrong });
});

/** Keys of a device. */
export const deviceSchema = z.strictObject({
  root: z
    .string()
    .superRefine((text, context) => {
      const wrong = text.startsWith('/') ? parseBrowsePath(text) : parseNodeId(text);
      if (typeof wrong === 'string') context.addIssue({ code: 'custom', message: wrong });
    })
    .optional()
    .describe("The object that is this device, by node id or by path: where the points' relative paths begin."),
});

/** Keys of a point. */
export const addressSchema = z
  .strictObject({
    node: nodeId
      .optional()
      .describe(
        'Node id with the URI of its namespace, `nsu=http://acme.com/UA/;s=Press.Temp`; `i=2258` is of the standard itself.',
      ),
    path: browsePath
      .optional()
      .describe(
        "Names from `/Objects` on, or from the device's `root` on when it does not begin with `/`: `/Objects/nsu=http://acme.com/UA/;Press`.",
      ),
    range: z
      .string()
      .regex(/^\d+(:\d+)?(,\d+(:\d+)?)*$/, { error: 'write an index, or first:last, such as 3 or 0:9' })
      .optional()
      .describe('Part of an array: an index, or first:last, counted from 0; one for each dimension.'),
    mode: z
      .enum(['subscribe', 'poll'])
      .default('subscribe')
      .describe('Whether the server tells of changes, or is asked every time.'),
    sampling: pause
      .optional()
      .describe('How often the server looks at the value, 0ms for as often as it can; `every` when left out.'),
    queue: z.int().min(1).max(10_000).default(1).describe('Most values that the server keeps between two publishings.'),
    server_deadband: z
      .union(
        [
          z.number().positive(),
          z
            .string()
            .regex(/^\d+(\.\d+)?%$/)
            .refine((text) => Number.parseFloat(text) <= 100),
        ],
        { error: 'write a number, or a percentage of the range such as 2%' },
      )
      .optional()
      .describe("Smallest change that the server tells: in raw units, or a percentage of the variable's EURange."),
  })
  .refine(({ node, path }) => (node === undefined) !== (path === undefined), {
    error: 'write node or path (and not both)',
  });

const builtIn = z
  .partialRecord(z.enum([...BUILT_IN.keys(), 'status']), z.unknown())
  .refine((written) => Object.keys(written).length === 1, {
    error: 'write one type and its value, as { Double: 21.5 }',
  });

/** Keys of a profile's example. */
export const exampleSchema = z.strictObject({
  nodes: z
    .record(z.string(), builtIn)
    .optional()
    .describe(
      'What variables hold, by `node` or `path` as the points write it: `{ Double: 21.5 }`, or `{ status: BadNotConnected }`.',
    ),
});

/** A connection, a device, an address and an example as checked: defaults filled in, durations in milliseconds. */
export type OpcuaConnection = z.infer<typeof connectionSchema>;
export type OpcuaDevice = z.infer<typeof deviceSchema>;
export type OpcuaAddress = z.infer<typeof addressSchema>;
export type OpcuaExample = z.infer<typeof exampleSchema>;
