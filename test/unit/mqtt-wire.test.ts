/** Connections to brokers: versions, sign-in, TLS, the site's own broker, and every way in which a broker can fail. */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { mqtt } from '../../drivers/mqtt/index.js';
import { duplexPair } from '../../src/broker/duplex-pair.js';
import type { DriverContext, Session } from '../../src/driver.js';
import { isKind, type TidegateError } from '../../src/errors.js';
import { makeCertificates } from '../support/certificates.js';
import { driverContext } from '../support/driver-context.js';
import { FieldBroker } from '../support/field-broker.js';
import { deviceOf, pointOf } from '../support/mqtt-points.js';
import { Told } from '../support/opcua-listener.js';
import { temporaryFolder } from '../support/upstream.js';

const signal = new AbortController().signal;
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function startBroker(): Promise<FieldBroker> {
  const broker = await FieldBroker.start();
  closing.push(() => broker.close());
  return broker;
}

async function open(written: object, context: Partial<DriverContext> = {}): Promise<Session> {
  const session = (await mqtt.open(mqtt.connection.parse(written), driverContext(undefined, context))) as Session;
  closing.push(() => session.close());
  return session;
}

const failure = (written: object, context?: Partial<DriverContext>): Promise<TidegateError> =>
  open(written, context).then(
    () => Promise.reject(new Error('it opened')),
    (error: TidegateError) => error,
  );

