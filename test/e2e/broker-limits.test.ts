import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { MqttClient } from 'mqtt';
import { generate } from 'mqtt-packet';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Broker } from '../../src/broker/broker.js';
import { connectPacket, knock, portOf, startLocal, subscribe, visit } from '../support/local-broker.js';

const USERS = { app: { read: ['#'], write: ['#'] }, other: { read: ['#'], write: ['#'] } };
const limited = (limits: object) => startLocal(USERS, { limits: { connects: 10_000, ...limits } });
const closed = (socket: Socket) =>
  new Promise<void>((resolve) => (socket.destroyed ? resolve() : socket.resume().once('close', () => resolve())));

/** A bare connection that is signed in; nothing is read from it any more. */
async function signedIn(broker: Broker): Promise<Socket> {
  const socket = await knock(broker);
  socket.write(connectPacket({ username: 'app', password: Buffer.from('open sesame') }));
  await once(socket, 'data');
  return socket.pause();
}

describe('before a client has signed in', () => {
  test.each([
    ['a CONNECT that claims 256 MB', [0x10, 0xff, 0xff, 0xff, 0x7f]],
    ['a CONNECT that claims a little too much', [0x10, 0xc1, 0x3e]],
    ['a length that does not end', [0x10, 0x80, 0x80, 0x80, 0x80, 0x01]],
    ['another packet', [...generate({ cmd: 'pingreq' })]],
    ['a CONNECT with flags in its type', [0x11, 0x00]],
    ['HTTP', [...Buffer.from('GET / HTTP/1.1\r\n\r\n')]],
    ['TLS', [0x16, 0x03, 0x01, 0x02, 0x00]],
  ])('%s ends the connection at its header', async (_, bytes) => {
    const broker = await limited({});
    const socket = await knock(broker);
    socket.write(Buffer.from(bytes));
    await closed(socket);
    expect(broker.status().refused).toEqual({ protocol: 1 });
  });

  test('a CONNECT of 8 kB is looked at, byte by byte as it may come', async () => {
    const broker = await limited({});
    const payload = Buffer.alloc(7_900, 'w');
    const will = { topic: 't', payload, qos: 0 as const, retain: false };
    await visit(broker, 'app', { will });
    const socket = await knock(broker);
    for (const byte of connectPacket({ username: 'app', password: Buffer.from('open sesame') }))
      socket.write(Buffer.from([byte]));
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect([...answer]).toEqual([0x20, 2, 0, 0]);
  });

  test.each([
    ['nothing', []],
    ['half a header', [0x10]],
    ['half a CONNECT', [...connectPacket().subarray(0, 10)]],
  ])('%s within the time for it is the end', async (_, bytes) => {
    const broker = await limited({ connect_within: '50ms' });
    const socket = await knock(broker);
    socket.write(Buffer.from(bytes));
    await closed(socket);
    expect(broker.status().refused).toEqual({ protocol: 1 });
  });

  test('nothing is read beyond CONNECT, however much comes', async () => {
    const broker = await limited({});
    const socket = await knock(broker);
    const message = generate({
      cmd: 'publish',
      topic: 'a',
      payload: Buffer.alloc(1_000),
      qos: 0,
      retain: false,
      dup: false,
    });
    const flood = Buffer.concat([
      connectPacket({ username: 'app', password: Buffer.from('wrong') }),
      ...Array(2_000).fill(message),
    ]);
    socket.write(flood);
    await closed(socket);
    expect(broker.status()).toMatchObject({ clients: 0, refused: { 'sign-in': 1 } });
  });

  test('what a client sends on the heels of CONNECT is taken once it is in', async () => {
    const broker = await limited({});
    const [looker, socket] = [await visit(broker, 'app'), await knock(broker)];
    await subscribe(looker, 'a');
    const message = generate({ cmd: 'publish', topic: 'a', payload: 'early', qos: 0, retain: false, dup: false });
    socket.write(Buffer.concat([connectPacket({ username: 'other', password: Buffer.from('open sesame') }), message]));
    await looker.until((got) => got.length === 1);
  });

  test('64 may knock, one more is turned away; who is in does not notice', async () => {
    const broker = await limited({});
    const app = await visit(broker, 'app');
    const sockets = await Promise.all(Array.from({ length: 64 }, () => knock(broker)));
    await closed(await knock(broker));
    expect(broker.status().refused).toEqual({ connect: 1 });
    await app.client.publishAsync('a', 'x', { qos: 1 });
    for (const socket of sockets) socket.destroy();
    await vi.waitFor(async () => void (await visit(broker, 'app')));
  });

  test('one address that lets its connections hang keeps no other address out', async () => {
    const broker = await limited({});
    const sockets = await Promise.all(Array.from({ length: 64 }, () => knock(broker)));
    const elsewhere = connectTcp({ host: '127.0.0.1', port: portOf(broker), localAddress: '127.0.0.2' });
    onTestFinished(() => void elsewhere.destroy());
    elsewhere.write(connectPacket({ username: 'app', password: Buffer.from('open sesame') }));
    const [answer] = (await once(elsewhere, 'data')) as [Buffer];
    expect([...answer]).toEqual([0x20, 2, 0, 0]);
    await vi.waitFor(() => expect(sockets.filter(({ destroyed }) => destroyed)).toHaveLength(1));
    expect(broker.status()).toMatchObject({ clients: 1, refused: { connect: 1 } });
  });

  test('who connects too often is turned away', async () => {
    const broker = await startLocal(USERS, { limits: { connects: 1 } });
    for (let i = 0; i < 5; i++) await visit(broker, 'app');
    await closed(await knock(broker));
    expect(broker.status().refused).toEqual({ connect: 1 });
  });
});

