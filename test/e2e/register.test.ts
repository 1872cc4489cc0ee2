import Database from 'better-sqlite3';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { DevicesAnswer } from '../../src/devices/answers.js';
import { readRegister } from '../../src/devices/journal.js';
import { askControl } from '../../src/ops/control.js';
import { RegisterSite } from '../support/register-site.js';

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
