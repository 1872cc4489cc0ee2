/** What people write for Modbus: connections, devices, addresses of points, examples. Every default is here. */
import { z } from 'zod';
import { pause, wait } from '../../src/units.js';

/** The four tables of the Modbus data model (Modbus Application Protocol V1.1b3 §4.3). */
export const TABLES = ['coil', 'discrete', 'input', 'holding'] as const;
export type Table = (typeof TABLES)[number];

/** Tables of single bits; the others are tables of 16-bit registers. */
export const isBitTable = (table: Table): boolean => table === 'coil' || table === 'discrete';

/** Bytes as they arrive, `A` the most significant: in 32-bit letters, and the same permutations in 64-bit letters. */
export const ORDERS = ['ABCD', 'CDAB', 'BADC', 'DCBA', 'ABCDEFGH', 'GHEFCDAB', 'BADCFEHG', 'HGFEDCBA'] as const;
export type Order = (typeof ORDERS)[number];

const HOST_AND_PORT = /^(?:\[([0-9A-Fa-f:.%a-z]+)\]|([^\s:/[\]]+))(?::(\d{1,5}))?$/;
const HOST_HINT = { error: 'write host:port, such as 10.0.0.5:502 or [fe80::1]:502 (the port may be left out)' };

const hostAndPort = z
  .string(HOST_HINT)
  .regex(HOST_AND_PORT, { ...HOST_HINT, abort: true })
  .transform((text) => {
    const [, six, name, port] = HOST_AND_PORT.exec(text) ?? [];
    return { host: six ?? name ?? '', port: port === undefined ? 502 : Number(port) };
  })
  .refine(({ port }) => port >= 1 && port <= 65_535, { error: 'a port is 1 to 65535' });

const address = z.int().min(0).max(65_535);
const range = z
  .tuple([address, address])
  .refine(([from, to]) => from <= to, { error: 'write [first, last], the lower address first' });

const maxRegisters = z.int().min(1).max(125).describe('Most registers in one read request (the protocol allows 125).');
const maxBits = z
  .int()
  .min(1)
  .max(2000)
  .describe('Most coils or discrete inputs in one read request (the protocol allows 2000).');
const maxGap = z
  .int()
  .min(0)
  .max(2000)
  .describe('Most addresses between two points that are read along, unused, to save a request.');
const forbidden = z
  .array(range)
  .describe('Address ranges [first, last] that are never read, in any table, not even between two points.');

/** Ways to put frames on a wire: as Modbus TCP does, or as on serial lines. */
export const FRAMINGS = ['tcp', 'rtu', 'ascii'] as const;
export type FramingName = (typeof FRAMINGS)[number];

const connectionKeys = z.strictObject({
  tcp: hostAndPort.optional().describe('Host and port of the device or gateway; port 502 when left out.'),
  udp: hostAndPort.optional().describe('The same over UDP.'),
  serial: z
    .string()
    .regex(/^(\/|COM\d)/, { error: 'write the path of a port, such as /dev/serial/by-id/… or /dev/ttyUSB0' })
    .optional()
    .describe('Path of a serial port; /dev/serial/by-id/… stays the same whatever else is plugged in.'),
  framing: z
    .enum(FRAMINGS)
    .optional()
    .describe(
      '`tcp`: Modbus TCP. `rtu` and `ascii`: as on serial lines, also through a gateway that passes bytes on. Default: rtu for `serial`, else tcp.',
    ),
  baud: z
    .int()
    .min(50)
    .max(4_000_000)
    .optional()
    .describe(
      'Bits per second of the serial line, also of one behind a gateway: lets reads be planned by what they cost. Default of `serial`: 9600.',
    ),
  parity: z.enum(['none', 'even', 'odd']).optional().describe('Parity of the serial line. Default: none.'),
  data_bits: z
    .union([z.literal(7), z.literal(8)])
    .optional()
    .describe('Data bits of the serial line. Default: 8, and 7 with `framing: ascii`.'),
  stop_bits: z
    .union([z.literal(1), z.literal(2)])
    .optional()
    .describe('Stop bits of the serial line. Default: 1.'),
  echo: z.boolean().optional().describe('True for serial adapters that give back what they send.'),
  timeout: wait.default(1_000).describe('How long to wait for one reply.'),
  in_flight: z
    .int()
    .min(1)
    .max(64)
    .default(1)
    .describe('Requests sent before the first is answered. More than 1 only where the device is known to allow it.'),
  pause: pause.default(0).describe('Pause between a reply and the next request, for slow gateways and devices.'),
  max_registers: maxRegisters.default(125),
  max_bits: maxBits.default(2000),
  max_gap: maxGap.default(16),
  forbidden: forbidden.default([]),
});

/** Keys that mean nothing without `serial`. */
const SERIAL_KEYS = ['parity', 'data_bits', 'stop_bits', 'echo'] as const;

/** Keys of a connection. */
export const connectionSchema = connectionKeys.superRefine((written, context) => {
  const { tcp, udp, serial, framing, in_flight } = written;
  const say = (path: string[], message: string, hint?: string): void =>
    context.addIssue({ code: 'custom', path, message, ...(hint !== undefined && { params: { hint } }) });
  const wires = Object.keys({ ...(tcp && { tcp }), ...(udp && { udp }), ...(serial && { serial }) });
  if (wires.length === 0)
    say([], 'where the devices are is missing', 'write tcp: host:port, serial: /dev/ttyUSB0 or udp: host:port');
  for (const one of wires.slice(1)) say([one], `a connection is one wire: ${wires[0]} or ${one}, not both`);
  for (const key of SERIAL_KEYS)
    if (!serial && written[key] !== undefined) say([key], `only a serial line has ${key}`, `remove ${key}`);
  if (serial && framing === 'tcp') say(['framing'], 'a serial line takes rtu or ascii');
  if (in_flight > 1 && framingOf(written) !== 'tcp')
    say(['in_flight'], `${framingOf(written)} takes one request at a time`, 'remove in_flight');
  if (in_flight > 1 && udp) say(['in_flight'], 'over UDP one request goes at a time', 'remove in_flight');
});

