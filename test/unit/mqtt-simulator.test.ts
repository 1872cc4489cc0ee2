/** The simulator over MQTT: payloads as devices write them, orders, and what it does wrong on request. */
import { afterEach, expect, onTestFinished, test } from 'vitest';
import { mqtt } from '../../drivers/mqtt/index.js';
import type { Fault, Session, Simulator, SimulatorOptions } from '../../src/driver.js';
import type { Device, Structure } from '../../src/model.js';
import { driverContext } from '../support/driver-context.js';
import { deviceOf, pointOf } from '../support/mqtt-points.js';
import { Told } from '../support/opcua-listener.js';

const signal = new AbortController().signal;
const HERE = { host: '127.0.0.1', port: 0 };
const POINTS = [
  pointOf('float64', 'power', { pointer: '/ENERGY/Power', timestamp: '/at' }),
  pointOf('uint64', 'total', { pointer: '/ENERGY/Total', kind: 'counter', scale: 0.001 }),
  pointOf('uint16', 'mode', { pointer: '/mode', states: new Map([[3, 'defrost']]) }),
  pointOf('bool', 'door', { topic: '{topic}/door', words: { open: true, closed: false } }),
  pointOf('int16', 'low', { topic: '{topic}/raw', binary: { order: 'DCBA' } }),
  pointOf('float32', 'high', { topic: '{topic}/raw', binary: { at: 2 } }),
  pointOf('string', 'name', { topic: '{topic}/name' }),
  pointOf('bool', 'relay', {
    topic: '{topic}/relay',
    access: 'read-write',
    words: { ON: true, OFF: false },
    command: { topic: '{topic}/rpc', payload: { method: 'Set', params: { id: 0, on: '{value}' } } },
  }),
  pointOf('uint16', 'level', {
    topic: '{topic}/level',
    access: 'read-write',
    command: { topic: '{topic}/rpc', payload: { method: 'Level', params: { level: '{value}' } } },
  }),
];
const DEVICE = deviceOf(POINTS, 'plug', { availability: { topic: '{topic}/online', pointer: '/state' } });

const open: (Session | Simulator)[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

async function simulate(options: Partial<SimulatorOptions> = {}): Promise<() => Promise<Session>> {
  const simulator = await mqtt.simulate?.([DEVICE], { ...HERE, ...options });
  if (!simulator) throw new Error('no simulator');
  open.push(simulator);
  return async () => {
    const connection = mqtt.connection.parse({ broker: `mqtt://127.0.0.1:${simulator.port}` });
    const session = (await mqtt.open(connection, driverContext())) as Session;
    open.push(session);
    return session;
  };
}

const listen = async (session: Session, device: Device = DEVICE): Promise<Told> => {
  const told = new Told();
  await session.subscribe?.(device, device.points, told);
  return told;
};

test('every kind of payload is read back, good, with its time', async () => {
  const session = await (await simulate())();
  const { values, flaws } = await session.read(DEVICE, POINTS, { signal });
  expect([flaws, values.map((value) => typeof value)]).toEqual([
    undefined,
    ['number', 'bigint', 'number', 'boolean', 'number', 'number', 'string', 'boolean', 'number'],
  ]);
  const told = await listen(session);
  await told.until(() => told.latest.size === POINTS.length);
  const [{ at = 0 } = {}] = told.pushes.filter(({ indexes }) => indexes?.includes(0));
  expect(Math.abs(Date.now() - at)).toBeLessThan(60_000);
});

test('payloads are as devices write them', async () => {
  const document = deviceOf([pointOf('json', 'all', { topic: 'plug' })], 'reader');
  const session = await (await simulate())();
  const [all] = (await session.read(document, document.points, { signal })).values;
  expect((all as Structure).toJSON()).toEqual({
    ENERGY: { Power: expect.any(Number), Total: expect.any(Number) },
    at: expect.stringMatching(/Z$/),
    mode: 3,
  });
});

test('of two orders on one topic each finds its point; what was written stays; nonsense changes nothing', async () => {
  const session = await (await simulate())();
  const [relay, level] = [POINTS[7], POINTS[8]] as [(typeof POINTS)[number], (typeof POINTS)[number]];
  for (const [point, raw] of [
    [relay, true],
    [level, 7],
    [relay, false],
    [level, 70_000],
  ] as const) {
    await session.write?.(DEVICE, point, raw, signal);
    if (raw !== 70_000) expect((await session.read(DEVICE, [point], { signal })).values).toEqual([raw]);
  }
  expect((await session.read(DEVICE, [relay], { signal })).values).toEqual([false]);
});

test('a port that is taken is told', async () => {
  const simulator = await mqtt.simulate?.([DEVICE], HERE);
  onTestFinished(() => simulator?.close());
  const port = simulator?.port ?? 0;
  await expect(mqtt.simulate?.([DEVICE], { ...HERE, port })).rejects.toMatchObject({ code: 'LINK_DOWN' });
});

test('what it does wrong on request: garbage, silence, delays, broken connections; it heals', async () => {
  let fault: Fault = { kind: 'garbage' };
  const connect = await simulate({ faults: () => fault });
  const told = await listen(await connect());
  const reasonOf = (index: number): string | undefined =>
    told.pushes.findLast(({ indexes }) => indexes?.includes(index))?.flaws?.get(0)?.reason;
  await told.until(() => reasonOf(0) !== undefined && reasonOf(4) !== undefined);
  expect(reasonOf(0)).toMatch('the payload is not UTF-8 text');
  expect(reasonOf(4)).toBe('the payload has 1 bytes, not 2');
  fault = { delay: 20 };
  await told.until(() => told.pushes.at(-1)?.flaws === undefined);
  fault = { kind: 'drop' };
  await told.until(() => told.error !== undefined);
  expect(told.error).toMatchObject({ kind: 'reconnect' });
  fault = { kind: 'timeout' };
  const again = await listen(await connect());
  await again.until(() => again.latest.size === POINTS.length);
});
