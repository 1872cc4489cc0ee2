import { describe, expect, test } from 'vitest';
import { modbus } from '../../drivers/modbus/index.js';
import { limitsOf, lineOf, serialOf } from '../../drivers/modbus/schema.js';
import { pointOf } from '../support/modbus-points.js';

const messages = (schema: typeof modbus.connection, value: unknown): string[] =>
  schema.safeParse(value).error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ?? [];

describe('a connection', () => {
  test('needs no more than a host', () => {
    expect(modbus.connection.parse({ tcp: '10.0.0.5' })).toEqual({
      tcp: { host: '10.0.0.5', port: 502 },
      timeout: 1_000,
      in_flight: 1,
      pause: 0,
      max_registers: 125,
      max_bits: 2_000,
      max_gap: 16,
      forbidden: [],
    });
  });

  test('takes names, addresses of both families, and a port', () => {
    const hostAndPort = (tcp: string): unknown => modbus.connection.parse({ tcp }).tcp;
    expect(hostAndPort('meter.local:1502')).toEqual({ host: 'meter.local', port: 1502 });
    expect(hostAndPort('[fe80::1%eth0]:502')).toEqual({ host: 'fe80::1%eth0', port: 502 });
    expect(hostAndPort('[::1]')).toEqual({ host: '::1', port: 502 });
  });

  test('says how it is written', () => {
    const how = 'tcp: write host:port, such as 10.0.0.5:502 or [fe80::1]:502 (the port may be left out)';
    for (const tcp of ['', 'tcp://10.0.0.5', '10.0.0.5:', 'a b', '::1', 502])
      expect(messages(modbus.connection, { tcp })).toEqual([how]);
    expect(messages(modbus.connection, { tcp: 'plc:0' })).toEqual(['tcp: a port is 1 to 65535']);
    expect(messages(modbus.connection, { tcp: 'plc', forbidden: [[5, 3]] })).toEqual([
      'forbidden.0: write [first, last], the lower address first',
    ]);
  });

  test('is one wire, with the keys of that wire', () => {
    expect(messages(modbus.connection, {})).toEqual([': where the devices are is missing']);
    expect(messages(modbus.connection, { tcp: 'plc', serial: '/dev/ttyUSB0' })).toEqual([
      'serial: a connection is one wire: tcp or serial, not both',
    ]);
    expect(messages(modbus.connection, { tcp: 'plc', parity: 'odd' })).toEqual([
      'parity: only a serial line has parity',
    ]);
    expect(messages(modbus.connection, { serial: '/dev/ttyUSB0', framing: 'tcp' })).toEqual([
      'framing: a serial line takes rtu or ascii',
    ]);
    expect(messages(modbus.connection, { tcp: 'plc', framing: 'rtu', in_flight: 2 })).toEqual([
      'in_flight: rtu takes one request at a time',
    ]);
    expect(messages(modbus.connection, { udp: 'plc', in_flight: 2 })).toEqual([
      'in_flight: over UDP one request goes at a time',
    ]);
    expect(messages(modbus.connection, { serial: 'ttyUSB0' })).toEqual([
      'serial: write the path of a port, such as /dev/serial/by-id/… or /dev/ttyUSB0',
    ]);
  });

  test('a serial line rests 3.5 characters between frames, and above 19,200 baud 1.75 ms', () => {
    const line = (more: object) => lineOf(modbus.connection.parse({ serial: '/dev/ttyUSB0', ...more }));
    expect(line({})).toEqual({ byteTime: 10_000 / 9_600, silence: 35_000 / 9_600 });
    expect(line({ parity: 'even', stop_bits: 2 })?.byteTime).toBe(12_000 / 9_600);
    expect(serialOf(modbus.connection.parse({ serial: '/dev/ttyUSB0', framing: 'ascii' }))).toMatchObject({
      baud: 9_600,
      dataBits: 7,
    });
    expect(line({ baud: 38_400 })?.silence).toBe(1.75);
  });

  test("gives way to a device's own limits", () => {
    const connection = modbus.connection.parse({ tcp: 'plc', max_gap: 3, forbidden: [[1, 2]] });
    expect(limitsOf(connection, modbus.device.parse({}))).toMatchObject({ maxGap: 3, forbidden: [[1, 2]] });
    const device = modbus.device.parse({ max_gap: 0, max_bits: 8, forbidden: [] });
    expect(limitsOf(connection, device)).toEqual({ maxRegisters: 125, maxBits: 8, maxGap: 0, forbidden: [] });
  });
});

describe('an example', () => {
  const points = [
    pointOf('float32', { table: 'input', address: 0x34 }),
    pointOf('uint16', { address: 1 }),
    pointOf('bool', { table: 'coil', address: 3 }),
    pointOf('bool', { table: 'discrete', address: 3 }),
  ];
  const decode = (example: Record<string, unknown>): (string | undefined)[] => {
    const { values, flaws } = modbus.decodeExample(points, modbus.example.parse(example));
    return values.map((value, index) => flaws?.get(index)?.reason ?? String(value));
  };

  test('is read by address, in decimal or hexadecimal', () => {
    const words = { '52': [0x4366, 0x8000], '0x01': [7] };
    expect(decode({ words, bits: { 2: [0, 1] } })).toEqual(['230.5', '7', 'true', 'true']);
  });

  test('may name the table', () => {
    expect(
      decode({ input: { 52: [0x4366, 0x8000] }, holding: { 1: [8] }, coil: { 3: [true] }, discrete: { 3: [0] } }),
    ).toEqual(['230.5', '8', 'true', 'false']);
  });

  test('says what it does not cover', () => {
    expect(decode({ words: { 52: [0x4366] } })).toEqual([
      'the example has no input 53',
      'the example has no holding 1',
      'the example has no coil 3',
      'the example has no discrete 3',
    ]);
    expect(decode({ input: { 52: [0x7fc0, 0] } })[0]).toBe('not a number');
  });
});
