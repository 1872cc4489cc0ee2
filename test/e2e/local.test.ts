import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { hashPassword } from '../../src/config/password.js';
import { type Gateway, startGateway } from '../../src/gateway.js';
import type { BrokerStatus } from '../../src/snapshot.js';
import { CountingDevice } from '../support/counting-device.js';
import { PASSWORD, type Visitor, visit } from '../support/local-broker.js';
import { meterProfile, SiteFolder, type Written } from '../support/site-folder.js';
import { silent } from '../support/upstream.js';

const BROKER = { listen: '127.0.0.1:0', anonymous: { read: ['#'], write: ['#'] } };

let folder: SiteFolder;
let device: CountingDevice;
let base: Written;
beforeEach(async () => {
  folder = new SiteFolder();
  folder.write('device-profiles/test/meter.yaml', meterProfile('test/meter', '20ms'));
  device = await CountingDevice.start();
  onTestFinished(() => device.stop());
  base = {
    connections: { bus: { driver: 'modbus', tcp: `127.0.0.1:${device.port}` } },
    devices: {
      a: { profile: 'test/meter', connection: 'bus', unit: 1 },
      b: { profile: 'test/meter', connection: 'bus', unit: 2 },
    },
    broker: BROKER,
  };
});

async function running(written: Written): Promise<Gateway> {
  const gateway = await startGateway(await folder.load(written), { log: silent });
  onTestFinished(() => gateway.stop());
  return gateway;
}

/** Somebody who looks at all of `site/`. */
async function looker(gateway: Gateway): Promise<Visitor> {
  const visitor = await visit({ status: () => gateway.snapshot().broker as BrokerStatus });
  await visitor.client.subscribeAsync('site/#');
  return visitor;
}

async function reload(gateway: Gateway, written: Written) {
  folder.say(written);
  return gateway.reload({ by: 'request' });
}

/** A port that another program has. */
async function takenPort(): Promise<number> {
  const taken = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void taken.close());
  await once(taken, 'listening');
  return (taken.address() as AddressInfo).port;
}

const topics = ({ got }: Visitor) =>
  [...new Set(got.filter(({ text }) => text !== '').map(({ topic }) => topic))].sort();

test('every reading is there as site/{device}/{point}, and how each device stands, retained', async () => {
  const gateway = await running(base);
  await vi.waitFor(() => expect(gateway.snapshot().broker?.retained).toBe(4));
  const visitor = await looker(gateway);
  await visitor.until((got) => got.length > 6);
  expect(topics(visitor)).toEqual(['site/a/$state', 'site/a/n', 'site/b/$state', 'site/b/n']);
  expect(visitor.got.slice(0, 4).map(({ retain }) => retain)).toContain(true);
  const values = visitor.got
    .filter(({ topic }) => topic === 'site/a/n')
    .map(({ text }) => JSON.parse(text) as { value: number; ts: number });
  expect(Object.keys(values[0] ?? {})).toEqual(['value', 'ts']);
  // The register never shows the same number twice; what is published while somebody subscribes may come as retained and live, too.
  const readings = [...new Map(values.map((one) => [one.ts, one.value])).values()];
  expect(readings).toEqual([...new Set(readings)].sort((one, other) => one - other));
});

test('what rules send there, and no other reading; they may send to an upstream as well', async () => {
  folder.write('rules/some.yaml', '- rule: a\n  match: { device: a }\n  send: local\n');
  const gateway = await running(base);
  const visitor = await looker(gateway);
  await visitor.until((got) => got.length > 5);
  expect(topics(visitor)).toEqual(['site/a/$state', 'site/a/n', 'site/b/$state']);
});

test('what cannot be read is bad there, with the reason', async () => {
  const gateway = await running(base);
  const visitor = await looker(gateway);
  await visitor.until((got) => got.length > 2);
  await reload(gateway, { ...base, connections: { bus: { driver: 'modbus', tcp: '127.0.0.1:9' } } });
  await visitor.until((got) => got.some(({ text }) => text.includes('"quality":"bad"')));
  const bad = visitor.got.find(({ text }) => text.includes('"quality":"bad"'));
  expect(JSON.parse(bad?.text ?? '')).toMatchObject({
    value: null,
    quality: 'bad',
    reason: expect.stringContaining('127.0.0.1:9'),
  });
});

