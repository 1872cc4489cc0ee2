/** Simulators that do wrong on request, each kind on its own wire, met by their drivers: what is told, and that it heals. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { modbus } from '../../drivers/modbus/index.js';
import type { ModbusAddress, ModbusDevice } from '../../drivers/modbus/schema.js';
import { opcua } from '../../drivers/opcua/index.js';
import type { OpcuaAddress, OpcuaDevice } from '../../drivers/opcua/schema.js';
import type { Fault, Session, Simulator } from '../../src/driver.js';
import { run, start } from '../support/command.js';
import { driverContext } from '../support/driver-context.js';
import * as registers from '../support/modbus-points.js';
import * as nodes from '../support/opcua-points.js';
import { SiteFolder } from '../support/site-folder.js';

const signal = new AbortController().signal;
/** What the next answers are to have. */
let fault: Fault = {};
const faults = (): Fault => fault;

describe('Modbus TCP', () => {
  const points = [registers.pointOf('uint16', { address: 1, access: 'read-write' })];
  const device = registers.deviceOf(points);
  let simulator: Simulator;
  let session: Session<ModbusDevice, ModbusAddress>;
  const read = () => session.read(device, points, { signal });
  const open = async (): Promise<void> => {
    const wire = modbus.connection.parse({ tcp: `127.0.0.1:${simulator.port}`, timeout: '150ms' });
    session = await modbus.open(wire, driverContext());
  };
  beforeAll(async () => {
    const started = await modbus.simulate?.([device], { host: '127.0.0.1', port: 0, faults });
    if (!started) throw new Error('the driver has no simulator');
    simulator = started;
    await open();
  });
  afterEach(async () => {
    fault = {};
    expect((await read()).flaws).toBeUndefined();
  });
  afterAll(async () => {
    await session.close();
    await simulator.close();
  });

  test('timeout', async () => {
    fault = { kind: 'timeout' };
    expect(await read()).toMatchObject({
      answered: false,
      flaws: new Map([[0, { quality: 'bad', reason: 'timeout' }]]),
    });
  });

  test('exceptions 04 and 06; what is refused is not written', async () => {
    fault = { kind: 'exception' };
    const reasons = [await read(), await read()].map(({ flaws }) => flaws?.get(0)?.reason);
    expect(reasons.sort()).toEqual(['exception 04 (server device failure)', 'exception 06 (server device busy)']);
    await expect(session.write?.(device, points[0] as never, 4_711, signal)).rejects.toMatchObject({
      message: expect.stringMatching(/exception 0[46]/),
    });
    fault = {};
    expect((await read()).values).not.toEqual([4_711]);
  });

  test.each([
    ['garbage', /garbage instead of a Modbus reply/],
    ['drop', /closed by the other side/],
  ] as const)('%s ends the connection, and the next one is as good as new', async (kind, message) => {
    fault = { kind };
    await expect(read()).rejects.toMatchObject({ code: 'LINK_DOWN', message: expect.stringMatching(message) });
    await session.close();
    await open();
  });

  test('delay: within the time limit a value, beyond it none', async () => {
    fault = { delay: 40 };
    const before = performance.now();
    expect((await read()).flaws).toBeUndefined();
    expect(performance.now() - before).toBeGreaterThan(39);
    fault = { delay: 60_000 };
    expect((await read()).answered).toBe(false);
  });
});

