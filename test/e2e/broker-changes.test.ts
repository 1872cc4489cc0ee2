import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { MqttClient } from 'mqtt';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Broker } from '../../src/broker/broker.js';
import { hashPassword } from '../../src/config/password.js';
import { type Certificates, makeCertificates } from '../support/certificates.js';
import { brokerConfig, portOf, startLocal, subscribe, type Visitor, visit } from '../support/local-broker.js';

const USERS = { app: { read: ['#'], write: ['#'] }, other: { read: ['#'], write: ['#'] } };

let folder: string;
let certificates: Certificates;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidegate-'));
  certificates = makeCertificates(folder);
});
afterAll(() => rmSync(folder, { recursive: true }));

const ended = ({ client }: Visitor) =>
  new Promise<void>((resolve) => (client.connected ? client.once('close', () => resolve()) : resolve()));

describe('users', () => {
  test('that are gone or differ are cut; the others, and connections within the process, stay', async () => {
    const broker = await startLocal({ ...USERS, third: { read: ['a'] } });
    const driver = new MqttClient(() => broker.connect(), { protocolVersion: 4, reconnectPeriod: 0 });
    onTestFinished(() => void driver.end(true));
    await new Promise<void>((resolve) => driver.once('connect', () => resolve()));
    const [app, other, third] = [
      await visit(broker, 'app'),
      await visit(broker, 'other'),
      await visit(broker, 'third'),
    ];
    await broker.use(await brokerConfig({ app: USERS.app, third: { read: ['b'] } }));
    await Promise.all([ended(other), ended(third)]);
    expect([app.client.connected, driver.connected]).toEqual([true, true]);
    await expect(visit(broker, 'other')).rejects.toThrow('Not authorized');
    expect(await subscribe(await visit(broker, 'third'), 'a', 'b')).toEqual([128, 1]);
  });

  test('the last will of a user that is gone goes with it', async () => {
    const broker = await startLocal(USERS);
    const other = await visit(broker, 'other');
    await subscribe(other, '#');
    await visit(broker, 'app', { will: { topic: 'will', payload: Buffer.from('gone'), qos: 1 as const } as never });
    await broker.use(await brokerConfig({ other: USERS.other }));
    await vi.waitFor(() => expect(broker.status()).toMatchObject({ clients: 1, refused: { write: 1 } }));
    await other.client.publishAsync('end', '', { qos: 1 });
    await other.until((got) => got.some(({ topic }) => topic === 'end'));
    expect(other.got.map(({ topic }) => topic)).toEqual(['end']);
  });

  test('a password that is changed is asked for at once, also of one who was known', async () => {
    const broker = await startLocal(USERS);
    const app = await visit(broker, 'app');
    const config = await brokerConfig(USERS);
    const users = { ...config.users, app: { ...config.users.app, password: await hashPassword('another') } };
    await broker.use({ ...config, users: users as typeof config.users });
    await ended(app);
    await expect(visit(broker, 'app')).rejects.toThrow('Not authorized');
    await visit(broker, 'app', { password: 'another' });
  });

  test('who signs in while something else changes is let in by what is there then', async () => {
    const broker = await startLocal(USERS);
    const app = visit(broker, 'app');
    const changes = setInterval(async () => broker.use(await brokerConfig(USERS)), 5);
    onTestFinished(() => clearInterval(changes));
    await app;
    expect(broker.status().refused).toEqual({});
  });

  test('anonymous clients go by the rights that are there now', async () => {
    const broker = await startLocal({}, { anonymous: { read: ['a'] } });
    const visitor = await visit(broker);
    await broker.use(await brokerConfig({}, { anonymous: { read: ['a'] } }));
    expect(visitor.client.connected).toBe(true);
    await broker.use(await brokerConfig({}, { anonymous: { read: ['b'] } }));
    await ended(visitor);
    expect(await subscribe(await visit(broker), 'a', 'b')).toEqual([128, 1]);
  });
});

describe('a port', () => {
  test('that moves takes its clients along: they connect again', async () => {
    const broker = await startLocal(USERS);
    const app = await visit(broker, 'app');
    const before = portOf(broker);
    await broker.use(await brokerConfig(USERS, { listen: '127.0.0.2:0' }));
    await ended(app);
    await expect(visit(broker, 'app', { port: before })).rejects.toThrow();
    await visit(broker, 'app', { host: '127.0.0.2' });
  });

  test('that stays goes on when another address with the same number comes beside it', async () => {
    const free = await startLocal(USERS);
    const port = portOf(free);
    await free.close();
    const listen = `127.0.0.1:${port}`;
    const broker = await startLocal(USERS, { listen });
    await broker.use(
      await brokerConfig(USERS, { listen, tls: { listen: `127.0.0.2:${port}`, ...certificates.server } }),
    );
    await visit(broker, 'app');
    expect(broker.status().listening).toEqual([listen, `127.0.0.2:${port} (TLS)`]);
  });

  test('that stays at another address is given back first; if the new address is none, it is taken again', async () => {
    const free = await startLocal(USERS);
    const port = portOf(free);
    await free.close();
    const broker = await startLocal(USERS, { listen: `127.0.0.1:${port}` });
    await broker.use(await brokerConfig(USERS, { listen: `127.0.0.2:${port}` }));
    const app = await visit(broker, 'app', { host: '127.0.0.2' });
    const nowhere = await brokerConfig(USERS, { listen: `192.0.2.1:${port}` });
    await expect(broker.use(nowhere)).rejects.toMatchObject({
      code: 'BROKER_LISTEN',
      message: `the local broker cannot listen on 192.0.2.1:${port}: this machine has no such address`,
    });
    expect(app.client.connected).toBe(true);
    await visit(broker, 'app', { host: '127.0.0.2' });
  });
});

