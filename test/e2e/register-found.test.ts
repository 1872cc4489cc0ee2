import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { keepFound } from '../../src/cli/devices.js';
import type { DevicesAnswer } from '../../src/devices/answers.js';
import { readRegister } from '../../src/devices/journal.js';
import type { FoundDevice } from '../../src/driver.js';
import { askControl } from '../../src/ops/control.js';
import { type Peer, startPeer } from '../plugin/peer.js';
import { run } from '../support/command.js';
import { frame, truthful } from '../support/modbus-peer.js';
import { RegisterSite } from '../support/register-site.js';

const PLUGIN = fileURLToPath(new URL('../plugin/lines.js', import.meta.url));
const PROFILE = `profile: acme/line
title: A line of machines
source: none
driver: lines
points:
  speed: { name: speed, type: float64 }
examples:
  - { told: { speed: 500 }, gives: { speed: 500 } }
`;

describe('devices that announce themselves', () => {
  let site: RegisterSite;
  let peer: Peer;
  beforeEach(async () => {
    [site, peer] = [await RegisterSite.start(), await startPeer()];
    onTestFinished(() => peer.close());
    site.write('device-profiles/acme/line.yaml', PROFILE);
    for (const unit of [1, 2, 3, 4]) peer.set(unit, 'speed', unit);
  });
  const say = (more: object = {}) => {
    const floor = { driver: 'lines', host: '127.0.0.1', port: peer.port, discover: true };
    site.say(site.written({}, { plugins: [PLUGIN], connections: { floor }, ...more }));
  };
  /** Says it again until the gateway has heard it: it may just be opening the wire. */
  const announce = async (unit: number, found: Partial<FoundDevice> = {}): Promise<void> => {
    const line = JSON.stringify({ found: { settings: { unit }, identity: {}, profile: 'acme/line', ...found } });
    const heard = ({ devices }: DevicesAnswer) => devices.some(({ settings }) => settings.unit === unit);
    await vi.waitFor(async () => {
      peer.say(line);
      const answer = await askControl<DevicesAnswer>(site.data, { ask: 'devices' });
      expect(answer && heard(answer)).toBe(true);
    }, 5_000);
  };

  test('wait, told upstream and not polled, until they are approved, under another name if wanted', async () => {
    say();
    await site.run();
    await announce(1, { name: 'Line One!', identity: { vendor: 'Acme', serial: '7' } });
    const pending = await site.told('Line-One-', 'pending');
    expect(pending).toMatchObject({
      event: 'change',
      connection: 'floor',
      profile: 'acme/line',
      identity: { vendor: 'Acme' },
    });
    expect(pending).not.toHaveProperty('previous');
    const { stdout } = await run(['devices'], { cwd: site.path });
    expect(stdout).toContain('To take one into service: tidegate devices approve Line-One-\n');
    expect(site.broker.received.some(({ topic }) => topic.endsWith('/telemetry'))).toBe(false);
    const approve = await run(['devices', 'approve', 'Line-One-', '--as', 'line-1'], { cwd: site.path });
    expect(approve).toMatchObject({ code: 0, stdout: 'line-1: approved.\n' });
    expect(await site.told('Line-One-', 'retired')).toMatchObject({ reason: 'called line-1 from now on' });
    expect(await site.told('line-1', 'online')).toMatchObject({
      event: 'birth',
      identity: { vendor: 'Acme', serial: '7' },
    });
    await site.broker.until(() => site.broker.json('line-1/telemetry').length > 0);
  });

  test('are known by how they are reached: told of once, learnt more of, and not asked about again when retired', async () => {
    say();
    await site.run();
    await announce(1, { identity: { vendor: 'Acme' } });
    await site.told('floor-1', 'pending');
    await announce(1, { identity: { firmware: '2.0' } });
    await site.broker.until(() => site.news('floor-1').length === 2);
    expect(site.news('floor-1').at(-1)).toMatchObject({
      state: 'pending',
      identity: { vendor: 'Acme', firmware: '2.0' },
    });
    expect(await run(['devices', 'retire', 'floor-1'], { cwd: site.path })).toMatchObject({ code: 0 });
    await announce(1, { identity: { firmware: '2.0' } });
    await announce(2);
    await site.told('floor-2', 'pending');
    expect(site.news('floor-1').at(-1)).toMatchObject({ state: 'retired', previous: 'pending' });
    await site.kept('floor-2', { state: 'pending' });
    expect((await readRegister(site.data)).size).toBe(2);
  });

  test('that gateway.yaml admits run at once; the others wait, until it admits them too', async () => {
    const rule = { connection: 'floor', profile: 'acme/*', identity: { vendor: ['Acme', 'Zeus*'] } };
    say({ register: [rule] });
    const gateway = await site.run();
    await announce(1, { identity: { vendor: 'Acme' } });
    await announce(2, { identity: { vendor: 'Other' } });
    await announce(3, { identity: { vendor: 'Acme' }, profile: 'other/thing' });
    expect(await site.told('floor-1', 'online')).toMatchObject({ event: 'birth', profile: 'acme/line' });
    await site.told('floor-2', 'pending');
    await site.told('floor-3', 'pending');
    expect(await site.happened('floor-1')).toContain('pending');
    say({ register: [{ ...rule, identity: {} }] });
    await gateway.reload({ by: 'request' });
    await site.told('floor-2', 'online');
    expect(site.news('floor-3').at(-1)).toMatchObject({ state: 'pending' });
  });

  test('are no more than somebody will look at', async () => {
    say();
    await site.run();
    await announce(1);
    for (let unit = 1_000; unit < 1_400; unit++)
      peer.say(JSON.stringify({ found: { settings: { unit }, identity: {} } }));
    await vi.waitFor(async () => {
      const answer = await askControl<DevicesAnswer>(site.data, { ask: 'devices' });
      expect(answer?.devices).toHaveLength(200);
    }, 5_000);
    await announce(1, { identity: { still: 'heard' } });
  });
});