describe('a reload', () => {
  test('clears the topics of a device that is gone, and of a point that no rule sends any more', async () => {
    const gateway = await running(base);
    const visitor = await looker(gateway);
    await visitor.until(() => topics(visitor).length === 4);
    await reload(gateway, { ...base, devices: { a: base.devices?.a as object } });
    await visitor.until((got) => got.some(({ topic, text }) => topic === 'site/b/n' && text === ''));
    folder.write('rules/none.yaml', '- rule: none\n  match: { device: "x*" }\n  send: local\n');
    await reload(gateway, { ...base, devices: { a: base.devices?.a as object } });
    await visitor.until((got) => got.some(({ topic, text }) => topic === 'site/a/n' && text === ''));
    // How the other device stands.
    expect(gateway.snapshot().broker?.retained).toBe(1);
    expect(visitor.client.connected).toBe(true);
  });

  test('adds a broker, and takes it away', async () => {
    const { broker: _, ...without } = base;
    const gateway = await running({ ...without, upstreams: { cloud: { url: 'mqtt://127.0.0.1:9' } } });
    expect(gateway.snapshot()).not.toHaveProperty('broker');
    const { changes } = await reload(gateway, base);
    expect(changes.settings.added).toEqual(['broker']);
    const visitor = await looker(gateway);
    await visitor.until((got) => got.length > 2);
    const closed = new Promise<void>((resolve) => visitor.client.once('close', () => resolve()));
    await reload(gateway, { ...without, upstreams: { cloud: { url: 'mqtt://127.0.0.1:9' } } });
    await closed;
    expect(gateway.snapshot()).not.toHaveProperty('broker');
  });

  test('to a port that is taken changes nothing, and says why', async () => {
    const port = await takenPort();
    const gateway = await running(base);
    const visitor = await looker(gateway);
    const before = gateway.snapshot().broker?.listening;
    const next = {
      ...base,
      broker: { ...BROKER, listen: `127.0.0.1:${port}` },
      devices: { a: base.devices?.a as object },
    };
    await expect(reload(gateway, next)).rejects.toMatchObject({ code: 'BROKER_LISTEN' });
    expect(gateway.snapshot().broker?.listening).toEqual(before);
    const seen = visitor.got.length;
    await visitor.until((got) => got.slice(seen).some(({ topic }) => topic === 'site/b/n'));
  });

  test('that fails at an outbox leaves the broker as it was, and all who are there', async () => {
    const users = { app: { password: await hashPassword(PASSWORD), read: ['site/#'] } };
    const gateway = await running({ ...base, broker: { ...BROKER, users } });
    const broker = { status: () => gateway.snapshot().broker as BrokerStatus };
    const [visitor, app] = [await looker(gateway), await visit(broker, 'app')];
    // What an outbox cannot be: a folder.
    mkdirSync(join(folder.path, 'data/outbox/cloud.sqlite'), { recursive: true });
    const before = broker.status();
    const next = {
      ...base,
      broker: { listen: '127.0.0.2:0', anonymous: { read: ['other'] } },
      upstreams: { cloud: { url: 'mqtt://127.0.0.1:9' } },
    };
    await expect(reload(gateway, next)).rejects.toMatchObject({ code: 'OUTBOX_OPEN' });
    const seen = visitor.got.length;
    await visitor.until((got) => got.length > seen + 2);
    expect([visitor.client.connected, app.client.connected]).toEqual([true, true]);
    expect(broker.status()).toEqual({ ...before, retained: expect.any(Number) });
    await visit(broker, 'app');
  });

  test('that fails at a port leaves no new outbox open', async () => {
    const gateway = await running(base);
    const upstreams = { cloud: { url: 'mqtt://127.0.0.1:9' } };
    const taken = { ...BROKER, listen: `127.0.0.1:${await takenPort()}` };
    await expect(reload(gateway, { ...base, broker: taken, upstreams })).rejects.toMatchObject({
      code: 'BROKER_LISTEN',
    });
    expect(gateway.snapshot().upstreams).toEqual([]);
    await reload(gateway, { ...base, upstreams });
    expect(gateway.snapshot().upstreams).toMatchObject([{ id: 'cloud' }]);
  });
});

test('a port that is taken is told at the start; nothing is left running', async () => {
  const port = await takenPort();
  const site = await folder.load({ ...base, broker: { ...BROKER, listen: `127.0.0.1:${port}` } });
  await expect(startGateway(site, { log: silent })).rejects.toMatchObject({
    code: 'BROKER_LISTEN',
    message: `the local broker cannot listen on 127.0.0.1:${port}: another program has that port`,
  });
});