describe('TLS', () => {
  const tls = () => ({ listen: '127.0.0.1:0', ...certificates.server });
  const safely = (broker: Broker, more: object = {}) =>
    visit(broker, 'app', { protocol: 'mqtts', port: portOf(broker, 1), ca: readFileSync(certificates.ca), ...more });

  test('is a second way in, with the same rights and limits', async () => {
    const broker = await startLocal({ app: { read: ['a'] } }, { tls: tls(), limits: { packet: '1kB' } });
    expect(broker.status().listening[1]).toMatch(/ \(TLS\)$/);
    const app = await safely(broker);
    expect(await subscribe(app, 'a', 'b')).toEqual([1, 128]);
    broker.retain('a', 'x'.repeat(50_000));
    await app.until((got) => got.length === 1);
    app.client.publish('a', 'x'.repeat(2_000));
    await ended(app);
    await expect(safely(broker, { password: 'wrong' })).rejects.toThrow('Not authorized');
    expect(broker.status().refused).toEqual({ read: 1, protocol: 1, 'sign-in': 1 });
  });

  test('that is taken away takes its clients along', async () => {
    const broker = await startLocal(USERS, { tls: tls() });
    const [app, other] = [await safely(broker), await visit(broker, 'other')];
    await broker.use({ ...(await brokerConfig(USERS)), listen: '127.0.0.1:0' });
    await ended(app);
    expect(other.client.connected).toBe(true);
    expect(broker.status().listening).toHaveLength(1);
  });

  test('who signed in by it is no stranger any more: more may come', async () => {
    const broker = await startLocal(USERS, { tls: tls(), limits: { connects: 10_000 } });
    for (let i = 0; i < 65; i++) await safely(broker);
    expect(broker.status()).toMatchObject({ clients: 65, refused: {} });
  });

  test('a client that speaks none is turned away', async () => {
    const broker = await startLocal(USERS, { tls: tls() });
    await expect(visit(broker, 'app', { port: portOf(broker, 1) })).rejects.toThrow();
    await vi.waitFor(() => expect(broker.status().refused).toEqual({ connect: 1 }));
  });

  test('a renewed certificate is shown to those who come from now on; those who are there stay', async () => {
    const pair = { cert: join(folder, 'now.pem'), key: join(folder, 'now.key') };
    const put = (from: { cert: string; key: string }) => {
      copyFileSync(from.cert, pair.cert);
      copyFileSync(from.key, pair.key);
    };
    put(certificates.stranger);
    const config = { tls: { listen: '127.0.0.1:0', ...pair } };
    const broker = await startLocal(USERS, config);
    const port = portOf(broker, 1);
    const first = await safely(broker, { ca: undefined, rejectUnauthorized: false });
    put(certificates.server);
    const next = await brokerConfig(USERS, config);
    await broker.use({ ...next, tls: { ...config.tls, certificates: 'another digest' } });
    expect(portOf(broker, 1)).toBe(port);
    expect(first.client.connected).toBe(true);
    expect(await shownBy(port)).toBe('server');
  });

  test('a key that does not fit is an error, and the former is shown on', async () => {
    const broker = await startLocal(USERS, { tls: tls() });
    const next = await brokerConfig(USERS);
    const unfit = { listen: '127.0.0.1:0', cert: certificates.server.cert, key: certificates.client.key };
    await expect(broker.use({ ...next, tls: unfit })).rejects.toMatchObject({ code: 'BROKER_LISTEN' });
    expect(await shownBy(portOf(broker, 1))).toBe('server');
    await expect(startLocal(USERS, { tls: unfit })).rejects.toMatchObject({ code: 'BROKER_LISTEN' });
  });
});

/** The common name of the certificate that a port shows. */
async function shownBy(port: number): Promise<string> {
  const socket: TLSSocket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false });
  await new Promise<void>((resolve) => socket.once('secureConnect', () => resolve()));
  const { subject } = socket.getPeerCertificate();
  socket.destroy();
  return String(subject.CN);
}
