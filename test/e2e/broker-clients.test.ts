import { MqttClient } from 'mqtt';
import { generate } from 'mqtt-packet';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Broker } from '../../src/broker/broker.js';
import { startLocal, subscribe, visit } from '../support/local-broker.js';

const USERS = {
  app: { read: ['site/#', 'app/#'], write: ['app/#'] },
  all: { read: ['#'], write: ['#'] },
  other: { read: ['app/+/state'], write: ['#'] },
};

/** A client within the process, as drivers have it. */
async function inside(broker: Broker, clientId = 'driver'): Promise<{ client: MqttClient; got: string[] }> {
  const client = new MqttClient(() => broker.connect(), { protocolVersion: 4, reconnectPeriod: 0, clientId });
  onTestFinished(() => void client.end(true));
  const got: string[] = [];
  client.on('message', (topic, payload) => void got.push(`${topic} ${payload}`));
  await new Promise<void>((resolve, reject) => client.once('connect', () => resolve()).once('error', reject));
  return { client, got };
}

describe('who may come in', () => {
  test('a user with its password', async () => {
    const broker = await startLocal(USERS);
    await visit(broker, 'app');
    await visit(broker, 'app');
    expect(broker.status()).toMatchObject({ clients: 2, refused: {} });
  });

  test.each([
    ['a wrong password', 'app', { password: 'wrong' }],
    ['no password', 'app', { password: undefined }],
    ['a name that nobody has', 'nobody', {}],
    ['a name that every object has', 'constructor', {}],
    ['no name', undefined, {}],
  ])('not with %s', async (_, user, more) => {
    const broker = await startLocal(USERS);
    await expect(visit(broker, user, more)).rejects.toThrow('Not authorized');
    expect(broker.status()).toMatchObject({ clients: 0, refused: { 'sign-in': 1 } });
  });

  test('anybody on this machine, where that is configured, with those rights', async () => {
    const broker = await startLocal({}, { anonymous: { read: ['a'], write: [] } });
    const visitor = await visit(broker);
    expect(await subscribe(visitor, 'a', 'b')).toEqual([1, 128]);
  });

  test('not a client of MQTT 5: it is told the version', async () => {
    const broker = await startLocal(USERS);
    await expect(visit(broker, 'app', { protocolVersion: 5 })).rejects.toThrow('Unacceptable protocol version');
    expect(broker.status().refused).toEqual({ protocol: 1 });
  });

  test('one with the id of another user of the same name, in its place; of another name, not', async () => {
    const broker = await startLocal(USERS, { anonymous: { read: ['#'] } });
    const first = await visit(broker, 'app', { clientId: 'me' });
    const ended = new Promise<void>((resolve) => first.client.once('close', () => resolve()));
    await visit(broker, 'app', { clientId: 'me' });
    await ended;
    await expect(visit(broker, 'other', { clientId: 'me' })).rejects.toThrow('Identifier rejected');
    const driver = await inside(broker, 'driver');
    await expect(visit(broker, 'all', { clientId: 'driver' })).rejects.toThrow('Identifier rejected');
    await expect(visit(broker, undefined, { clientId: 'driver' })).rejects.toThrow('Identifier rejected');
    expect(driver.client.connected).toBe(true);
    await vi.waitFor(() => expect(broker.status().clients).toBe(1));
  });
});

