import { existsSync, mkdirSync, openSync, rmdirSync, writeSync } from 'node:fs';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { Damper } from '../../src/devices/damper.js';
import { admittedProfile, judgeFound } from '../../src/devices/found.js';
import { readEntries, readRegister } from '../../src/devices/journal.js';
import { openJournal } from '../../src/devices/journal-file.js';
import type { DeviceNews } from '../../src/devices/news.js';
import { Register } from '../../src/devices/register.js';
import { apply, type JournalEntry, type Registration, rebuild } from '../../src/devices/registration.js';
import type { FoundDevice } from '../../src/driver.js';
import { TidegateError } from '../../src/errors.js';
import { prepareDiskThread } from '../../src/ops/disk-thread.js';
import { openEnrolment } from '../../src/reload/enrolment.js';
import type { Site } from '../../src/site.js';
import { UnsetClock } from '../support/clock.js';
import { silent, temporaryFolder } from '../support/upstream.js';

/** A register, as the gateway opens it. */
async function open({ damping = 20, folder = temporaryFolder(), clock = new UnsetClock(0) } = {}) {
  const thread = prepareDiskThread();
  const reopened = vi.fn();
  const news: DeviceNews[] = [];
  const register = new Register({
    registrations: await readRegister(folder).catch(() => new Map()),
    folder,
    thread,
    clock,
    log: silent,
    tell: (one) => news.push(one),
    reopened,
    damping,
  });
  onTestFinished(async () => {
    await register.close();
    await thread.close();
  });
  await register.open();
  const configured = [{ id: 'a', connection: 'bus', profile: 'test/meter', tags: {}, settings: { unit: 1 } }];
  register.use({ configured, disabled: new Set(), unfit: new Map() });
  return { register, news, clock, folder, thread, reopened };
}

