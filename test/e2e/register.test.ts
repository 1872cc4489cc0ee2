import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { DevicesAnswer } from '../../src/devices/answers.js';
import { readRegister } from '../../src/devices/journal.js';
import type { DeviceState } from '../../src/model.js';
import { askControl } from '../../src/ops/control.js';
import { Database } from '../../src/ops/sqlite.js';
import type { BrokerStatus } from '../../src/snapshot.js';
import { TestBroker } from '../support/broker.js';
import { visit } from '../support/local-broker.js';
import { type News, RegisterSite } from '../support/register-site.js';
import { ScriptedBroker } from '../support/scripted-broker.js';

const meter = (unit: number, more: object = {}) => ({ profile: 'test/meter', connection: 'bus', unit, ...more });
const asked = (site: RegisterSite, unit: number) => site.peer.asked.filter((request) => request.unit === unit).length;

test('a device that comes, goes and comes back is told so, retained, and the journal has the same', async () => {
  const site = await RegisterSite.start();
  site.say(site.written({ a: meter(1, { tags: { area: 'north' } }), b: meter(2) }));
  const gateway = await site.run();
  const birth = await site.told('a', 'online');
  expect(birth).toMatchObject({ device: 'a', event: 'birth', profile: 'test/meter', connection: 'bus', identity: {} });
  expect(birth.id).toMatch(/^g:1:\d+$/);
  expect(site.broker.received.find(({ topic }) => topic === 'tidegate/g/a/status')?.retain).toBe(true);

  site.silentUnits.add(1);
  expect(await site.told('a', 'offline')).toMatchObject({
    event: 'death',
    previous: 'online',
    reason: expect.stringContaining('timeout'),
  });
  site.silentUnits.clear();
  expect(await site.told('a', 'online')).toMatchObject({ event: 'birth', previous: 'offline' });
  expect(site.news('b').map(({ state }) => state)).toEqual(['online']);
  await site.kept('a', { state: 'online' });
  const lived = (await askControl<DevicesAnswer>(site.data, { ask: 'devices' }))?.devices;
  await gateway.stop();
  expect(await site.happened('a')).toEqual(['offline', 'online', 'offline', 'online']);
  expect([...(await readRegister(site.data)).values()]).toEqual(lived);
});

test('a restart tells every device anew, and writes only what is different', async () => {
  const site = await RegisterSite.start();
  site.say(site.written({ a: meter(1), b: meter(2) }));
  const first = await site.run();
  await site.told('a', 'online');
  await site.told('b', 'online');
  await first.stop();
  const { since } = await site.kept('a', { state: 'online' });
  const before = site.news().length;
  site.silentUnits.add(2);
  const second = await site.run();
  expect(await site.told('b', 'offline')).toMatchObject({ event: 'death', previous: 'online' });
  await site.broker.until(() => site.news('a').length === 2);
  expect(site.news().slice(before)).toHaveLength(2);
  expect(site.news('a').at(-1)).toMatchObject({ event: 'birth', state: 'online', previous: 'online' });
  await second.stop();
  expect(await site.happened('a')).toEqual(['offline', 'online']);
  expect(await site.kept('a', { state: 'online', since })).toBeDefined();
});

test('what gateway.yaml disables is known and not polled; what it does not name any more is retired', async () => {
  const site = await RegisterSite.start();
  site.say(site.written({ a: meter(1), b: meter(2, { disabled: true }), c: meter(3) }));
  const gateway = await site.run();
  await site.told('a', 'online');
  expect(await site.told('b', 'disabled')).toMatchObject({ event: 'change', reason: 'by gateway.yaml' });
  expect(asked(site, 2)).toBe(0);
  site.say(site.written({ a: meter(1, { disabled: true }), b: meter(2) }));
  await gateway.reload({ by: 'request' });
  expect(await site.told('a', 'disabled')).toMatchObject({ event: 'death', previous: 'online' });
  expect(await site.told('b', 'online')).toMatchObject({ event: 'birth', previous: 'offline' });
  expect(await site.told('c', 'retired')).toMatchObject({ event: 'death', reason: 'not in gateway.yaml' });
  await gateway.stop();
  expect([...(await readRegister(site.data)).values()].map(({ id, state }) => [id, state]).sort()).toEqual([
    ['a', 'disabled'],
    ['b', 'online'],
    ['c', 'retired'],
  ]);
});

