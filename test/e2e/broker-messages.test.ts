/** What the broker passes on is such that no reader has to suffer for what a sender did. */
import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { generate, type IConnectPacket, type IPublishPacket } from 'mqtt-packet';
import { describe, expect, test, vi } from 'vitest';
import { connectPacket, knock, PASSWORD, startLocal, subscribe, visit } from '../support/local-broker.js';

const USERS = { app: { read: ['#'], write: ['#', '$SYS/#'] }, other: { read: ['#', '$SYS/#'], write: ['#'] } };
const start = (limits: object = {}) => startLocal(USERS, { limits: { connects: 10_000, ...limits } });

const hello = (more: Partial<IConnectPacket> = {}): Buffer =>
  connectPacket({ username: 'app', password: Buffer.from(PASSWORD), ...more });

const message = (topic: string, more: Partial<IPublishPacket> = {}): Buffer =>
  generate({ cmd: 'publish', topic, payload: 'x', qos: 0, retain: false, dup: false, ...more });

/** Bytes in buffers that somebody still has. */
function buffered(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().arrayBuffers;
}

describe('a last will', () => {
  const gone = { payload: Buffer.from('gone'), qos: 1, retain: true } as const;

  test.each([
    ['with a wildcard', { ...gone, topic: 'a/+' }],
    ['with the other wildcard', { ...gone, topic: '#' }],
    ['with a NUL in it', { ...gone, topic: 'a\0b' }],
  ])('%s is no topic, and nobody gets it', async (_, will) => {
    const broker = await start();
    const other = await visit(broker, 'other');
    await subscribe(other, '#', '+/+', 'a/+');
    const socket = await knock(broker);
    socket.write(hello({ will }));
    await once(socket.resume(), 'close');
    await other.client.publishAsync('end', '', { qos: 1 });
    await other.until((got) => got.some(({ topic }) => topic === 'end'));
    expect(other.got.map(({ topic }) => topic)).toEqual(['end']);
    expect(broker.status()).toMatchObject({ retained: 0, refused: { protocol: 1 } });
  });

  test('of QoS 3 ends nobody else', async () => {
    const broker = await start();
    const other = await visit(broker, 'other');
    await subscribe(other, '#');
    const bytes = hello({ will: { ...gone, topic: 'will' } });
    // The connect flags (MQTT 3.1.1 §3.1.2.3) follow length, name and version.
    bytes[9] = (bytes[9] as number) | 0x18;
    const socket = await knock(broker);
    socket.write(bytes);
    await once(socket.resume(), 'close');
    await other.client.publishAsync('end', '', { qos: 1 });
    await other.until((got) => got.some(({ topic }) => topic === 'end'));
    expect(other.client.connected).toBe(true);
  });
});

test('a topic with a NUL in it ends its sender, and nobody gets it', async () => {
  const broker = await start();
  const other = await visit(broker, 'other');
  await subscribe(other, '#');
  const socket = await knock(broker);
  socket.write(Buffer.concat([hello(), message('a\0b', { retain: true })]));
  await once(socket.resume(), 'close');
  await other.client.publishAsync('end', '', { qos: 1 });
  await other.until((got) => got.some(({ topic }) => topic === 'end'));
  expect(other.got.map(({ topic }) => topic)).toEqual(['end']);
});

test('a filter that is none is refused', async () => {
  const broker = await startLocal({ app: { read: ['+'] } });
  broker.retain('abc', 'x');
  const socket = await knock(broker);
  const answers: number[] = [];
  socket.on('data', (chunk: Buffer) => void answers.push(...chunk));
  const subscriptions = ['a#', '+b', 'a+'].map((topic) => ({ topic, qos: 0 as const }));
  socket.write(Buffer.concat([hello(), generate({ cmd: 'subscribe', messageId: 1, subscriptions })]));
  await vi.waitFor(() => expect(answers).toEqual([0x20, 2, 0, 0, 0x90, 5, 0, 1, 128, 128, 128]));
});

test('nobody publishes below $, whatever is written: the broker speaks there', async () => {
  const broker = await start();
  const [app, other] = [await visit(broker, 'app'), await visit(broker, 'other', { clientId: 'victim' })];
  await subscribe(other, '$SYS/x', '#');
  await app.client.publishAsync('$SYS/elsewhere/new/clients', 'victim', { qos: 1 });
  await app.client.publishAsync('$SYS/x', 'x', { qos: 1 });
  await app.client.publishAsync('end', '', { qos: 1 });
  await other.until((got) => got.length > 0);
  expect(other.got.map(({ topic }) => topic)).toEqual(['end']);
  expect(other.client.connected).toBe(true);
});

describe('the QoS of a message is no higher than that of the subscription', () => {
  test.each([
    [0, 2, 0],
    [0, 1, 0],
    [1, 2, 1],
    [2, 2, 2],
    [2, 1, 1],
  ] as const)('subscription %i, message %i: %i', async (wanted, sent, given) => {
    const broker = await start();
    const app = await visit(broker, 'app');
    await app.client.publishAsync('a/kept', 'x', { qos: sent, retain: true });
    const other = await visit(broker, 'other');
    const qos: number[] = [];
    other.client.on('message', (_, __, packet) => void qos.push(packet.qos));
    await other.client.subscribeAsync('a/+', { qos: wanted });
    await other.until((got) => got.length === 1);
    await app.client.publishAsync('a/now', 'x', { qos: sent });
    await other.until((got) => got.length === 2);
    expect(qos).toEqual([given, given]);
  });
});

test('what is retained is bounded, also when much comes at once', async () => {
  const broker = await start({ retained: { topics: 2 } });
  const socket = await knock(broker);
  const burst = Array.from({ length: 500 }, (_, i) => message(`a/${i}`, { qos: 1, messageId: i + 1, retain: true }));
  socket.write(Buffer.concat([hello(), ...burst]));
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  // CONNACK and all PUBACKs have come.
  await vi.waitFor(() => expect(bytes).toBe(4 + 500 * 4));
  expect(broker.status()).toMatchObject({ retained: 2, refused: { retained: 498 } });
});

test('what is retained keeps nothing else in memory that came along with it', async () => {
  const broker = await start();
  const socket = await knock(broker);
  socket.write(hello());
  await once(socket, 'data');
  const before = buffered();
  for (let i = 0; i < 200; i++) {
    const along = message('b', { payload: Buffer.alloc(60_000) });
    socket.write(Buffer.concat([message(`a/${i}`, { retain: true }), along]));
  }
  await vi.waitFor(() => expect(broker.status().retained).toBe(200));
  await vi.waitFor(() => expect(buffered() - before).toBeLessThan(3_000_000));
});

test('of clients that come with the same id, however quickly, one stays', async () => {
  const broker = await start();
  for (let round = 0; round < 5; round++) {
    const sockets = await Promise.all(Array.from({ length: 8 }, () => knock(broker)));
    for (const socket of sockets)
      socket
        .resume()
        .write(
          Buffer.concat([
            hello({ clientId: 'me' }),
            generate({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 0 }] }),
          ]),
        );
    await vi.waitFor(() => expect(sockets.filter(({ destroyed }) => !destroyed)).toHaveLength(1), 5_000);
    for (const socket of sockets) socket.destroy();
  }
  await vi.waitFor(() => expect(broker.status().clients).toBe(0));
});