test('a scan may find more than one request can tell of', async () => {
  const site = await RegisterSite.start();
  site.say(site.written({ a: { profile: 'test/meter', connection: 'bus', unit: 1 } }));
  await site.run();
  const found = Array.from({ length: 247 }, (_, n) => ({
    settings: { unit: n + 1 },
    identity: { vendor: 'Acme', model: 'x'.repeat(500) },
  }));
  const ids = await keepFound(site.file, 'bus', found);
  expect(ids.slice(0, 3)).toEqual(['a', 'bus-2', 'bus-3']);
  expect(ids.filter((id) => id === null)).toHaveLength(46);
});

test('what a scan finds is kept by the register, also while no gateway runs, and waits for its profile', async () => {
  const site = await RegisterSite.start();
  site.say(site.written({ a: { profile: 'test/meter', connection: 'bus', unit: 1 } }));
  const units = new Set([1, 4, 7]);
  site.peer.answer = (asked) => {
    if (!units.has(asked.unit)) return undefined;
    return asked.code === 43 ? frame(asked.id, asked.unit, [43 | 0x80, 1]) : truthful(asked);
  };
  const scan = () => run(['scan', 'bus', '--from', '1', '--to', '8', '--register', '--json'], { cwd: site.path });
  const closed = await scan();
  expect(JSON.parse(closed.stdout).found).toMatchObject([{ device: 'a' }, { device: 'bus-4' }, { device: 'bus-7' }]);
  const gateway = await site.run();
  expect(await site.told('a', 'online')).toBeDefined();
  units.add(5);
  expect(JSON.parse((await scan()).stdout).found.map(({ device }: { device: string }) => device)).toEqual([
    'a',
    'bus-4',
    'bus-5',
    'bus-7',
  ]);
  await site.told('bus-5', 'pending');
  const approve = (...words: string[]) => run(['devices', 'approve', 'bus-5', ...words], { cwd: site.path });
  expect((await approve()).stderr).toContain('nobody knows which profile bus-5 has');
  expect(await approve('--profile', 'test/meter')).toMatchObject({ code: 0 });
  await site.told('bus-5', 'online');
  await gateway.stop();
  expect([...(await readRegister(site.data)).values()].map(({ id, state }) => [id, state]).sort()).toEqual([
    ['a', 'online'],
    ['bus-4', 'pending'],
    ['bus-5', 'online'],
    ['bus-7', 'pending'],
  ]);
});