/** Keys of a device; what it leaves out, its connection says. */
export const deviceSchema = z.strictObject({
  unit: z
    .int()
    .min(0)
    .max(255)
    .default(1)
    .describe('Unit id: which device behind a gateway; devices with their own address mostly take any.'),
  max_registers: maxRegisters.optional(),
  max_bits: maxBits.optional(),
  max_gap: maxGap.optional(),
  forbidden: forbidden.optional(),
});

/** Keys of a point. */
export const addressSchema = z.strictObject({
  table: z.enum(TABLES).default('holding').describe('coil and holding can be written; discrete and input only read.'),
  address: address.describe('Address on the wire, counted from 0: "register 40001" in a manual is holding, address 0.'),
  order: z
    .enum(ORDERS)
    .default('ABCD')
    .describe(
      'Bytes as they arrive, A the most significant. 16-bit values and text follow the order within a register.',
    ),
  bit: z.int().min(0).max(15).optional().describe('One bit of a register, 0 the least significant; makes a bool.'),
  bits: z
    .tuple([z.int().min(0).max(31), z.int().min(0).max(31)])
    .refine(([low, high]) => low <= high, { error: 'write [lowest, highest] bit' })
    .optional()
    .describe('Bits [lowest, highest] of an integer; signed types extend the sign.'),
  length: z.int().min(1).max(125).optional().describe('Registers that a string takes, two characters each.'),
  encoding: z.enum(['utf8', 'latin1']).default('utf8').describe('Characters of a string. ASCII is both.'),
});

const word = z.int().min(0).max(0xffff);
const at = z.string().regex(/^(?:\d+|0x[0-9A-Fa-f]+)$/, { error: 'an address is a number, such as 52 or 0x34' });
const words = z.record(at, z.array(word));
const bits = z.record(at, z.array(z.union([z.literal(0), z.literal(1), z.boolean()])));

/** Keys of a profile's example: what is on the wire, by address. */
export const exampleSchema = z.strictObject({
  words: words.optional().describe('Registers from an address on, in whichever register table the points use.'),
  bits: bits.optional().describe('Bits from an address on, in whichever bit table the points use.'),
  holding: words.optional().describe('Holding registers from an address on.'),
  input: words.optional().describe('Input registers from an address on.'),
  coil: bits.optional().describe('Coils from an address on.'),
  discrete: bits.optional().describe('Discrete inputs from an address on.'),
});

/** A connection, a device, an address and an example as checked: defaults filled in, durations in milliseconds. */
export type ModbusConnection = z.infer<typeof connectionSchema>;
export type ModbusDevice = z.infer<typeof deviceSchema>;
export type ModbusAddress = z.infer<typeof addressSchema>;
export type ModbusExample = z.infer<typeof exampleSchema>;

/** The framing of a connection. */
export function framingOf({ framing, serial }: { framing?: FramingName; serial?: string }): FramingName {
  return framing ?? (serial === undefined ? 'tcp' : 'rtu');
}

/** A serial port. */
export interface SerialSettings {
  readonly path: string;
  /** Bits per second. */
  readonly baud: number;
  readonly parity: 'none' | 'even' | 'odd';
  readonly dataBits: 7 | 8;
  readonly stopBits: 1 | 2;
  /** True where our own bytes come back. */
  readonly echo: boolean;
}

/** What the speed of a serial line means. */
export interface LineTimes {
  /** Milliseconds that one character takes. */
  readonly byteTime: number;
  /** Least milliseconds between two frames: 3.5 characters, but 1.75 ms above 19,200 baud (Modbus over Serial Line V1.02 §2.5.1.1). */
  readonly silence: number;
}

/** The serial port of a connection that has one. */
export function serialOf(connection: ModbusConnection): SerialSettings | undefined {
  const { serial: path, baud = 9_600, parity = 'none', stop_bits: stopBits = 1, echo = false } = connection;
  if (path === undefined) return undefined;
  const dataBits = dataBitsOf(connection);
  return { path, baud, parity, dataBits, stopBits, echo };
}

/** The times of the serial line of a connection, or of the one behind its gateway when its speed is told. */
export function lineOf(connection: ModbusConnection): LineTimes | undefined {
  const {
    serial,
    parity = 'none',
    stop_bits: stopBits = 1,
    baud = serial === undefined ? undefined : 9_600,
  } = connection;
  if (baud === undefined) return undefined;
  const byteTime = (1000 * (1 + dataBitsOf(connection) + (parity === 'none' ? 0 : 1) + stopBits)) / baud;
  return { byteTime, silence: baud > 19_200 ? 1.75 : 3.5 * byteTime };
}

function dataBitsOf(connection: ModbusConnection): 7 | 8 {
  return connection.data_bits ?? (framingOf(connection) === 'ascii' ? 7 : 8);
}

/** How requests may be joined. */
export interface Limits {
  readonly maxRegisters: number;
  readonly maxBits: number;
  readonly maxGap: number;
  /** Inclusive ranges. */
  readonly forbidden: readonly (readonly [number, number])[];
}

/** The limits of one device: its own, else its connection's. */
export function limitsOf(connection: ModbusConnection, device: ModbusDevice): Limits {
  return {
    maxRegisters: device.max_registers ?? connection.max_registers,
    maxBits: device.max_bits ?? connection.max_bits,
    maxGap: device.max_gap ?? connection.max_gap,
    forbidden: device.forbidden ?? connection.forbidden,
  };
}
