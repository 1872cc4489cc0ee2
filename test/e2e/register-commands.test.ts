import { mkdirSync } from 'node:fs';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { openJournal } from '../../src/devices/journal-file.js';
import type { Registration } from '../../src/devices/registration.js';
import { type Running, run, runGateway } from '../support/command.js';
import { CountingDevice } from '../support/counting-device.js';
import { RegisterSite } from '../support/register-site.js';

let site: RegisterSite;
let counting: CountingDevice;
beforeEach(async () => {
  site = await RegisterSite.start();
  counting = await CountingDevice.start();
  onTestFinished(() => counting.stop());
  // Another wire, on which connections are counted.
  const { connections, ...rest } = site.written({ a: { profile: 'test/meter', connection: 'other', unit: 1 } });
  const other = { driver: 'modbus', tcp: `127.0.0.1:${counting.port}` };
  site.say({ ...rest, connections: { ...connections, other } });
});

const devices = (...words: string[]) => run(['devices', ...words], { cwd: site.path });
const add = (id: string, unit: number, ...more: string[]) =>
  devices('add', id, '--profile', 'test/meter', '--connection', 'bus', '--set', `unit=${unit}`, ...more);
const known = async (): Promise<Record<string, Registration>> => {
  const { stdout } = await devices('--json');
  const { devices: all } = JSON.parse(stdout) as { devices: Registration[] };
  return Object.fromEntries(all.map((device) => [device.id, device]));
};

const gateway = (): Promise<Running> => runGateway(site.path);

describe('while no gateway runs', () => {
  test('devices are added, disabled, enabled, retired and taken back; the next start polls what it should', async () => {
    expect(await add('b', 2, '--tag', 'area=north')).toMatchObject({
      code: 0,
      stdout: 'b: added. No gateway runs: its next start takes it up.\n',
    });
    await add('c', 3);
    await add('d', 4);
    await devices('disable', 'c');
    await devices('retire', 'd');
    expect(await known()).toMatchObject({
      a: { origin: 'gateway.yaml', state: 'offline' },
      b: { origin: 'command', state: 'offline', settings: { unit: 2 }, tags: { area: 'north' } },
      c: { state: 'disabled', reason: 'by command' },
      d: { state: 'retired' },
    });
    await gateway();
    await site.told('b', 'online');
    const units = new Set(site.peer.asked.map(({ unit }) => unit));
    expect(units).toEqual(new Set([2]));
    expect(await devices('approve', 'd')).toMatchObject({ code: 0, stdout: 'd: approved.\n' });
    await site.told('d', 'online');
    await devices('enable', 'c');
    await site.told('c', 'online');
    const { stdout } = await devices('history', 'd', '--json');
    const { entries } = JSON.parse(stdout) as { entries: { what: string }[] };
    expect(entries.map(({ what }) => what)).toEqual(['added', 'retired', 'approved', 'state']);
  }, 60_000);

  test.each([
    [['add', 'a', '-p', 'test/meter', '--connection', 'bus'], 2, 'a device is called "a" already'],
    [['add', 'x y', '-p', 'test/meter', '--connection', 'bus'], 2, '"x y" is no name for a device'],
    [['add', 'x', '-p', 'test/metre', '--connection', 'bus'], 1, 'did you mean "test/meter"?'],
    [['add', 'x', '-p', 'test/meter', '--connection', 'bos'], 1, 'did you mean "bus"?'],
    [['add', 'x', '-p', 'test/meter', '--connection', 'bus', '-s', 'unti=3'], 1, 'did you mean "unit"?'],
    [['add', 'x', '-p', 'test/meter', '--connection', 'other', '-s', 'unit=1'], 1, '"a" is the same device'],
    [['add', 'x', '-p', 'test/meter'], 2, "required option '--connection <id>' not specified"],
    [['add', 'x', '-p', 'test/meter', '--connection', 'bus', '-s', 'unit'], 2, 'Write a name, = and a value'],
    [['disable', 'a'], 2, 'a is in gateway.yaml, which decides on it'],
    [['retire', 'b'], 2, 'no device is called "b"'],
    [['approve', 'a', '--as', 'b'], 2, 'a is in gateway.yaml'],
    [['show', 'b'], 2, 'no device is called "b"'],
    [['history', 'b'], 2, 'no device is called "b"'],
  ])('%j ends with %i, and says why', async (words, code, text) => {
    const { stderr, ...ended } = await devices(...words);
    expect(ended).toMatchObject({ code });
    expect(stderr).toContain(text);
    expect(Object.keys(await known())).toEqual(['a']);
  });

  test('what cannot be done to a device as it stands is refused', async () => {
    await add('b', 2);
    for (const [words, text] of [
      [['enable', 'b'], 'b is offline: it cannot be enabled'],
      [['approve', 'b'], 'b is offline: it cannot be approved'],
    ] as const)
      expect((await devices(...words)).stderr).toContain(text);
    await devices('retire', 'b');
    expect((await devices('retire', 'b')).stderr).toContain('b is retired: it cannot be retired');
    expect(await add('b', 5)).toMatchObject({ code: 0 });
    expect((await known()).b).toMatchObject({ state: 'offline', settings: { unit: 5 } });
  });
});