test('no more clients than are allowed, until one leaves', async () => {
  const broker = await limited({ clients: 2 });
  await visit(broker, 'app');
  await visit(broker, 'app', { clientId: 'me' });
  // Who comes again, before its former connection is known to be dead, is no more.
  const first = await visit(broker, 'app', { clientId: 'me' });
  await expect(visit(broker, 'app')).rejects.toThrow('Server unavailable');
  expect(broker.status()).toMatchObject({ clients: 2, refused: { connect: 1 } });
  await first.client.endAsync();
  await vi.waitFor(async () => void (await visit(broker, 'app')));
});

test('a packet that is too large ends the connection, and nobody gets it', async () => {
  const broker = await limited({ packet: '2kB' });
  const [app, other] = [await visit(broker, 'app'), await visit(broker, 'other')];
  await subscribe(other, '#');
  app.client.publish('a', Buffer.alloc(1_990));
  await other.until((got) => got.length === 1);
  const ended = new Promise<void>((resolve) => app.client.once('close', () => resolve()));
  app.client.publish('a', Buffer.alloc(2_001));
  await ended;
  expect(broker.status()).toMatchObject({ clients: 1, refused: { protocol: 1 } });
});

test('who sends too much is read more slowly: all of it arrives, and others are not kept waiting', async () => {
  const broker = await limited({ publishes: 40 });
  const [app, other] = [await visit(broker, 'app'), await visit(broker, 'other')];
  await subscribe(other, 'flood', 'calm');
  for (let i = 0; i < 100; i++) app.client.publish('flood', String(i));
  await vi.waitFor(() => expect(broker.status().refused.fast).toBeGreaterThan(0));
  await other.client.publishAsync('calm', '', { qos: 1 });
  await other.until((got) => got.some(({ topic }) => topic === 'calm'));
  expect(other.got.length).toBeLessThan(101);
  await other.until((got) => got.length === 101);
  expect(other.got.filter(({ topic }) => topic === 'flood').map(({ text }) => Number(text))).toEqual([
    ...Array(100).keys(),
  ]);
});

