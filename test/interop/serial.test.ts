/** Serial lines, on a pair of ptys: pymodbus answers what we ask in RTU and ASCII, mbpoll asks what we simulate. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { hasSocat, type SerialPair, serialPair } from '../support/pty.js';
import { startTidegate, tidegate, writeSite } from './gateway.js';
import { PYMODBUS, startSerialServer } from './modbus-server.js';
import { missing, run } from './programs.js';

const why = hasSocat ? missing(PYMODBUS, 'python:serial_asyncio', 'mbpoll') : 'not installed: socat';

const PROFILE = `profile: interop/line
title: A few points
driver: modbus
points:
  power: { address: 100, type: float32 }
  counter: { address: 110, type: uint64 }
  running: { table: coil, address: 3, type: bool }
  setpoint: { address: 300, type: uint16, access: read-write }
`;

describe.skipIf(why)(`a serial line${why ? `: ${why}` : ''}`, () => {
  let line: SerialPair;
  beforeEach(async () => {
    line = await serialPair();
  });
  afterEach(() => line.unplug());

  const site = (keys: string, devices: string): string =>
    `${writeSite({
      'gateway.yaml': `gateway: bench-6\nconnections: { bus: { driver: modbus, serial: ${line.near}, ${keys} } }\ndevices:\n${devices}`,
      'device-profiles/interop/line.yaml': PROFILE,
    })}/gateway.yaml`;

  /** What `tidegate read` says of a device. */
  function read(file: string, device: string): Record<string, unknown> {
    const { stdout } = tidegate('read', device, '--config', file, '--json');
    const { points } = JSON.parse(stdout) as { points: { id: string; value: unknown; reason?: string }[] };
    return Object.fromEntries(points.map(({ id, value, reason }) => [id, value ?? reason]));
  }

  test.each(['rtu', 'ascii'] as const)('pymodbus in %s: two units, and one that is not there', async (framing) => {
    const words = { 100: [0x4366, 0x8000], 110: [0, 0, 0x0001, 0x0000], 300: [7] };
    const server = await startSerialServer(
      { 1: { holding: words, coil: { 3: [true] } }, 17: { holding: { ...words, 300: [9] }, coil: { 3: [false] } } },
      line.far,
      framing,
    );
    try {
      const file = site(
        `framing: ${framing}, data_bits: 8, timeout: 300ms`,
        [1, 17, 33]
          .map((unit) => `  meter-${unit}: { profile: interop/line, connection: bus, unit: ${unit} }\n`)
          .join(''),
      );
      const values = { power: 230.5, counter: 65_536, running: true, setpoint: 7 };
      expect(read(file, 'meter-1')).toEqual(values);
      expect(read(file, 'meter-17')).toEqual({ ...values, running: false, setpoint: 9 });
      expect(Object.values(read(file, 'meter-33'))).toEqual(['timeout', 'timeout', 'timeout', 'timeout']);
      const scan = JSON.parse(tidegate('scan', 'bus', '--from', '16', '--to', '18', '--config', file, '--json').stdout);
      expect(scan.found).toEqual([{ settings: { unit: 17 }, identity: expect.any(Object), device: 'meter-17' }]);
      const { stdout } = tidegate('decode', 'meter-1', '100', '--expect', '230', '--config', file);
      expect(stdout).toMatch(/^float32 ABCD .* 230\.5 {2}←/m);
      expect(stdout.match(/←/g)?.length).toBeLessThan(5);
    } finally {
      await server.stop();
    }
  });

  test('mbpoll reads and writes what we simulate in RTU', async () => {
    const file = site('baud: 9600', '  meter-1: { profile: interop/line, connection: bus, unit: 5 }\n');
    const simulator = startTidegate(['simulate', file, '--serial', line.far, '--baud', '9600']);
    try {
      await simulator.line((text) => text.includes('Ctrl-C'));
      const common = ['-m', 'rtu', '-a', '5', '-b', '9600', '-P', 'none', '-0', '-r', '300', '-1', '-q'];
      run('mbpoll', [...common, '-t', '4', '--', line.near, '4711']);
      const said = run('mbpoll', [...common, '-t', '4', '--', line.near]);
      expect(said).toMatch(/^\[300\]:\s+4711$/m);
      expect(read(file, 'meter-1')).toMatchObject({ setpoint: 4711, power: expect.any(Number) });
    } finally {
      await simulator.stop();
    }
  });

  test.each([
    ['exception', 'Slave device or server failure'],
    ['garbage', 'Invalid CRC'],
    ['timeout', 'Connection timed out'],
    ['drop', 'Connection timed out'],
  ])('what we simulate does wrong on request, and mbpoll says what: %s', async (kind, said) => {
    const file = site('baud: 9600', '  meter-1: { profile: interop/line, connection: bus, unit: 5 }\n');
    const simulator = startTidegate(['simulate', file, '--serial', line.far, '--fault', `${kind}:100%`]);
    try {
      await simulator.line((text) => text.includes('Ctrl-C'));
      const asked = ['-m', 'rtu', '-a', '5', '-b', '9600', '-P', 'none', '-0', '-r', '300', '-1', '-q', '-o', '0.3'];
      expect(() => run('mbpoll', [...asked, '-t', '4', line.near])).toThrow(said);
    } finally {
      await simulator.stop();
    }
  });

  test('a port that is not there, and one that is unplugged', async () => {
    const file = site('baud: 9600', '  meter-1: { profile: interop/line, connection: bus }\n');
    await line.unplug();
    const { code, stderr } = tidegate('read', 'meter-1', '--config', file);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(new RegExp(`cannot open ${line.near}: .*No such file or directory`));
  });
});
