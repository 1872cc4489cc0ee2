/** mbpoll (on libmodbus) writes to what we simulate and reads it back; `tidegate read` must see the same numbers. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTidegate, tidegate, writeSite } from './gateway.js';
import { missing, type Program, run } from './programs.js';

const why = missing('mbpoll');

describe.skipIf(why)(`a simulated device and mbpoll${why ? `: ${why}` : ''}`, () => {
  let simulator: Program;
  let port: number;
  let file: string;

  /** Words of mbpoll: a table and a form, an address, and values to write. Gives what it printed for each address. */
  function mbpoll(form: readonly string[], address: number, ...values: string[]): string[] {
    const common = ['-m', 'tcp', '-p', String(port), '-a', '1', '-0', '-r', String(address), '-1', '-q'];
    const said = run('mbpoll', [...common, ...form, '--', '127.0.0.1', ...values]);
    return [...said.matchAll(/^\[\d+\]:\s+(\S+)/gm)].map(([, value = '']) => value);
  }

  /** What `tidegate read` says of one point. */
  function read(point: string): unknown {
    const { stdout } = tidegate('read', 'press-1', point, '--config', file, '--json');
    return (JSON.parse(stdout) as { points: { value: unknown }[] }).points[0]?.value;
  }

  beforeAll(async () => {
    const profile = `profile: interop/press
title: Writable points
driver: modbus
defaults: { access: read-write }
points:
  float: { address: 10, type: float32 }
  float_cdab: { address: 20, type: float32, order: CDAB }
  long: { address: 30, type: int32 }
  long_cdab: { address: 40, type: int32, order: CDAB }
  words: { address: 50, type: uint16 }
  enable: { table: coil, address: 5, type: bool }
`;
    const site = (tcp: string) => `gateway: bench-4
connections: { plc: { driver: modbus, tcp: "${tcp}" } }
devices: { press-1: { profile: interop/press, connection: plc } }
`;
    const serves = writeSite({
      'gateway.yaml': site('127.0.0.1:502'),
      'device-profiles/interop/press.yaml': profile,
    });
    simulator = startTidegate(['simulate', `${serves}/gateway.yaml`, '--port', '0', '--json']);
    const { connections } = JSON.parse(await simulator.line((line) => line.startsWith('{')));
    port = connections[0].port;
    const reads = writeSite({
      'gateway.yaml': site(`127.0.0.1:${port}`),
      'device-profiles/interop/press.yaml': profile,
    });
    file = `${reads}/gateway.yaml`;
  });

  afterAll(() => simulator?.stop());

  test.each([
    ['float', ['-t', '4:float', '-B'], 10, '230.15', 230.15],
    ['float_cdab', ['-t', '4:float'], 20, '-17.25', -17.25],
    ['long', ['-t', '4:int', '-B'], 30, '-123456789', -123456789],
    ['long_cdab', ['-t', '4:int'], 40, '123456789', 123456789],
    ['words', ['-t', '4'], 50, '4711', 4711],
    ['enable', ['-t', '0'], 5, '1', true],
  ] as const)('%s', (point, form, address, written, value) => {
    mbpoll(form, address, written);
    expect(mbpoll(form, address)).toEqual([written]);
    expect(read(point)).toBe(value);
  });

  test('an address that the device does not have is refused', () => {
    expect(() => mbpoll(['-t', '4'], 4000)).toThrow(/Illegal data address/);
  });
});