describe('whatever a client sends much of, it is read more slowly', () => {
  const many = Array.from({ length: 100 }, (_, i) => `filter/${i}`);
  test.each([
    ['pings', generate({ cmd: 'pingreq' }), 200],
    ['acknowledgements of nothing', generate({ cmd: 'puback', messageId: 1 }), 200],
    [
      'subscriptions to the same',
      generate({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 0 }] }),
      200,
    ],
    ['filters at once', generate({ cmd: 'unsubscribe', messageId: 1, unsubscriptions: many }), 2],
  ])('%s', async (_, packet, times) => {
    const broker = await limited({ publishes: 100 });
    const socket = await signedIn(broker);
    socket.resume().write(Buffer.concat(Array(times).fill(packet)));
    await vi.waitFor(() => expect(broker.status().refused).toEqual({ fast: 1 }));
    expect(socket.destroyed).toBe(false);
  });

  test('but not when it acknowledges what it was sent', async () => {
    const broker = await limited({ publishes: 30 });
    const reader = await visit(broker, 'app');
    await subscribe(reader, 'one');
    await reader.client.subscribeAsync('two', { qos: 2 });
    const driver = new MqttClient(() => broker.connect(), { protocolVersion: 4, reconnectPeriod: 0 });
    onTestFinished(() => void driver.end(true));
    for (let i = 0; i < 50; i++) {
      driver.publish('one', String(i), { qos: 1 });
      driver.publish('two', String(i), { qos: 2 });
    }
    await reader.until((got) => got.length === 100);
    await reader.client.publishAsync('end', '', { qos: 1 });
    expect(broker.status().refused).toEqual({});
  });
});

test('who asks for what is retained again and again gets it once after the other', async () => {
  const broker = await limited({});
  for (let i = 0; i < 200; i++) broker.retain(`site/m/${i}`, 'x');
  const app = await visit(broker, 'app');
  for (let i = 0; i < 5; i++) app.client.subscribe('site/#');
  await app.until((got) => got.length === 1_000);
  // Where each time begins: those before it are through, but for what is on the way.
  const begins = app.got.flatMap(({ topic }, at) => (topic === 'site/m/0' ? [at] : []));
  for (const [time, at] of begins.entries()) expect(at).toBeGreaterThan(200 * time - 100);
});

test('more filters at once than anybody needs end the connection', async () => {
  const broker = await limited({});
  const socket = await signedIn(broker);
  const subscriptions = Array.from({ length: 16_000 }, (_, i) => ({ topic: `${i}`, qos: 0 as const }));
  socket.resume().write(generate({ cmd: 'subscribe', messageId: 1, subscriptions }));
  await closed(socket);
  expect(broker.status().refused).toEqual({ protocol: 1 });
});

test('a reader that stalls is cut, and nobody waits for it', async () => {
  const broker = await limited({ queue: '100kB', packet: '10kB', publishes: 100_000 });
  const stalled = await signedIn(broker);
  stalled.write(generate({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '#', qos: 0 }] }));
  const [app, other] = [await visit(broker, 'app'), await visit(broker, 'other')];
  await subscribe(other, '#');
  const payload = 'x'.repeat(2_000);
  let sent = 0;
  while (broker.status().refused.slow === undefined) {
    for (let i = 0; i < 50; i++, sent++) app.client.publish('a', payload);
    await other.until((got) => got.length >= sent);
  }
  expect(broker.status()).toMatchObject({ clients: 2, refused: { slow: 1 } });
  await closed(stalled);
});