describe('OPC UA', () => {
  const points = [nodes.pointOf('float64', 'Temp'), nodes.pointOf('int32', 'Setpoint', { access: 'read-write' })];
  const device = nodes.deviceOf(points);
  const folder = mkdtempSync(join(tmpdir(), 'tidegate-simulator-'));
  let simulator: Simulator;
  let session: Session<OpcuaDevice, OpcuaAddress>;
  const read = () => session.read(device, points, { signal });
  const open = async (): Promise<void> => {
    const endpoint = `opc.tcp://127.0.0.1:${simulator.port}`;
    const wire = opcua.connection.parse({ endpoint, security: 'None', timeout: '500ms' });
    session = await opcua.open(wire, driverContext(folder));
  };
  beforeAll(async () => {
    const started = await opcua.simulate?.([device], { host: '127.0.0.1', port: 0, faults });
    if (!started) throw new Error('the driver has no simulator');
    simulator = started;
    await open();
  }, 60_000);
  afterEach(async () => {
    fault = {};
    await expect.poll(async () => (await read()).flaws, { timeout: 10_000 }).toBeUndefined();
  });
  afterAll(async () => {
    await session.close();
    await simulator.close();
    rmSync(folder, { recursive: true });
  });

  test('exception: values have a bad status until their next one, also those that were written', async () => {
    await session.write?.(device, points[1] as never, 17, signal);
    fault = { kind: 'exception' };
    const bad = { quality: 'bad', reason: expect.stringContaining('BadDeviceFailure') };
    await expect
      .poll(async () => (await read()).flaws, { timeout: 10_000 })
      .toEqual(new Map([0, 1].map((at) => [at, bad])));
    fault = {};
    await expect.poll(async () => (await read()).values[1], { timeout: 10_000 }).toBe(17);
  });

  test('delay', async () => {
    fault = { delay: 60 };
    const before = performance.now();
    expect((await read()).flaws).toBeUndefined();
    expect(performance.now() - before).toBeGreaterThan(59);
  });

  test.each(['timeout', 'garbage', 'drop'] as const)(
    '%s: no value, and the next session is as good as new',
    async (kind) => {
      fault = { kind };
      const samples = await read().catch((error: { kind: string }) => {
        expect(error.kind).toBe('reconnect');
      });
      if (samples) expect(samples).toMatchObject({ answered: false });
      await session.close();
      fault = {};
      await open();
    },
  );
});

describe('the command', () => {
  test('does as it is asked, and says how to have the same again', async () => {
    const words = ['simulate', 'eastron/sdm120', '--port', '0', '--fault', 'exception:100%', '--fault', 'delay:5ms'];
    const simulator = start(words);
    try {
      const [, port] = await simulator.seen(/Modbus 127\.0\.0\.1:(\d+)/);
      await simulator.seen(/Faults on request: exception 100 %, delay 5 ms\. The same again: --seed \d+/);
      const folder = new SiteFolder();
      folder.say({
        connections: { bus: { driver: 'modbus', tcp: `127.0.0.1:${port}` } },
        devices: { meter: { profile: 'eastron/sdm120', connection: 'bus' } },
        upstreams: {},
      });
      const { stdout } = await run(['read', 'meter', '--json'], { cwd: folder.path });
      const { points } = JSON.parse(stdout) as { points: { reason?: string }[] };
      for (const { reason } of points) expect(reason).toMatch(/^exception 0[46]/);
    } finally {
      simulator.child.kill();
      await simulator.finished;
    }
  });

  test('tells programs its faults and their seed', async () => {
    const simulator = start([
      'simulate',
      'eastron/sdm120',
      '--port',
      '0',
      '--fault',
      'drop:1%',
      '--seed',
      '7',
      '--json',
    ]);
    try {
      const [line] = await simulator.seen(/^\{.*\}$/m);
      expect(JSON.parse(line)).toMatchObject({ faults: [{ kind: 'drop', share: 0.01 }], seed: 7 });
    } finally {
      simulator.child.kill();
      await simulator.finished;
    }
  });

  test.each([
    [['--fault', 'timeout'], /--fault: "timeout" does not say how often/],
    [['--fault', 'timeout:5%', '--seed', 'x'], /Write a whole number/],
  ])('%s is a mistake on the command line', async (words, message) => {
    const { code, stderr } = await run(['simulate', 'eastron/sdm120', '--port', '0', ...words]);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });
});
