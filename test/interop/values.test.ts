/** Values end to end: registers in pymodbus, through the gateway, to what mosquitto_sub prints. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ALL_POINTS_PROFILE, ALL_POINTS_REGISTERS, ALL_POINTS_VALUES } from './all-points.js';
import { startTidegate, type Telemetry, tidegate, writeSite } from './gateway.js';
import { type ModbusServer, PYMODBUS, startModbusServer } from './modbus-server.js';
import { type Broker, MOSQUITTO, type Subscriber, startBroker, subscribe } from './mosquitto.js';
import { missing, type Program } from './programs.js';

const why = missing(...MOSQUITTO, PYMODBUS);

describe.skipIf(why)(`from pymodbus to mosquitto${why ? `: ${why}` : ''}`, () => {
  let device: ModbusServer;
  let broker: Broker;
  let subscriber: Subscriber;
  let gateway: Program;
  let folder: string;

  /** The first message whose telemetry is as wanted. */
  async function telemetry(wanted: (message: Telemetry) => boolean = () => true): Promise<Telemetry> {
    const found = await subscriber.message(
      ({ topic, payload }) => topic === 'tidegate/bench-1/all/telemetry' && wanted(JSON.parse(payload)),
    );
    return JSON.parse(found.payload);
  }

  beforeAll(async () => {
    device = await startModbusServer({ 1: ALL_POINTS_REGISTERS });
    broker = await startBroker();
    subscriber = await subscribe(broker, 'tidegate/#');
    folder = writeSite({
      'gateway.yaml': `gateway: bench-1
connections:
  plc: { driver: modbus, tcp: "127.0.0.1:${device.port}", timeout: 500ms }
devices:
  all: { profile: interop/all-points, connection: plc, unit: 1 }
  silent: { profile: interop/all-points, connection: plc, unit: 9 }
upstreams:
  cloud: { url: "mqtt://127.0.0.1:${broker.port}" }
`,
      'device-profiles/interop/all-points.yaml': ALL_POINTS_PROFILE,
    });
    gateway = startTidegate(['run', `${folder}/gateway.yaml`]);
  });

  afterAll(async () => {
    await gateway?.stop('SIGKILL');
    await subscriber?.stop();
    await broker?.stop();
    await device?.stop();
  });

  test('every type and order arrives as it is, and what cannot be read does not spoil it', async () => {
    const { values, bad, uncertain } = await telemetry();
    expect(values).toEqual(ALL_POINTS_VALUES);
    expect(Object.keys(bad ?? {}).sort()).toEqual(['absent', 'invalid']);
    expect(bad?.absent).toContain('02');
    expect(Object.keys(uncertain ?? {})).toEqual(['doubtful']);
  });

  test('a change in the device arrives', async () => {
    device.set({ 1: { input: { 7: [815] }, coil: { 3: [false] } } });
    const { values } = await telemetry(({ values }) => values.from_input === 815 && values.from_coil === false);
    expect(values).toEqual({ ...ALL_POINTS_VALUES, from_input: 815, from_coil: false });
  });

  test('the birth message is retained', async () => {
    const late = await subscribe(broker, 'tidegate/bench-1/status');
    const { retained, payload } = await late.message(() => true);
    await late.stop();
    expect({ retained, ...JSON.parse(payload) }).toMatchObject({ retained: true, state: 'online' });
  });

  test('a device that is not there is told once, as bad, with a reason', async () => {
    const { payload } = await subscriber.message(({ topic }) => topic === 'tidegate/bench-1/silent/telemetry');
    const { values, bad } = JSON.parse(payload) as Telemetry;
    expect(values).toEqual({});
    expect(new Set(Object.values(bad ?? {})).size).toBe(1);
    const told = subscriber.received().filter(({ topic }) => topic === 'tidegate/bench-1/silent/telemetry');
    expect(told).toHaveLength(1);
  });

  test('a single read shows the same values', () => {
    const { code, stdout } = tidegate('read', 'all', '--config', `${folder}/gateway.yaml`, '--json');
    const { points } = JSON.parse(stdout) as { points: { id: string; value: unknown; quality: string }[] };
    const told = points.filter(({ quality }) => quality !== 'bad').map(({ id, value }) => [id, value]);
    expect(Object.fromEntries(told)).toMatchObject({ ...ALL_POINTS_VALUES, from_input: 815, from_coil: false });
    expect(code).toBe(0);
  });

  test('it ends on SIGTERM, with exit code 0, and says goodbye', async () => {
    const status = subscriber.next(
      ({ topic, payload }) => topic === 'tidegate/bench-1/status' && JSON.parse(payload).state === 'offline',
    );
    expect(await gateway.stop('SIGTERM')).toBe(0);
    await status;
  });
});