describe('rights', () => {
  test('a subscription that is wider is refused, the others of its packet are granted', async () => {
    const broker = await startLocal(USERS);
    const app = await visit(broker, 'app');
    expect(await subscribe(app, '#', 'app/#', 'app', '+/x', 'site/+/power', 'other', '$SYS/#')).toEqual([
      128, 1, 1, 128, 1, 128, 128,
    ]);
    expect(broker.status().refused).toEqual({ read: 4 });
    // What is refused does not come.
    const all = await visit(broker, 'all');
    await all.client.publishAsync('other', 'no', { qos: 1 });
    await all.client.publishAsync('app/1', 'yes', { qos: 1 });
    await app.until((got) => got.length > 0);
    expect(app.got).toEqual([{ topic: 'app/1', text: 'yes', retain: false }]);
  });

  test('hold for retained messages', async () => {
    const broker = await startLocal(USERS);
    const all = await visit(broker, 'all');
    for (const topic of ['app/a/state', 'app/a/secret', 'x'])
      await all.client.publishAsync(topic, topic, { qos: 1, retain: true });
    const other = await visit(broker, 'other');
    expect(await subscribe(other, 'app/#', 'app/+/state', 'app/a/secret')).toEqual([128, 1, 128]);
    await other.until((got) => got.length > 0);
    await all.client.publishAsync('app/b/state', 'last', { qos: 1 });
    await other.until((got) => got.some(({ text }) => text === 'last'));
    expect(other.got.map(({ topic, retain }) => [topic, retain])).toEqual([
      ['app/a/state', true],
      ['app/b/state', false],
    ]);
  });

  test.each([0, 1, 2] as const)('a message of QoS %i without them is acknowledged, and goes nowhere', async (qos) => {
    const broker = await startLocal(USERS);
    const [app, driver] = [await visit(broker, 'app'), await inside(broker)];
    await driver.client.subscribeAsync('#', { qos: 2 });
    await app.client.publishAsync('elsewhere', 'x', { qos, retain: true });
    await app.client.publishAsync('site/meter-1/power', 'faked', { qos, retain: true });
    await app.client.publishAsync('app/1', 'y', { qos });
    await vi.waitFor(() => expect(driver.got).toEqual(['app/1 y']));
    expect(broker.status()).toMatchObject({ retained: 0, refused: { write: 2 } });
    expect(app.client.connected).toBe(true);
  });

  test.each([
    ['app/will', ['app/will gone']],
    ['site/meter-1/power', []],
    ['elsewhere', []],
  ])('hold for the last will: %s', async (topic, told) => {
    const broker = await startLocal(USERS);
    const driver = await inside(broker);
    await driver.client.subscribeAsync('#');
    const app = await visit(broker, 'app', { will: { topic, payload: Buffer.from('gone'), qos: 1, retain: true } });
    app.client.stream.destroy();
    await vi.waitFor(() => expect(broker.status().clients).toBe(0));
    await driver.client.publishAsync('end', '', { qos: 1 });
    await vi.waitFor(() => expect(driver.got.at(-1)).toBe('end '));
    expect(driver.got.slice(0, -1)).toEqual(told);
    expect(broker.status().retained).toBe(told.length);
  });
});

test('a session ends with its connection, whatever the client asks for: it is told that there is none', async () => {
  const broker = await startLocal(USERS);
  const first = await visit(broker, 'all', { clean: false, clientId: 'me' });
  await subscribe(first, 'a');
  await first.client.endAsync();
  const sender = await visit(broker, 'all');
  await sender.client.publishAsync('a', 'missed', { qos: 1 });
  const again = await visit(broker, 'all', { clean: false, clientId: 'me' });
  await subscribe(again, 'b');
  await sender.client.publishAsync('b', 'seen', { qos: 1 });
  await again.until((got) => got.length > 0);
  expect(again.got.map(({ text }) => text)).toEqual(['seen']);
});

test('a connection within the process has all rights, and ends with the broker', async () => {
  const broker = await startLocal(USERS);
  const driver = await inside(broker);
  await driver.client.subscribeAsync('site/#');
  broker.retain('site/a/b', '1');
  await driver.client.publishAsync('site/a/c', '2', { qos: 1 });
  await vi.waitFor(() => expect(driver.got).toEqual(['site/a/b 1', 'site/a/c 2']));
  const closed = new Promise<void>((resolve) => driver.client.once('close', () => resolve()));
  await broker.close();
  await closed;
});

test('a packet that comes in many pieces before anybody looks is taken whole, also within the process', async () => {
  const broker = await startLocal(USERS);
  const stream = broker.connect();
  stream.cork();
  for (const byte of generate({ cmd: 'connect', protocolVersion: 4, clean: true, clientId: 'pieces', keepalive: 0 }))
    stream.write(Buffer.from([byte]));
  stream.uncork();
  const answer: number[] = [];
  stream.on('data', (chunk: Buffer) => void answer.push(...chunk));
  await vi.waitFor(() => expect(answer).toEqual([0x20, 2, 0, 0]));
});