describe('whoever has not heard of it is told how every device stands', () => {
  const devices = { a: meter(1), b: meter(2), c: meter(3, { disabled: true }) };
  const standing = [
    ['a', 'birth', 'online'],
    ['b', 'death', 'offline'],
    ['c', 'change', 'disabled'],
  ];
  const heard = (broker: TestBroker) =>
    broker.received
      .filter(({ topic }) => /^tidegate\/g\/.\/status$/.test(topic))
      .map(({ payload }) => JSON.parse(payload) as News)
      .map(({ device, event, state }) => [device, event, state]);

  async function scene(more: object = {}) {
    const site = await RegisterSite.start();
    site.silentUnits.add(2);
    const written = site.written(devices, more);
    site.say(written);
    const gateway = await site.run();
    for (const [device, , state] of standing) await site.told(device as string, state as DeviceState);
    const other = await TestBroker.start();
    onTestFinished(() => other.down());
    return { site, written, gateway, other };
  }

  test('an upstream that a reload adds', async () => {
    const { site, written, gateway, other } = await scene();
    const before = site.news().length;
    const cloud = written.upstreams?.cloud ?? {};
    site.say({ ...written, upstreams: { cloud, other: { ...cloud, url: other.url } } });
    await gateway.reload({ by: 'request' });
    await other.until(() => heard(other).length >= 3);
    expect(heard(other).sort()).toEqual(standing);
    await gateway.stop();
    expect(site.news()).toHaveLength(before);
  });

  test('one that is pointed elsewhere, or gets other topics', async () => {
    const { site, written, gateway, other } = await scene();
    const cloud = { ...written.upstreams?.cloud, url: other.url };
    site.say({ ...written, upstreams: { cloud } });
    await gateway.reload({ by: 'request' });
    await other.until(() => heard(other).length >= 3);
    expect(heard(other).sort()).toEqual(standing);
    site.say({ ...written, upstreams: { cloud: { ...cloud, device_topic: 'of/{device}' } } });
    await gateway.reload({ by: 'request' });
    await other.until(() => other.json('of/c').length > 0);
    expect(other.json('of/b')).toMatchObject([{ event: 'death', state: 'offline' }]);
  });

  test('the broker of a start, also of those that are not polled', async () => {
    const { site, written, gateway, other } = await scene();
    await gateway.stop();
    site.say({ ...written, upstreams: { cloud: { ...written.upstreams?.cloud, url: other.url } } });
    await site.run();
    await other.until(() => heard(other).length >= 3);
    expect(heard(other).sort()).toEqual(standing);
  });

  test('one that takes what it refused before, so that what it retains is right', async () => {
    const right = { granted: false };
    const refusing = await ScriptedBroker.start({
      publish: (_, { topic }) => ({ reasonCode: topic === 'of/a' && !right.granted ? 0x90 : 0 }),
    });
    onTestFinished(() => refusing.stop());
    const site = await RegisterSite.start();
    const { upstreams, ...written } = site.written(devices);
    const cloud = {
      ...upstreams?.cloud,
      url: refusing.url,
      version: '5',
      buffer: { flush: '40ms' },
      device_topic: 'of/{device}',
    };
    site.say({ ...written, upstreams: { cloud } });
    const gateway = await site.run();
    const kept = () => gateway.snapshot().upstreams[0]?.rejections?.kept;
    await vi.waitFor(() => expect(kept()).toBe(1), 5_000);
    right.granted = true;
    site.silentUnits.add(1);
    const states = () =>
      refusing.published
        .filter(({ topic }) => topic === 'of/a')
        .map(({ payload }) => (JSON.parse(payload) as News).state);
    await vi.waitFor(() => expect(states()).toEqual(['online', 'offline']), 5_000);
    await askControl(site.data, { ask: 'requeue', upstream: 'cloud' });
    await vi.waitFor(() => expect(states()).toEqual(['online', 'offline', 'online', 'offline']), 5_000);
  });

  test("the site's own broker: retained, in the form of a value, until they are gone", async () => {
    const broker = { listen: '127.0.0.1:0', anonymous: { read: ['site/#'] } };
    const { site, written, gateway } = await scene();
    site.say({ ...written, broker });
    await gateway.reload({ by: 'request' });
    const visitor = await visit({ status: () => gateway.snapshot().broker as BrokerStatus });
    await visitor.client.subscribeAsync('site/+/$state');
    const last = (device: string): unknown => {
      const text = visitor.got.filter(({ topic }) => topic === `site/${device}/$state`).at(-1)?.text;
      return text ? JSON.parse(text) : text;
    };
    await visitor.until(() => ['a', 'b', 'c'].every((device) => last(device) !== undefined));
    expect(last('a')).toEqual({ value: 'online', ts: expect.any(Number) });
    expect(last('b')).toEqual({ value: 'offline', ts: expect.any(Number), reason: expect.stringContaining('timeout') });
    expect(last('c')).toMatchObject({ value: 'disabled', reason: 'by gateway.yaml' });
    site.silentUnits.clear();
    await visitor.until(() => (last('b') as { value: string }).value === 'online');
    site.say({ ...written, broker, devices: { b: devices.b, c: devices.c } });
    await gateway.reload({ by: 'request' });
    await visitor.until(() => last('a') === '');
  });
});

test('a disk that refuses stops nothing: states are told, a decision is refused; when it is back all is written', async () => {
  const site = await RegisterSite.start();
  site.say(site.written({ a: meter(1) }));
  const gateway = await site.run();
  await site.told('a', 'online');
  await site.kept('a', { state: 'online' });
  const thief = new Database(`${site.data}/register.sqlite`);
  thief.exec('BEGIN EXCLUSIVE');
  onTestFinished(() => void thief.close());
  const add = { do: 'add', id: 'b', profile: 'test/meter', connection: 'bus', settings: { unit: 2 } };
  const polls = asked(site, 1);
  const refused = expect(askControl(site.data, { ask: 'change', change: add })).rejects.toMatchObject({
    code: 'REGISTER_STORE',
  });
  await vi.waitFor(() => expect(asked(site, 1)).toBeGreaterThan(polls + 20), 5_000);
  await refused;
  site.silentUnits.add(1);
  await site.told('a', 'offline');
  expect(asked(site, 2)).toBe(0);
  thief.exec('ROLLBACK');
  await gateway.stop();
  expect(await site.happened('a')).toEqual(['offline', 'online', 'offline']);
  expect((await readRegister(site.data)).has('b')).toBe(false);
}, 30_000);