describe('a device that changes on and on', () => {
  test('is told at once a few times, then now and then, each with how many changes it stands for', async () => {
    const { register, news, folder } = await open();
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
    const { register, news } = await open({ damping: 1_000_000 });
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

test('reasons that change while the state does not are shown, and told to nobody', async () => {
  const { register, news } = await open();
  register.heard('a', 'offline', 'timeout');
  register.heard('a', 'offline', 'refused');
  expect(news).toHaveLength(1);
  expect(register.list()).toMatchObject([{ state: 'offline', reason: 'refused' }]);
});

describe('what happens before the clock is set', () => {
  const SET = 1_764_312_000_000;
  const clockOf = (boot: string) => new UnsetClock(0, boot);

  test('is marked, and at its true time once the clock is set', async () => {
    const { register, news, clock, folder } = await open();
    register.heard('a', 'online');
    const [before] = register.list();
    expect(before?.clock).toEqual({ boot: expect.any(String), zero: 0 });
    const entries = await register.history('a');
    expect(entries.map((entry) => entry.clock)).toEqual([before?.clock, before?.clock]);
    clock.set(SET);
    const { clock: _, ...rest } = before as Registration;
    expect(register.list()).toEqual([{ ...rest, since: rest.since + SET }]);
    register.heard('a', 'offline');
    await register.close();
    expect(news.map((one) => one.clock)).toEqual(['unset', undefined]);
    const kept = await readEntries(folder);
    expect(kept.every((entry) => entry.clock === undefined && entry.at > SET)).toBe(true);
    expect(kept.slice(0, 2).map(({ at }) => at - SET)).toEqual(entries.map(({ at }) => at));
    expect(rebuild(kept)).toEqual(register.devices);
  });

  test('is at its true time also when a later start of the same boot learns the time, and of another boot stays marked', async () => {
    const folder = temporaryFolder();
    const other = await open({ folder, clock: clockOf('another boot') });
    other.register.heard('a', 'online');
    await other.register.close();
    const first = await open({ folder, clock: clockOf('this boot') });
    first.register.heard('a', 'offline');
    await first.register.close();
    const [, , was] = await readEntries(folder);
    const second = await open({ folder, clock: clockOf('this boot') });
    second.clock.set(SET);
    await second.register.close();
    const [, old, now] = await readEntries(folder);
    expect(old).toMatchObject({ set: { state: 'online' }, clock: { boot: 'another boot' } });
    expect(now).toEqual({ device: 'a', what: 'state', set: { state: 'offline' }, at: (was?.at ?? 0) + SET });
    expect(await readRegister(folder)).toEqual(second.register.devices);
  });

  test('is marked in summaries too', () => {
    const folder = temporaryFolder();
    const { file } = openJournal(folder, 10);
    const clock = { boot: 'this boot', zero: 0 };
    for (let at = 1; at <= 30; at++)
      file.append([{ device: `d${at % 3}`, at, clock, what: 'added', set: { connection: 'bus', state: 'offline' } }]);
    expect(openJournal(folder).registrations.get('d0')).toMatchObject({ since: 30, clock });
    file.append([], { boot: 'this boot', zero: SET });
    file.close();
    const kept = openJournal(folder).registrations;
    expect([...kept.values()].map(({ since, clock: mark }) => [since - SET, mark])).toEqual(
      expect.arrayContaining([
        [28, undefined],
        [29, undefined],
        [30, undefined],
      ]),
    );
  });
});

test('a thread that has ended stops nothing: what happens is told, a decision is refused', async () => {
  const { register, news, thread } = await open();
  await thread.close();
  register.heard('a', 'online');
  expect(news).toMatchObject([{ state: 'online' }]);
  const entry = { device: 'b', at: 1, what: 'added', set: { connection: 'bus', state: 'offline' } } as const;
  await expect(register.commit([entry])).rejects.toMatchObject({ code: 'REGISTER_STORE' });
  expect([...register.devices.keys()]).toEqual(['a']);
  register.heard('a', 'offline');
  expect(news).toHaveLength(2);
});

describe('what happens while a decision is on its way to the disk', () => {
  const added = { at: 1, what: 'added', set: { connection: 'bus', settings: { unit: 2 }, state: 'offline' } } as const;

  test('is judged by what was decided: devices that are found are told apart, and known', async () => {
    const { register, folder } = await open();
    const decision = register.commit([{ device: 'b', ...added }]);
    const found = [7, 8, 2].map((unit) => register.found('bus', { name: 'plug', settings: { unit }, identity: {} }));
    expect(await Promise.all(found)).toEqual(['plug', 'plug-2', 'b']);
    await decision;
    await register.close();
    expect(await readRegister(folder)).toEqual(register.devices);
  });

  test('undoes nothing: a device that is disabled says how it is, and stays disabled', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    const { register, news, folder } = await open();
    for (let n = 1; n <= 7; n++) register.heard('a', n % 2 ? 'online' : 'offline');
    const decision = register.commit([{ device: 'a', at: 1, what: 'disabled', set: { state: 'disabled' } }]);
    register.heard('a', 'offline');
    vi.advanceTimersByTime(100);
    await decision;
    await register.close();
    expect(news.at(-1)).toMatchObject({ state: 'disabled' });
    expect(register.list()).toMatchObject([{ id: 'a', state: 'disabled' }]);
    expect(await readRegister(folder)).toEqual(register.devices);
  });
});

test('what a device says of itself again and again is told later, under the name that it has by then', async () => {
  const { register, news } = await open({ damping: 1_000_000 });
  for (let n = 1; n <= 8; n++)
    await register.found('bus', { name: 'plug', settings: { unit: 7 }, identity: { boots: String(n) } });
  const approved = {
    at: 1,
    what: 'approved',
    set: { profile: 'test/meter', state: 'offline', reason: 'not read yet' },
  };
  await register.commit([{ device: 'hall', was: 'plug', ...approved } as JournalEntry]);
  await register.close();
  expect([...register.devices.keys()]).toEqual(['a', 'hall']);
  expect(register.devices.get('hall')?.identity).toEqual({ boots: '8' });
  expect(news.at(-1)).toMatchObject({ device: 'plug', state: 'retired' });
});

test('a device that went and came back while nothing was told is in its state since then', async () => {
  const { register, clock, folder } = await open({ damping: 1_000_000 });
  for (let n = 1; n <= 5; n++) register.heard('a', n % 2 ? 'online' : 'offline');
  const since = register.devices.get('a')?.since ?? 0;
  await vi.waitFor(() => expect(clock.steadyNow()).toBeGreaterThan(since));
  register.heard('a', 'offline');
  register.heard('a', 'online');
  await register.close();
  expect(register.devices.get('a')).toMatchObject({ state: 'online' });
  expect(register.devices.get('a')?.since).toBeGreaterThan(since);
  expect(await readRegister(folder)).toEqual(register.devices);
});

describe('the disk', () => {
  const inService = (device: string, unit: number) =>
    ({ device, at: 1, what: 'added', set: { connection: 'bus', settings: { unit }, state: 'offline' } }) as const;

  const off = { what: 'disabled', set: { state: 'disabled' } } as const;

  test.each(['news are', 'a decision is'])(
    'that loses part of the journal while %s written is told again what is known',
    async (what) => {
      const folder = temporaryFolder();
      const { file } = openJournal(folder);
      file.append(Array.from({ length: 300 }, (_, unit) => inService(`m${unit}`, unit)));
      for (let n = 300; n < 9_990; n += 30)
        file.append(Array.from({ length: 30 }, () => ({ ...inService('m0', 0), what: 'configured' })));
      file.close();
      const { register } = await open({ folder });
      const [page, size] = [12, 1024];
      writeSync(openSync(`${folder}/register.sqlite`, 'r+'), Buffer.alloc(size, 0xff), 0, size, page * size);
      if (what === 'news are') for (let n = 0; n < 20; n++) register.heard(`m${n}`, 'online');
      else await register.commit(Array.from({ length: 20 }, (_, n) => ({ ...inService(`m${n}`, n), ...off })));
      await vi.waitFor(() => expect(existsSync(`${folder}/register.sqlite.damaged-1`)).toBe(true), 5_000);
      await register.close();
      expect(await readRegister(folder)).toEqual(register.devices);
      expect(register.devices.size).toBe(301);
    },
  );

  test('that refuses the journal at first: news goes on, nothing is decided or written; then the journal counts', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const folder = temporaryFolder();
    mkdirSync(`${folder}/register.sqlite`);
    const { register, news, reopened } = await open({ folder });
    register.heard('a', 'online');
    expect(await register.found('bus', { settings: { unit: 2 }, identity: {} })).toBe('bus-2');
    expect(news).toMatchObject([{ state: 'online' }, { state: 'pending' }]);
    await expect(register.commit([inService('b', 3)])).rejects.toMatchObject({ code: 'REGISTER_STORE' });
    vi.advanceTimersByTime(5_000);
    rmdirSync(`${folder}/register.sqlite`);
    const { file } = openJournal(folder);
    file.append([inService('bus-2', 2)]);
    file.close();
    vi.advanceTimersByTime(5_000);
    await vi.waitFor(() => expect(reopened).toHaveBeenCalledOnce());
    expect([...register.devices.keys()]).toEqual(['bus-2']);
    await register.commit([inService('b', 3)]);
    await register.close();
    expect((await readEntries(folder)).map(({ device, what }) => [device, what])).toEqual([
      ['bus-2', 'added'],
      ['b', 'added'],
    ]);
  });
});

describe('what a found device says', () => {
  const found = (settings: Record<string, unknown>, identity: Record<string, string> = {}) => ({ settings, identity });

  test('of itself is kept as far as there is room, and is no news when it says it again', () => {
    const facts = Array.from({ length: 40 }, (_, n) => [`${n}`.padEnd(500, 'x'), 'y'.repeat(500)]);
    const device = found({ unit: 1 }, Object.fromEntries(facts));
    const known = new Map();
    const first = judgeFound('bus', device, known, []);
    if (typeof first === 'string' || !first.entry) throw new Error('it is not kept');
    expect(JSON.stringify(first.entry.set.identity).length).toBeLessThan(1_200);
    apply(known, { at: 1, ...first.entry });
    expect(judgeFound('bus', device, known, [])).toEqual({ id: 'bus-1' });
  });

  const cycle: Record<string, unknown> = { unit: 1 };
  cycle.own = cycle;
  test.each([
    ['nothing', undefined],
    ['no keys', {}],
    ['a number', 7],
    ['what JSON does not have', { unit: 1n }],
    ['what has no end', cycle],
    ['far too much', { unit: 'x'.repeat(3_000) }],
  ])('of how it is reached is ignored when it is %s', (_, settings) => {
    const device = { settings, identity: {} } as unknown as FoundDevice;
    expect(judgeFound('bus', device, new Map(), [])).toMatch(/^a device was found .* it is ignored$/);
  });

  test('is taken as far as it is what it should be', () => {
    const device = { settings: { unit: 1, f: () => 1 }, identity: { n: 1 }, profile: {}, name: 5 };
    expect(judgeFound('bus', device as unknown as FoundDevice, new Map(), [])).toEqual({
      id: 'bus-1',
      entry: {
        device: 'bus-1',
        what: 'found',
        set: { origin: 'discovered', connection: 'bus', settings: { unit: 1 }, identity: { n: '1' }, state: 'pending' },
      },
    });
  });

  test('does not fill the register, whatever gateway.yaml admits', () => {
    const known = new Map();
    let refused = '';
    for (let unit = 0; unit < 3_000 && refused === ''; unit++) {
      const judged = judgeFound('bus', found({ unit }), known, []);
      if (typeof judged === 'string') refused = judged;
      else if (judged.entry) apply(known, { at: 1, ...judged.entry, set: { ...judged.entry.set, state: 'online' } });
    }
    expect(refused).toContain('1000 devices that were found are in service');
    expect(known.size).toBe(1_000);
  });
});

test('while the disk refuses what gateway.yaml admits, one attempt waits for the next', async () => {
  const refused = new TidegateError('REGISTER_STORE', 'no');
  const change = vi.fn(() => Promise.reject(refused));
  const { register } = await open();
  await register.found('bus', { settings: { unit: 2 }, identity: {} });
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const rule = { connection: 'bus', profile: ['test/meter'], identity: {} };
  const site = { config: { register: [rule] } } as unknown as Site;
  const enrolment = openEnrolment({ register, reloader: { change }, site: () => site, log: silent });
  for (let n = 0; n < 20; n++) await enrolment.admit();
  expect(change).toHaveBeenCalledTimes(20);
  expect(vi.getTimerCount()).toBe(1);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(change).toHaveBeenCalledTimes(21);
  enrolment.close();
  expect(vi.getTimerCount()).toBe(0);
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