/** A server of bytes, for what no broker does. */
async function listen(serve: (socket: Socket, bytes: Buffer) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('data', (bytes) => serve(socket, bytes));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

const CONNACK = Buffer.from([0x20, 2, 0, 0]);
/** The protocol level of a CONNECT (MQTT 3.1.1 §3.1.2.2). */
const levelOf = (bytes: Buffer): number | undefined => (bytes[0] === 0x10 ? bytes[8] : undefined);

/** Lets in whoever comes, acknowledges subscriptions (0x82), and says nothing else. */
function letIn(socket: Socket, bytes: Buffer): void {
  if (levelOf(bytes) !== undefined) socket.write(CONNACK);
  else if (bytes[0] === 0x82) socket.write(Buffer.from([0x90, 3, bytes[2] ?? 0, bytes[3] ?? 0, 1]));
}

describe('versions', () => {
  test('auto tries 5, then 3.1.1, also where an old broker closes without a word', async () => {
    const levels: (number | undefined)[] = [];
    const port = await listen((socket, bytes) => {
      levels.push(levelOf(bytes));
      if (levelOf(bytes) === 4) socket.write(CONNACK);
      else socket.destroy();
    });
    await open({ broker: `mqtt://127.0.0.1:${port}` });
    expect(levels.slice(0, 2)).toEqual([5, 4]);
  });

  test('what is written is spoken, or nothing', async () => {
    const broker = await startBroker();
    expect(await failure({ broker: broker.url, version: '5' })).toMatchObject({
      message: expect.stringMatching(/refuses the connection: protocol version not supported/),
    });
    await open({ broker: broker.url, version: '3.1.1' });
  });
});

describe('sign-in', () => {
  test('by user and password; who is refused is told what to look at', async () => {
    const broker = await startBroker();
    broker.aedes.authenticate = (_client, user, password, done) => {
      if (user === 'gateway' && password?.toString() === 'open sesame') return done(null, true);
      done(Object.assign(new Error('no'), { returnCode: 5 }), false);
    };
    await open({ broker: broker.url, username: 'gateway', password: 'open sesame' });
    const error = await failure({ broker: broker.url, username: 'gateway', password: 'secret' });
    expect(error).toMatchObject({ code: 'LINK_REFUSED', kind: 'reconnect' });
    expect(error.message).toMatch(/not authorized \(0x05\); check `username:`, `password:`/);
    expect(error.message).not.toContain('secret');
  });

  test('two sessions of one connection do not push each other out', async () => {
    const broker = await startBroker();
    const written = { broker: broker.url };
    const [first] = [await open(written), await open(written)];
    await expect(first.read(deviceOf([]), [], { signal })).resolves.toMatchObject({ answered: true });
    expect(broker.aedes.connectedClients).toBe(2);
  });
});

describe('TLS', () => {
  test('the authority that is written is trusted, and no other; the client shows its certificate', async () => {
    const { ca, server, client, stranger } = makeCertificates(temporaryFolder());
    const pem = (file: string): string => readFileSync(file, 'utf8');
    const broker = await startBroker();
    const options = { cert: pem(server.cert), key: pem(server.key), ca: pem(ca), requestCert: true };
    const listener = createTlsServer(options, (socket) => broker.aedes.handle(socket)).on('tlsClientError', () => {});
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    onTestFinished(() => void listener.close());
    const url = `mqtts://127.0.0.1:${(listener.address() as AddressInfo).port}`;
    await open({ broker: url, ca: pem(ca), cert: pem(client.cert), key: pem(client.key) });
    const untrusted = await failure({ broker: url, ca: pem(stranger.cert) });
    expect(untrusted).toMatchObject({ code: 'LINK_REFUSED', message: expect.stringMatching(/set `ca:`/) });
    const refused = await failure({ broker: url, ca: pem(ca), cert: pem(stranger.cert), key: pem(stranger.key) });
    expect(isKind(refused, 'reconnect')).toBe(true);
  });
});

describe("the site's own broker", () => {
  test('is reached by a stream within the process', async () => {
    const broker = await startBroker();
    const local = () => {
      const [ours, theirs] = duplexPair();
      broker.aedes.handle(theirs as Socket);
      return ours;
    };
    broker.publish('hall/plug', '21.5');
    const device = deviceOf([pointOf('float64', 'temperature')]);
    const session = await open({ broker: 'local' }, { local });
    expect((await session.read(device, device.points, { signal })).values).toEqual([21.5]);
  });

  test('that is not there is told, with what to write', async () => {
    const error = await failure({ broker: 'local' });
    expect(error).toMatchObject({
      kind: 'reconnect',
      hint: expect.stringMatching(/where gateway\.yaml has `broker:`/),
    });
  });
});

describe('a broker that fails', () => {
  test('nobody listens', async () => {
    expect(await failure({ broker: 'mqtt://127.0.0.1:9' })).toMatchObject({
      code: 'LINK_DOWN',
      message: expect.stringMatching(/ECONNREFUSED.*nothing listens there: check host and port in `broker:`/),
    });
  });

  test('it says nothing', async () => {
    const port = await listen(() => {});
    const error = await failure({ broker: `mqtt://127.0.0.1:${port}`, timeout: '50ms' });
    expect(error).toMatchObject({
      code: 'LINK_DOWN',
      message: expect.stringMatching(/connack timeout; check host and port in `broker:`/),
    });
  });

  test('it is none', async () => {
    const port = await listen((socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'));
    expect(isKind(await failure({ broker: `mqtt://127.0.0.1:${port}` }), 'reconnect')).toBe(true);
  });

  test('it lets us in and confirms nothing: whoever waits is told so, and it is gone', async () => {
    const port = await listen((socket, bytes) => {
      if (levelOf(bytes) !== undefined) socket.write(CONNACK);
    });
    const session = await open({ broker: `mqtt://127.0.0.1:${port}`, version: '3.1.1', timeout: '100ms' });
    const device = deviceOf([pointOf('float64', 'a')]);
    const told = new Told();
    const waiting = session.subscribe?.(device, device.points, told);
    const also = session.read(device, device.points, { signal });
    const gone = {
      code: 'LINK_DOWN',
      message: 'the broker did not confirm a subscription within 0.1 s',
    };
    await expect(waiting).rejects.toMatchObject(gone);
    await expect(also).rejects.toMatchObject(gone);
  });

  test('it is slow: many who leave do not wait for each other', async () => {
    const ends: Buffer[] = [];
    const port = await listen((socket, bytes) => {
      letIn(socket, bytes);
      // Short packets, perhaps both at once.
      for (let at = 0; bytes[at] === 0xa2; at += 2 + (bytes[at + 1] as number))
        ends.push(Buffer.from([0xb0, 2, bytes[at + 2] as number, bytes[at + 3] as number]));
      if (ends.length === 2) for (const end of ends) socket.write(end);
    });
    const session = await open({ broker: `mqtt://127.0.0.1:${port}`, version: '3.1.1' });
    const subscriptions = [];
    for (const id of ['a', 'b']) {
      const device = deviceOf([pointOf('float64', 'power')], id);
      subscriptions.push(await session.subscribe?.(device, device.points, new Told()));
    }
    const left = subscriptions.map((subscription) => subscription?.close());
    await vi.waitUntil(() => ends.length === 2);
    await Promise.all(left);
  });

  test('garbage on an open connection ends it, once, for all that listen', async () => {
    const port = await listen((socket, bytes) => {
      if (levelOf(bytes) !== undefined) socket.write(CONNACK);
      else
        socket.write(
          Buffer.concat([Buffer.from([0x90, 3, 0, bytes[3] ?? 1, 1]), Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff])]),
        );
    });
    const session = await open({ broker: `mqtt://127.0.0.1:${port}`, version: '3.1.1' });
    const device = deviceOf([pointOf('float64', 'a')]);
    const told = new Told();
    await session.subscribe?.(device, device.points, told).catch(() => {});
    const error = await session.read(device, device.points, { signal }).catch((thrown: unknown) => thrown);
    expect(isKind(error, 'reconnect')).toBe(true);
  });

  test('a packet that claims to be huge is not waited for, whatever comes before and behind it', async () => {
    const publish = Buffer.concat([Buffer.from([0x30, 12, 0, 9]), Buffer.from('hall/plug7')]);
    let send: (bytes: Buffer) => void = () => {};
    const port = await listen((socket, bytes) => {
      letIn(socket, bytes);
      send = (more) => socket.write(more);
    });
    const session = await open({ broker: `mqtt://127.0.0.1:${port}`, version: '3.1.1' });
    const device = deviceOf([pointOf('float64', 'a')]);
    const told = new Told();
    await session.subscribe?.(device, device.points, told);
    const long = Buffer.concat([Buffer.from([0x30, 0xe9, 0x07, 0, 1, 0x78]), Buffer.alloc(998)]);
    send(Buffer.concat([publish, long, publish, Buffer.from([0x30, 0x80])]));
    await told.until(() => told.pushes.length === 2);
    expect(told.error).toBeUndefined();
    send(Buffer.from([0x80, 0x80, 0x7f, 0, 9]));
    await told.until(() => told.error !== undefined);
    expect(told.error).toMatchObject({
      code: 'LINK_DOWN',
      message: expect.stringMatching(/^the broker sent a packet of more than 16MB/),
    });
  });

  test.each([
    ['message rate too high', 0x96, /^the broker ended the connection: message rate too high \(0x96\)$/],
    ['session taken over', 0x8e, /session taken over \(0x8e\); .*`client_id:`$/],
  ])('it says goodbye: %s; advice names keys that a connection has', async (_, reason, words) => {
    const port = await listen((socket, bytes) => {
      if (bytes[0] === 0x10) socket.write(Buffer.from([0x20, 3, 0, 0, 0]));
      else socket.write(Buffer.from([0xe0, 2, reason, 0]));
    });
    const session = await open({ broker: `mqtt://127.0.0.1:${port}`, version: '5' });
    const device = deviceOf([pointOf('float64', 'a')]);
    await expect(session.subscribe?.(device, device.points, new Told())).rejects.toMatchObject({
      code: 'LINK_DOWN',
      message: expect.stringMatching(words),
    });
  });

  test('a link that swallows everything is noticed by the keep-alive', async () => {
    const port = await listen(letIn);
    const session = await open({ broker: `mqtt://127.0.0.1:${port}`, version: '3.1.1', keepalive: '1s' });
    const device = deviceOf([pointOf('float64', 'a')]);
    const told = new Told();
    await session.subscribe?.(device, device.points, told);
    await told.until(() => told.error !== undefined);
    expect(told.error).toMatchObject({
      code: 'LINK_DOWN',
      message: expect.stringMatching(/Keepalive timeout; the link is dead/),
    });
  });
});

describe('orders', () => {
  const point = pointOf('bool', 'relay', {
    access: 'read-write',
    topic: '{topic}/state',
    words: { ON: true, OFF: false },
    command: { topic: '{topic}/set' },
  });
  const device = deviceOf([point]);

  test('go out at QoS 1, not retained, and are read back from the state topic', async () => {
    const broker = await startBroker();
    await broker.on('hall/plug/set', (payload) => broker.publish('hall/plug/state', payload, false));
    const session = await open({ broker: broker.url });
    await session.write?.(device, point, true, signal);
    expect(broker.published).toEqual([{ topic: 'hall/plug/set', payload: 'ON', qos: 1, retain: false }]);
    expect((await session.read(device, [point], { signal })).values).toEqual([true]);
  });

  test('that the device does not obey are read back as they are, after the time limit', async () => {
    const broker = await startBroker();
    broker.publish('hall/plug/state', 'OFF');
    const session = await open({ broker: broker.url, timeout: '100ms' });
    await session.write?.(device, point, true, signal);
    expect((await session.read(device, [point], { signal })).values).toEqual([false]);
  });

  test('that the broker does not acknowledge may have been taken', async () => {
    const port = await listen(letIn);
    const session = await open({ broker: `mqtt://127.0.0.1:${port}`, version: '3.1.1', timeout: '100ms' });
    await expect(session.write?.(device, point, true, signal)).rejects.toMatchObject({ kind: 'retry' });
  });

  test.each([
    ['{value}', 21.5, '21.5'],
    ['on={value};', true, 'on=true;'],
    [{ state: '{value}' }, 'a"b', '{"state":"a\\"b"}'],
    [
      { method: 'Switch.Set', params: { id: 0, on: '{value}' } },
      false,
      '{"method":"Switch.Set","params":{"id":0,"on":false}}',
    ],
    [{ text: 'is {value}' }, 7, '{"text":"is 7"}'],
    [{ n: '{value}' }, 18_446_744_073_709_551_615n, '{"n":18446744073709551615}'],
  ])('%j with %s is %s', async (payload, raw, sent) => {
    const broker = await startBroker();
    const written = pointOf('string', 'p', { access: 'write', command: { topic: 'x', payload } });
    await (await open({ broker: broker.url })).write?.(deviceOf([written]), written, raw, signal);
    await vi.waitUntil(() => broker.published.length === 1);
    expect(broker.published[0]?.payload).toBe(sent);
  });
});