test('who reads slowly what was retained is waited for: it asked for it at once', async () => {
  const broker = await limited({ queue: '100kB', packet: '10kB' });
  for (let i = 0; i < 4_000; i++) broker.retain(`site/m/${i}`, 'x'.repeat(2_000));
  await vi.waitFor(() => expect(broker.status().retained).toBe(4_000));
  const slow = await signedIn(broker);
  slow.write(generate({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '#', qos: 0 }] }));
  // Others get theirs meanwhile.
  const other = await visit(broker, 'other');
  await subscribe(other, 'site/m/7');
  await other.until((got) => got.length === 1);
  let bytes = 0;
  slow.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  slow.resume();
  await vi.waitFor(() => expect(bytes).toBeGreaterThan(4_000 * 2_000), 20_000);
  expect(broker.status().refused).toEqual({});
});

test('no more is retained than there is room for: it is passed on, and what was retained can be changed and cleared', async () => {
  const broker = await limited({ retained: { topics: 2, size: '1kB' } });
  const [app, other] = [await visit(broker, 'app'), await visit(broker, 'other')];
  await subscribe(other, '#');
  const put = (topic: string, payload: string) => app.client.publishAsync(topic, payload, { qos: 1, retain: true });
  for (const topic of ['a', 'b', 'c']) await put(topic, '1');
  await put('a', '2');
  await put('b', 'x'.repeat(1_000));
  expect(broker.status()).toMatchObject({ retained: 2, refused: { retained: 2 } });
  await put('a', '');
  await put('c', '3');
  await other.until((got) => got.length === 7);
  const late = await visit(broker, 'app');
  await subscribe(late, '#');
  await late.until((got) => got.length === 2);
  expect(late.got.map(({ topic, text }) => `${topic} ${text}`)).toEqual(['b 1', 'c 3']);
});

test('a thousand subscriptions are enough, and none is a novel', async () => {
  const broker = await limited({});
  const app = await visit(broker, 'app');
  const filters = Array.from({ length: 1_000 }, (_, i) => `a/${i}`);
  expect(new Set(await subscribe(app, ...filters))).toEqual(new Set([1]));
  expect(await subscribe(app, 'a/1', 'b', 'x'.repeat(1_001))).toEqual([1, 128, 128]);
  await app.client.unsubscribeAsync('a/7');
  expect(await subscribe(app, 'b')).toEqual([1]);
});

test('a mistake in the broker itself ends the connection that met it, and no more', async () => {
  const child = fork(fileURLToPath(new URL('../support/broker-child.js', import.meta.url)), { silent: true });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [port] = (await once(child, 'message')) as [number];
  const broker = { status: () => ({ listening: [`127.0.0.1:${port}`], clients: 0, retained: 0, refused: {} }) };
  const [app, other] = [await visit(broker, 'app'), await visit(broker, 'other')];
  await subscribe(other, 'a');
  const ended = new Promise<void>((resolve) => app.client.once('close', () => resolve()));
  app.client.publish('a', 'met', { retain: true });
  await ended;
  await visit(broker, 'app');
  await other.client.publishAsync('a', 'well', { qos: 1 });
  await other.until((got) => got.length === 1);
});

test('messages of QoS 2 that are not released are bounded', async () => {
  const broker = await limited({});
  const socket = await signedIn(broker);
  for (let messageId = 1; messageId <= 101; messageId++)
    socket.write(generate({ cmd: 'publish', topic: 'a', payload: 'x', qos: 2, retain: false, dup: false, messageId }));
  await closed(socket);
  expect(broker.status().refused).toEqual({ protocol: 1 });
});

test('a client that falls silent beyond its keepalive is gone, with its will', async () => {
  const broker = await limited({});
  const other = await visit(broker, 'other');
  await subscribe(other, '#');
  const socket = await knock(broker);
  const will = { topic: 'will', payload: Buffer.from('gone'), qos: 1 as const, retain: false };
  socket.write(connectPacket({ username: 'app', password: Buffer.from('open sesame'), keepalive: 1, will }));
  await other.until((got) => got.length === 1);
  expect(portOf(broker)).toBeGreaterThan(0);
  expect(broker.status().refused).toEqual({ protocol: 1 });
});
