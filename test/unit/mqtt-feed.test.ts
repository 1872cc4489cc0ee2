/** What a device says over a real broker, and what that means: pushes, availability, silence, what the broker kept. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { mqtt } from '../../drivers/mqtt/index.js';
import type { DriverContext, Session } from '../../src/driver.js';
import type { Device } from '../../src/model.js';
import { driverContext } from '../support/driver-context.js';
import { FieldBroker } from '../support/field-broker.js';
import { deviceOf, pointOf } from '../support/mqtt-points.js';
import { Told } from '../support/opcua-listener.js';

const signal = new AbortController().signal;
const POWER = pointOf('float64', 'power', { pointer: '/power' });
const RELAY = pointOf('bool', 'relay', { topic: '{topic}/relay' });

let broker: FieldBroker;
const open: Session[] = [];
beforeEach(async () => {
  broker = await FieldBroker.start();
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((session) => session.close()));
  await broker.close();
});

async function connect(keys: object = {}, context: Partial<DriverContext> = {}): Promise<Session> {
  const connection = mqtt.connection.parse({ broker: broker.url, ...keys });
  const session = (await mqtt.open(connection, driverContext(undefined, context))) as Session;
  open.push(session);
  return session;
}

async function listen(device: Device, session?: Session): Promise<Told> {
  const told = new Told();
  await (session ?? (await connect())).subscribe?.(device, device.points, told);
  return told;
}

test('each message is told once, with the points that are in it', async () => {
  const told = await listen(deviceOf([POWER, RELAY, pointOf('float64', 'voltage', { pointer: '/voltage' })]));
  broker.publish('hall/plug', { power: 5, voltage: 230 }, false);
  broker.publish('hall/plug/relay', 'ON', false);
  await told.until(() => told.pushes.length === 2);
  expect(told.pushes).toEqual([
    { indexes: [0, 2], values: [5, 230] },
    { indexes: [1], values: [true] },
  ]);
});

test('one point that is not as it should be costs the others nothing', async () => {
  const told = await listen(deviceOf([POWER, pointOf('int16', 'count', { pointer: '/count' })]));
  broker.publish('hall/plug', { power: 'much', count: 7 }, false);
  broker.publish('hall/plug', 'rebooting', false);
  await told.until(() => told.pushes.length === 2);
  expect(told.pushes).toEqual([
    { indexes: [0, 1], values: [null, 7], flaws: new Map([[0, { quality: 'bad', reason: '"much" is no number' }]]) },
    {
      indexes: [0, 1],
      values: [null, null],
      flaws: new Map([0, 1].map((at) => [at, { quality: 'bad', reason: 'the payload is no JSON: "rebooting"' }])),
    },
  ]);
});

test('optional points are told by the messages that have them', async () => {
  const told = await listen(deviceOf([POWER, pointOf('string', 'action', { pointer: '/action', optional: true })]));
  broker.publish('hall/plug', { power: 1 }, false);
  broker.publish('hall/plug', { power: 2, action: 'single' }, false);
  await told.until(() => told.pushes.length === 2);
  expect(told.pushes.map(({ indexes }) => indexes)).toEqual([[0], [0, 1]]);
});

test('the time of a value is what its payload says; where that is none the value is uncertain', async () => {
  const timed = pointOf('float64', 'timed', { pointer: '/power', timestamp: '/at' });
  const told = await listen(deviceOf([timed, POWER]));
  broker.publish('hall/plug', { power: 1, at: 1_764_312_000 }, false);
  broker.publish('hall/plug', { power: 2, at: 'noon' }, false);
  await told.until(() => told.pushes.length === 4);
  const flaw = { quality: 'uncertain', reason: 'when: it says "noon", which is no time with its zone' };
  expect(told.pushes).toEqual([
    { indexes: [0], values: [1], at: 1_764_312_000_000 },
    { indexes: [1], values: [1] },
    { indexes: [0], values: [2], flaws: new Map([[0, flaw]]) },
    { indexes: [1], values: [2] },
  ]);
});

test('a payload above max_payload is not looked into', async () => {
  const session = await connect({ max_payload: '1kB' });
  const told = await listen(deviceOf([POWER]), session);
  broker.publish('hall/plug', { power: 1, text: 'x'.repeat(2_000) }, false);
  await told.until(() => told.pushes.length === 1);
  expect(told.pushes[0]?.flaws?.get(0)?.reason).toMatch(/^a payload of 20\d\d bytes; max_payload is 1000$/);
});

test('two devices that share a topic, and points of one device, share its subscription', async () => {
  const session = await connect();
  const shared = pointOf('float64', 'outside', { topic: 'weather', pointer: '/t' });
  const first = await listen(deviceOf([shared, POWER], 'a'), session);
  broker.publish('weather', { t: 7 });
  await first.until(() => first.pushes.length === 1);
  const second = await listen(deviceOf([shared, POWER], 'b'), session);
  await second.until(() => second.latest.get(0) === 7);
  expect(broker.subscribed.filter((topic) => topic === 'weather')).toHaveLength(1);
  broker.publish('weather', { t: 8 });
  await first.until(() => first.latest.get(0) === 8);
  expect(second.latest.get(0)).toBe(8);
});

test('when nobody listens to a topic any more, its subscription ends, and not before', async () => {
  const session = await connect();
  const device = deviceOf([POWER]);
  const ended = vi.fn();
  broker.aedes.on('unsubscribe', ended);
  const subscriptions = await Promise.all([1, 2].map(() => session.subscribe?.(device, device.points, new Told())));
  await subscriptions[0]?.close();
  expect(ended.mock.calls.map(([topics]) => topics)).not.toContainEqual(['hall/plug']);
  await subscriptions[1]?.close();
  expect(ended.mock.calls.map(([topics]) => topics)).toContainEqual(['hall/plug']);
});

test('a structure without bottom costs its point, not the connection', async () => {
  const told = await listen(deviceOf([POWER, pointOf('json', 'all', { pointer: '' })]));
  broker.publish('hall/plug', `{"power":${'['.repeat(50_000)}${']'.repeat(50_000)}}`, false);
  broker.publish('hall/plug', '{"power":5}', false);
  await told.until(() => told.latest.get(0) === 5);
  expect(told.error).toBeUndefined();
  expect([...(told.pushes[0]?.flaws?.values() ?? [])].map(({ reason }) => reason)).toEqual([
    'an array is no number',
    'more than 100 levels deep',
  ]);
});

test('what the broker refuses makes its points bad; the others are good', async () => {
  broker.aedes.authorizeSubscribe = (_client, subscription, done) =>
    done(null, subscription.topic === 'hall/plug/relay' ? null : subscription);
  broker.publish('hall/plug', { power: 3 });
  const told = await listen(deviceOf([POWER, RELAY]));
  await told.until(() => told.latest.size === 2);
  expect(told.latest).toEqual(
    new Map<number, unknown>([
      [0, 3],
      [1, null],
    ]),
  );
  const reasons = told.pushes.flatMap(({ flaws }) => [...(flaws?.values() ?? [])].map(({ reason }) => reason));
  expect(reasons).toEqual([expect.stringMatching(/^the broker refuses the subscription to hall\/plug\/relay: /)]);
});

describe('availability', () => {
  const AVAILABLE = { availability: { topic: 'tele/{topic}/LWT', online: 'Online', offline: 'Offline' } };

  test('who is gone is silent; what the broker kept is told when it is back', async () => {
    broker.publish('hall/plug', { power: 1 });
    broker.publish('tele/hall/plug/LWT', 'Offline');
    const told = await listen(deviceOf([POWER], 'hall/plug', AVAILABLE));
    await told.until(() => told.silences.length > 0);
    expect([told.silences, told.pushes]).toEqual([['tele/hall/plug/LWT says "Offline"'], []]);
    broker.publish('tele/hall/plug/LWT', 'Online');
    await told.until(() => told.latest.size > 0);
    expect(told.pushes).toEqual([
      { indexes: [], values: [] },
      { indexes: [0], values: [1] },
    ]);
    broker.publish('tele/hall/plug/LWT', 'Offline');
    await told.until(() => told.silences.length === 2);
  });

  test('what comes while it is gone is told when it is back, the last of each topic, and as old', async () => {
    const told = await listen(deviceOf([POWER], 'hall/plug', { ...AVAILABLE, stale: '1h' }));
    broker.publish('tele/hall/plug/LWT', 'Offline', false);
    // What a bridge remembers of a dead device, when it starts.
    for (const power of [1, 2]) broker.publish('hall/plug', { power }, false);
    broker.publish('tele/hall/plug/LWT', 'Online', false);
    broker.publish('hall/plug', { power: 3 }, false);
    await told.until(() => told.latest.get(0) === 3);
    expect(told.silences).toHaveLength(1);
    expect(told.pushes.map(({ values, flaws }) => [values, flaws?.get(0)?.quality])).toEqual([
      [[], undefined],
      [[2], 'uncertain'],
      [[3], undefined],
    ]);
  });

  test('a topic that the broker refuses brings nobody back; of availability it is told in the log', async () => {
    broker.aedes.authorizeSubscribe = (_client, subscription, done) =>
      done(null, /relay|state/.test(subscription.topic) ? null : subscription);
    broker.publish('tele/hall/plug/LWT', 'Offline');
    const warn = vi.fn();
    const session = await connect({}, { log: { ...driverContext().log, warn } as DriverContext['log'] });
    const other = await listen(deviceOf([POWER], 'hall/plug', AVAILABLE), session);
    await other.until(() => other.silences.length === 1);
    const availability = [AVAILABLE.availability, { topic: 'bridge/state' }];
    const told = await listen(deviceOf([RELAY], 'hall/plug', { availability }), session);
    expect([told.silences.length, told.pushes]).toEqual([1, []]);
    expect(warn.mock.calls).toEqual([
      [expect.anything(), expect.stringMatching(/the broker refuses .* bridge\/state/)],
    ]);
    broker.publish('tele/hall/plug/LWT', 'Online');
    await told.until(() => told.latest.get(0) === null);
  });

  test('of several topics each must say that it is there; JSON and plain words are taken', async () => {
    const availability = [
      { topic: '{topic}/availability', pointer: '/state' },
      { topic: 'bridge/state', pointer: '/state' },
    ];
    const told = await listen(deviceOf([POWER], 'hall/plug', { availability }));
    broker.publish('bridge/state', { state: 'offline' });
    await told.until(() => told.silences.length === 1);
    broker.publish('hall/plug/availability', 'offline');
    broker.publish('bridge/state', 'online');
    broker.publish('hall/plug/availability', { state: 'online' });
    await told.until(() => told.pushes.length > 0);
    expect(told.silences).toEqual(['bridge/state says "offline"']);
    expect(told.pushes).toEqual([{ indexes: [], values: [] }]);
  });

  test('the last will that the broker publishes for a device is believed', async () => {
    const { connectAsync } = await import('mqtt');
    const will = { topic: 'tele/hall/plug/LWT', payload: Buffer.from('Offline'), qos: 1 as const, retain: true };
    const plug = await connectAsync(broker.url, { protocolVersion: 4, reconnectPeriod: 0, will });
    await plug.publishAsync('tele/hall/plug/LWT', 'Online', { retain: true });
    const told = await listen(deviceOf([POWER], 'hall/plug', AVAILABLE));
    plug.stream.destroy();
    await told.until(() => told.silences.length > 0);
    plug.end(true);
  });

  test('another word is told in the log, once until it is another; an empty one says nothing', async () => {
    const warn = vi.fn();
    const log = { ...driverContext().log, warn } as DriverContext['log'];
    const session = await connect({}, { log });
    const told = await listen(deviceOf([POWER], 'hall/plug', AVAILABLE), session);
    broker.publish('tele/hall/plug/LWT', '');
    for (const word of ['rebooting', 'rebooting', 'Online', 'rebooting']) broker.publish('tele/hall/plug/LWT', word);
    broker.publish('hall/plug', { power: 1 });
    await told.until(() => told.latest.get(0) === 1);
    const said = [expect.anything(), 'availability: "rebooting" is neither "Online" nor "Offline"'];
    expect(warn.mock.calls).toEqual([said, said]);
    expect(told.silences).toEqual([]);
  });

  test('read by hand, a device that is gone has not answered', async () => {
    broker.publish('hall/plug', { power: 1 });
    broker.publish('tele/hall/plug/LWT', 'Offline');
    const device = deviceOf([POWER], 'hall/plug', AVAILABLE);
    const samples = await (await connect()).read(device, device.points, { signal });
    expect(samples).toMatchObject({ answered: false, values: [null] });
    expect(samples.flaws?.get(0)?.reason).toBe('tele/hall/plug/LWT says "Offline"');
    const silent = deviceOf([RELAY], 'hall/plug', AVAILABLE);
    const session = await connect({ timeout: '10m' });
    expect(await session.read(silent, silent.points, { signal })).toMatchObject({ answered: false, values: [null] });
  });
});

describe('stale', () => {
  test('who says nothing for so long is silent, once, until it speaks', async () => {
    const told = await listen(deviceOf([POWER], 'hall/plug', { stale: '50ms' }));
    await told.until(() => told.silences.length === 1);
    expect(told.silences).toEqual(['nothing was heard for 0.05 s']);
    broker.publish('hall/plug', { power: 1 }, false);
    await told.until(() => told.pushes.length === 1 && told.silences.length === 2);
  });

  test('nobody is silent any more once the session is closed', async () => {
    const device = deviceOf([POWER], 'hall/plug', { stale: '30ms' });
    const session = await connect();
    const closed = await listen(device, session);
    await session.close();
    const told = await listen(device);
    await told.until(() => told.silences.length === 1);
    expect(closed.silences).toEqual([]);
  });

  test('what the broker kept is uncertain, unless it has its time', async () => {
    broker.publish('hall/plug', { power: 1, at: 1_764_312_000 });
    const timed = pointOf('float64', 'timed', { pointer: '/power', timestamp: '/at' });
    const told = await listen(deviceOf([POWER, timed], 'hall/plug', { stale: '1h' }));
    await told.until(() => told.latest.size === 2);
    const flaw = { quality: 'uncertain', reason: 'kept by the broker, nobody knows since when' };
    expect(told.pushes).toEqual([
      { indexes: [0], values: [1], flaws: new Map([[0, flaw]]) },
      { indexes: [1], values: [1], at: 1_764_312_000_000 },
    ]);
  });
});

describe('read by hand', () => {
  test('a device that speaks while we wait is heard, whatever it did not say is not told yet', async () => {
    const device = deviceOf([POWER, RELAY]);
    const session = await connect({ timeout: '300ms' });
    broker.aedes.on('subscribe', () => broker.publish('hall/plug', { power: 4 }, false));
    const { values, flaws, answered } = await session.read(device, device.points, { signal });
    expect([values, answered]).toEqual([[4, null], true]);
    expect(flaws).toEqual(new Map([[1, { quality: 'bad', reason: 'not told yet' }]]));
  });

  test('raw is what the payload says', async () => {
    broker.publish('hall/plug', { power: '4' });
    broker.publish('hall/plug/relay', 'ON');
    broker.publish('hall/plug/raw', Buffer.from('0a0b', 'hex'));
    const device = deviceOf([POWER, RELAY, pointOf('uint16', 'raw', { topic: '{topic}/raw', binary: {} })]);
    const { raw } = await (await connect()).read(device, device.points, { signal, raw: true });
    expect([...(raw?.values() ?? [])]).toEqual(['"4"', 'ON', '0a 0b']);
  });

  test('times and doubts are those of what is told by itself', async () => {
    const at = 1_764_312_000;
    broker.publish('hall/plug', { power: 1, at });
    const timed = pointOf('float64', 'timed', { pointer: '/power', timestamp: '/at' });
    const session = await connect();
    const read = (points: Device['points']) => {
      const device = deviceOf(points as never, 'hall/plug', { stale: '1h' });
      return session.read(device, device.points, { signal });
    };
    expect(await read([timed])).toEqual({ values: [1], answered: true, at: at * 1_000 });
    const kept = { quality: 'uncertain', reason: 'kept by the broker, nobody knows since when' };
    expect(await read([timed, POWER])).toEqual({ values: [1, 1], answered: true, flaws: new Map([[1, kept]]) });
  });

  test('raw is short, whatever the payload', async () => {
    broker.publish('hall/plug', `{"power":${'['.repeat(50_000)}${']'.repeat(50_000)}}`);
    broker.publish('hall/plug/raw', Buffer.alloc(900_000, 0xff));
    const device = deviceOf([POWER, pointOf('uint16', 'raw', { topic: '{topic}/raw', binary: {} })]);
    const { raw } = await (await connect()).read(device, device.points, { signal, raw: true });
    expect(raw?.get(0)).toBe('an array');
    expect(raw?.get(1)).toMatch(/^(ff )+/);
    expect(raw?.get(1)?.length).toBeLessThan(200);
  });

  test('what is optional and not in the last message is told so', async () => {
    broker.publish('hall/plug', { voltage: 1 });
    const device = deviceOf([pointOf('float64', 'power', { pointer: '/power', optional: true })]);
    const { flaws } = await (await connect()).read(device, device.points, { signal });
    expect(flaws?.get(0)?.reason).toBe('not in what was told last');
  });

  test('closed, whoever waits for a device is told so', async () => {
    const device = deviceOf([POWER]);
    const session = await connect({ timeout: '1m' });
    broker.aedes.on('subscribe', () => void session.close());
    await expect(session.read(device, device.points, { signal })).rejects.toMatchObject({ kind: 'reconnect' });
  });

  test('whoever leaves is not kept waiting', async () => {
    const leaving = new AbortController();
    const device = deviceOf([POWER]);
    const reading = (await connect({ timeout: '1m' })).read(device, device.points, { signal: leaving.signal });
    broker.aedes.on('subscribe', () => leaving.abort(new Error('gone')));
    await expect(reading).rejects.toThrow('gone');
  });
});
