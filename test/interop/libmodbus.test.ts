/**
 * libmodbus's own test server, whose special addresses misbehave: 0x170 answers with an exception, 0x171 as another transaction, 0x172 after
 * 0.5 s, 0x173 byte by byte; two registers at once are answered with one. It takes one connection, on port 1502, and ends with it.
 */
import { readFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { tidegate, writeSite } from './gateway.js';
import { type Program, start } from './programs.js';

const SERVER = process.env.LIBMODBUS_SERVER;
const why = SERVER === undefined ? 'LIBMODBUS_SERVER is not set (test/interop/build-libmodbus-server builds it)' : '';

describe.skipIf(why)(`libmodbus's test server${why && `: ${why}`}`, () => {
  let server: Program;
  beforeEach(async () => {
    server = start(SERVER ?? '', []);
    // It says nothing when it listens, and a connection to try it would be its last: the kernel's list of listeners tells.
    const listens = () => / 0100007F:05DE 00000000:0000 0A /.test(readFileSync('/proc/net/tcp', 'utf8'));
    while (!listens()) await setImmediate();
  });
  afterEach(() => server.stop('SIGKILL'));

  /** What `tidegate read` says of each point: its value, or why it has none. */
  function read(timeout: string, ...points: string[]): Record<string, unknown> {
    const folder = writeSite({
      'gateway.yaml': `gateway: bench-6
connections: { plc: { driver: modbus, tcp: "127.0.0.1:1502", timeout: ${timeout}, max_registers: 2, max_gap: 0 } }
devices: { server: { profile: interop/libmodbus, connection: plc, unit: 255 } }
`,
      'device-profiles/interop/libmodbus.yaml': `profile: interop/libmodbus
title: Addresses of tests/unit-test.h
driver: modbus
points:
  input: { table: input, address: 0x108, type: uint16 }
  discrete_0: { table: discrete, address: 0x1c4, type: bool }
  discrete_2: { table: discrete, address: 0x1c6, type: bool }
  plain: { address: 0x160, type: uint16 }
  busy: { address: 0x170, type: uint16 }
  foreign: { address: 0x171, type: uint16 }
  late: { address: 0x172, type: uint16 }
  slow: { address: 0x173, type: uint16 }
  short: { address: 0x165, type: uint32 }
  beyond: { address: 0x180, type: uint16 }
`,
    });
    const { stdout } = tidegate('read', 'server', ...points, '--config', `${folder}/gateway.yaml`, '--json');
    const told = (JSON.parse(stdout) as { points: { id: string; value: unknown; reason?: string }[] }).points;
    return Object.fromEntries(told.map(({ id, value, reason }) => [id, value ?? reason]));
  }

  test('what is there is read', () => {
    expect(read('1s', 'plain', 'input', 'discrete_0', 'discrete_2')).toEqual({
      plain: 0,
      input: 10,
      discrete_0: false,
      discrete_2: true,
    });
  });

  test('an exception makes one point bad', () => {
    const { busy, input } = read('1s', 'busy', 'input');
    expect(busy).toMatch(/exception 06/);
    expect(input).toBe(10);
  });

  test('an address that is not there makes one point bad', () => {
    const { beyond, plain } = read('1s', 'plain', 'beyond');
    expect(beyond).toMatch(/exception 02/);
    expect(plain).toBe(0);
  });

  test("another transaction's reply is nobody's", () => {
    const { foreign } = read('300ms', 'foreign');
    expect(foreign).toEqual(expect.any(String));
  });

  test('fewer registers than asked for are no value', () => {
    const { short } = read('1s', 'short');
    expect(short).toEqual(expect.any(String));
  });

  test('a reply that comes late, but in time, is taken', () => {
    expect(read('2s', 'late', 'input')).toEqual({ late: 0, input: 10 });
  });

  test('a reply that comes too late is not', () => {
    expect(read('100ms', 'late').late).toMatch(/timeout/);
  });

  test('a reply that comes byte by byte is put together', () => {
    expect(read('1s', 'slow', 'input')).toEqual({ slow: 0, input: 10 });
  });
});