test('what happened while the clock was not set is shown as that', async () => {
  mkdirSync(site.data, { recursive: true });
  const { file } = openJournal(site.data);
  const clock = { boot: 'a boot that is over', zero: 0 };
  const set = { origin: 'command', connection: 'bus', profile: 'test/meter', settings: { unit: 2 } } as const;
  file.append([{ device: 'b', at: 1_000, clock, what: 'added', set: { ...set, state: 'disabled' } }]);
  file.close();
  expect((await devices()).stdout).toMatch(/^b +disabled +\? /m);
  expect((await devices('show', 'b')).stdout).toContain('1970-01-01T00:00:01.000Z (clock not set)');
  expect((await devices('history', 'b')).stdout).toContain('1970-01-01T00:00:01.000Z (clock not set)');
  expect((await known()).b).toMatchObject({ since: 1_000, clock });
});

describe('while the gateway runs', () => {
  test('each change is a reload that touches no other device', async () => {
    const running = await gateway();
    await site.told('a', 'online');
    for (const unit of [2, 3, 4])
      expect(await add(`b-${unit}`, unit)).toMatchObject({ code: 0, stdout: `b-${unit}: added.\n` });
    for (const unit of [2, 3, 4]) await site.told(`b-${unit}`, 'online');
    await devices('disable', 'b-2');
    await site.told('b-2', 'disabled');
    const polls = site.peer.asked.filter(({ unit }) => unit === 2).length;
    await devices('retire', 'b-3');
    expect(await site.told('b-3', 'retired')).toMatchObject({
      event: 'death',
      previous: 'online',
      reason: 'by command',
    });
    expect(site.peer.asked.filter(({ unit }) => unit === 2)).toHaveLength(polls);
    expect(site.peer.sockets.size).toBe(1);
    await running.seen(/"reloaded: devices: 1 added, 3 untouched"/);
    await running.seen(/"reloaded: devices: 1 removed, 2 untouched"/);
    expect(counting.connections).toBe(1);
    expect(site.news('a')).toHaveLength(1);
    expect((await devices()).stdout).toMatch(/^From the running gateway\.\n\ndevice +state +since/);
  });

  test('kill -9 at once after a decision was confirmed: it stands', async () => {
    const running = await gateway();
    await add('b', 2);
    running.child.kill('SIGKILL');
    await running.finished;
    expect((await known()).b).toMatchObject({ origin: 'command', settings: { unit: 2 } });
    const again = await gateway();
    await site.told('b', 'online');
    await devices('retire', 'b');
    again.child.kill('SIGKILL');
    await again.finished;
    expect((await known()).b).toMatchObject({ state: 'retired' });
  });

  test('a device whose profile or connection is gone is kept and told, and hinders nobody', async () => {
    await add('b', 2);
    const first = await gateway();
    await site.told('b', 'online');
    first.child.kill('SIGTERM');
    await first.finished;
    const { connections, ...rest } = site.written({});
    site.say({ ...rest, connections: { elsewhere: connections?.bus ?? {} } });
    const second = await gateway();
    const gone = await site.told('b', 'offline');
    expect(gone).toMatchObject({
      event: 'death',
      previous: 'online',
      reason: 'no connection is called "bus" (known here: elsewhere)',
    });
    expect((await run(['check'], { cwd: site.path })).stderr).toContain('the device b of the register does not run');
    expect(await devices('retire', 'b')).toMatchObject({ code: 0 });
    second.child.kill('SIGTERM');
    expect((await second.finished).code).toBe(0);
  });

  test('what a command added may be written into gateway.yaml: it runs on, and is known as it is', async () => {
    const running = await gateway();
    await add('b', 2);
    await site.told('b', 'online');
    const asked = site.peer.sockets.size;
    const { connections, devices: others } = site.written({
      a: { profile: 'test/meter', connection: 'other', unit: 1 },
      b: { profile: 'test/meter', connection: 'bus', unit: 2 },
    });
    const other = { driver: 'modbus', tcp: `127.0.0.1:${counting.port}` };
    site.say(site.written(others ?? {}, { connections: { ...connections, other } }));
    expect(await run(['reload'], { cwd: site.path })).toMatchObject({ code: 0 });
    // It may miss an answer on a busy machine, but not for long.
    const standing = { origin: 'gateway.yaml', state: 'online' };
    await vi.waitFor(async () => expect((await known()).b).toMatchObject(standing), 10_000);
    expect(site.peer.sockets.size).toBe(asked);
    running.child.kill('SIGTERM');
    await running.finished;
  });

  test('gateway.yaml wins over a device of the register of the same name, and says so', async () => {
    await add('b', 2);
    const { connections } = site.written({});
    const own = { b: { profile: 'test/other', connection: 'bus', unit: 7 } };
    site.say(site.written(own, { connections }));
    expect((await run(['check'], { cwd: site.path })).stderr).toContain(
      'b of the register is in gateway.yaml too, which wins',
    );
    await gateway();
    expect(await site.told('b', 'online')).toMatchObject({ profile: 'test/other' });
    expect((await known()).b).toMatchObject({ origin: 'gateway.yaml', settings: {} });
    expect(site.peer.asked.every(({ unit }) => unit === 7)).toBe(true);
  });
});
