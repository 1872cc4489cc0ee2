import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { Damper } from '../../src/devices/damper.js';
import { admittedProfile } from '../../src/devices/found.js';
import { Journal, readEntries } from '../../src/devices/journal.js';
import { type DeviceNews, Register } from '../../src/devices/register.js';
import { rebuild } from '../../src/devices/registration.js';
import { prepareDiskThread } from '../../src/ops/disk-thread.js';
import { UnsetClock } from '../support/clock.js';
import { silent, temporaryFolder } from '../support/upstream.js';

function open({ damping = 20, folder = temporaryFolder() } = {}) {
  const thread = prepareDiskThread();
  const journal = new Journal({ folder, thread, log: silent });
  const news: DeviceNews[] = [];
  const clock = new UnsetClock(0);
  const register = new Register({
    registrations: new Map(),
    journal,
    clock,
    log: silent,
    tell: (one) => news.push(one),
    damping,
  });
  onTestFinished(async () => {
    await register.close();
    await thread.close();
  });
  const configured = [{ id: 'a', connection: 'bus', profile: 'test/meter', tags: {}, settings: { unit: 1 } }];
  register.use({ configured, disabled: new Set(), unfit: new Map() });
  return { register, news, clock, folder, thread };
}

describe('a device that changes on and on', () => {
  test('is told at once a few times, then now and then, each with how many changes it stands for', async () => {
    const { register, news, folder } = open();
    for (let n = 1; n <= 1_001; n++) register.heard('a', n % 2 ? 'online' : 'offline');
    expect(news).toHaveLength(5);
    expect(register.list()).toMatchObject([{ state: 'online' }]);
    await vi.waitFor(() => expect(news).toHaveLength(6));
    expect(news[5]).toMatchObject({ state: 'online', previous: 'online', changes: 996 });
    const lived = new Map(register.devices);
    await register.close();
    const entries = await readEntries(folder);
    expect(entries.map(({ changes = 1 }) => changes)).toEqual([1, 1, 1, 1, 1, 1, 996]);
    expect(rebuild(entries)).toEqual(lived);
  });

  test('is told as it is when the gateway stops', async () => {
    const { register, news } = open({ damping: 1_000_000 });
    for (let n = 1; n <= 8; n++) register.heard('a', n % 2 ? 'online' : 'offline', n % 2 ? undefined : 'cut');
    await register.close();
    expect(news.at(-1)).toMatchObject({ state: 'offline', reason: 'cut', changes: 3 });
  });

  test('has its share again after a while, and others always have theirs', () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const damper = new Damper(1_000);
    const told: string[] = [];
    const tell = (thing: string, times: number) => {
      for (let n = 1; n <= times; n++) damper.tell(thing, () => told.push(`${thing}${n}`));
    };
    tell('a', 7);
    tell('b', 1);
    expect(told).toEqual(['a1', 'a2', 'a3', 'a4', 'a5', 'b1']);
    vi.advanceTimersByTime(1_000);
    expect(told.splice(0)).toContain('a7');
    vi.advanceTimersByTime(2_000);
    tell('a', 3);
    expect(told).toEqual(['a1', 'a2']);
    vi.advanceTimersByTime(20_000);
    expect(vi.getTimerCount()).toBe(0);
  });
});

test('reasons that change while the state does not are shown, and told to nobody', () => {
  const { register, news } = open();
  register.heard('a', 'offline', 'timeout');
  register.heard('a', 'offline', 'refused');
  expect(news).toHaveLength(1);
  expect(register.list()).toMatchObject([{ state: 'offline', reason: 'refused' }]);
});

test('what happened before the clock was set is marked', async () => {
  const { register, news, clock, folder } = open();
  register.heard('a', 'online');
  clock.set(1_764_312_000_000);
  register.heard('a', 'offline');
  await register.close();
  expect(news.map((one) => one.clock)).toEqual(['unset', undefined]);
  expect((await readEntries(folder)).map((entry) => entry.clock)).toEqual(['unset', 'unset', undefined]);
});

test('a thread that has ended stops nothing: what happens is told, a decision is refused', async () => {
  const { register, news, thread } = open();
  await register.open();
  await thread.close();
  register.heard('a', 'online');
  expect(news).toMatchObject([{ state: 'online' }]);
  const entry = { device: 'b', at: 1, what: 'added', set: { connection: 'bus', state: 'offline' } } as const;
  await expect(register.commit([entry])).rejects.toMatchObject({ code: 'REGISTER_STORE' });
  expect([...register.devices.keys()]).toEqual(['a']);
  register.heard('a', 'offline');
  expect(news).toHaveLength(2);
});

describe('gateway.yaml admits', () => {
  const rule = { connection: 'floor', profile: ['acme/plug'], identity: { vendor: ['Acme*'] } };
  const found = { connection: 'floor', identity: { vendor: 'Acme AG' } };
  test.each([
    ['what fits', [rule], { ...found, profile: 'acme/plug' }, 'acme/plug'],
    ['what says no profile, under the one that is named', [rule], found, 'acme/plug'],
    ['nothing without a profile where only a pattern is named', [{ ...rule, profile: ['acme/*'] }], found, undefined],
    ['no other profile', [rule], { ...found, profile: 'acme/lamp' }, undefined],
    ['no other connection', [rule], { ...found, connection: 'hall' }, undefined],
    ['no other identity', [rule], { ...found, identity: { vendor: 'Zeus' } }, undefined],
    ['nobody who does not say who he is', [rule], { ...found, identity: {} }, undefined],
    ['by the first rule that fits', [{ ...rule, identity: { model: ['x'] } }, rule], found, 'acme/plug'],
    ['nothing without a rule', [], found, undefined],
  ])('%s', (_, policy, device, profile) => {
    expect(admittedProfile(policy, device)).toBe(profile);
  });
});
