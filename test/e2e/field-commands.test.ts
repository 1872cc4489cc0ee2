/** `read` and `write` on a wire that can be opened only once: by way of the gateway that holds it, or on their own. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ask, heard } from '../support/asker.js';
import { type Running, run, runGateway } from '../support/command.js';
import { frame, holdNext, type ModbusPeer, refusing, startModbusPeer } from '../support/modbus-peer.js';
import { SiteFolder } from '../support/site-folder.js';

const PROFILE = `profile: acme/pump
title: A pump
source: none
driver: modbus
points:
  setpoint: { type: int16, table: holding, address: 10, unit: Cel, scale: 0.1, limits: { min: -20, max: 60 }, access: read-write }
  mode: { type: uint16, table: holding, address: 11, states: { 0: off, 1: on }, access: read-write }
  reset: { type: uint16, table: holding, address: 12, access: write }
  speed: { type: uint16, table: holding, address: 13 }
examples:
  - { words: { "10": [215, 1, 0, 7] }, gives: { setpoint: 21.5, mode: on, speed: 7 } }
`;

let folder: SiteFolder;
let pump: ModbusPeer;
let connections: number;
let registers: Map<number, number>;
beforeEach(async () => {
  registers = new Map([
    [10, 215],
    [11, 1],
    [13, 7],
  ]);
  const seen = new Set<object>();
  connections = 0;
  pump = await startModbusPeer((asked) => {
    const { id, unit, code, address, count, socket, pdu } = asked;
    if (!seen.has(socket)) connections++;
    seen.add(socket);
    if (code === 3) {
      const data = Buffer.alloc(count * 2);
      for (let at = 0; at < count; at++) data.writeUInt16BE(registers.get(address + at) ?? 0, at * 2);
      return frame(id, unit, [3, data.length, ...data]);
    }
    if (address === 12) return refusing(asked, 4);
    registers.set(address, count);
    return frame(id, unit, pdu.subarray(0, 5));
  });
  folder = new SiteFolder();
  folder.write('device-profiles/acme/pump.yaml', PROFILE);
  folder.say({
    connections: { hall: { driver: 'modbus', tcp: `127.0.0.1:${pump.port}`, timeout: '500ms' } },
    devices: { 'pump-1': { profile: 'acme/pump', connection: 'hall', unit: 1 } },
    upstreams: { cloud: { url: 'mqtt://127.0.0.1:9' } },
  });
});
afterEach(() => pump.close());

const tidegate = (...words: string[]) => run(words, { cwd: folder.path });
const json = (text: string) => JSON.parse(text) as Record<string, unknown>;

async function gateway(): Promise<Running> {
  const running = await runGateway(folder.path);
  await running.seen(/"connected"/);
  return running;
}

describe.each([
  ['by the gateway that holds the wire', true],
  ['on a wire of their own', false],
])('%s', (_name, running) => {
  let log: Running | undefined;
  beforeEach(async () => {
    log = running ? await gateway() : undefined;
  });

  test('read', async () => {
    const { code, stdout } = await tidegate('read', 'pump-1', 'setpoint', 'mode');
    expect([code, stdout]).toEqual([
      0,
      `point     address         raw   decoded    value  quality
setpoint  holding 0x000A  00d7      215  21.5 °C  good
mode      holding 0x000B  0001        1       on  good
`,
    ]);
    expect(json((await tidegate('read', 'pump-1', '--json')).stdout)).toMatchObject({
      device: 'pump-1',
      at: expect.any(Number),
      points: [{ id: 'setpoint' }, { id: 'mode' }, { id: 'speed' }],
    });
    expect(connections).toBe(running ? 1 : 2);
  });

  test('write', async () => {
    const { code, stdout } = await tidegate('write', 'pump-1', 'setpoint', '-7.5');
    expect([code, stdout]).toEqual([0, 'setpoint is written: raw -75, reads back -7.5 °C\n']);
    expect(registers.get(10)).toBe(0x1_0000 - 75);
    expect(json((await tidegate('write', 'pump-1', 'mode', 'off', '--json')).stdout)).toEqual({
      device: 'pump-1',
      point: 'mode',
      outcome: 'written',
      raw: 0,
      readBack: expect.objectContaining({ id: 'mode', value: 'off', quality: 'good' }),
    });
    expect(connections).toBe(running ? 1 : 2);
    await log?.seen(/"device":"pump-1","point":"mode","value":"off","outcome":"written","msg":"write by command"/);
  });

  test.each([
    ['a point that is only read', ['speed', '9'], 'speed cannot be written: its access is read'],
    ['a value above its limit', ['setpoint', '60.1'], 'setpoint cannot be written: 60.1 is above 60'],
    ['a value between two steps', ['setpoint', '21.55'], 'lies between two steps: write 21.5 or 21.6'],
    ['a state that is none', ['mode', 'auto'], '"auto" is none of its states: off, on'],
    ['what is no number', ['setpoint', 'warm'], '"warm" is not a number'],
  ])('write %s: refused, nothing is sent', async (_case, words, reason) => {
    const { code, stdout, stderr } = await tidegate('write', 'pump-1', ...words);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain(`${reason} [WRITE_REFUSED]`);
    const asJson = await tidegate('write', 'pump-1', ...words, '--json');
    expect([asJson.code, json(asJson.stdout)]).toMatchObject([
      1,
      { outcome: 'refused', reason: expect.stringContaining(reason) },
    ]);
    expect(pump.asked.filter(({ code: asked }) => asked !== 3)).toEqual([]);
  });

  test('write what the device refuses, and what it does not answer', async () => {
    const refused = await tidegate('write', 'pump-1', 'reset', '1', '--json');
    expect([refused.code, json(refused.stdout)]).toMatchObject([1, { outcome: 'refused', raw: 1 }]);
    const answer = pump.answer;
    pump.answer = (asked) => (asked.code === 3 ? answer(asked) : undefined);
    const silent = await tidegate('write', 'pump-1', 'mode', 'on');
    expect([silent.code, silent.stdout, silent.stderr]).toEqual([
      1,
      '',
      expect.stringContaining('[DEVICE_UNAVAILABLE]'),
    ]);
  });

  test('names that are not there: exit code 2, with a suggestion', async () => {
    const device = await tidegate('write', 'pump-2', 'mode', 'on');
    expect([device.code, device.stderr]).toEqual([2, expect.stringContaining('"pump-1"')]);
    const point = await tidegate('write', 'pump-1', 'mod', 'on');
    expect([point.code, point.stderr]).toEqual([2, expect.stringContaining('"mode"')]);
  });
});

test('a device that the running gateway does not know yet', async () => {
  await gateway();
  const connection = { driver: 'modbus', tcp: `127.0.0.1:${pump.port}` };
  const device = { profile: 'acme/pump', connection: 'hall', unit: 2 };
  const upstreams = { cloud: { url: 'mqtt://127.0.0.1:9' } };
  // On a wire that the gateway holds: it has to be told first.
  folder.say({ connections: { hall: connection }, devices: { 'pump-2': device }, upstreams });
  const unknown = await tidegate('read', 'pump-2');
  expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining('does not know the device pump-2')]);
  expect(unknown.stderr).toContain('tidegate reload');
  expect(connections).toBe(1);
  // On a wire that it does not have: nobody is disturbed.
  folder.say({
    connections: { yard: connection },
    devices: { 'pump-2': { ...device, connection: 'yard' } },
    upstreams,
  });
  expect((await tidegate('read', 'pump-2')).code).toBe(0);
  expect(connections).toBe(2);
});

test('a write goes next on the wire, however many reads are due', async () => {
  const units = Array.from({ length: 20 }, (_, index) => index + 1);
  folder.write('device-profiles/acme/pump.yaml', PROFILE.replace('points:', 'defaults: { every: 50ms }\npoints:'));
  folder.say({
    connections: { hall: { driver: 'modbus', tcp: `127.0.0.1:${pump.port}`, timeout: '20s' } },
    devices: Object.fromEntries(
      units.map((unit) => [`pump-${unit}`, { profile: 'acme/pump', connection: 'hall', unit }]),
    ),
    upstreams: {},
  });
  await gateway();
  const held = await holdNext(pump);
  const writer = await ask(folder.path, {
    ask: 'write',
    device: 'pump-17',
    connection: 'hall',
    point: 'mode',
    value: 'off',
  });
  await heard(writer);
  // By now all twenty have missed their time, and the wire has stood still for a second: the write was the last to come.
  const before = pump.asked.length;
  held.release();
  await expect.poll(() => pump.asked.length, { timeout: 15_000 }).toBeGreaterThan(before + 2);
  expect(pump.asked.slice(before, before + 2)).toMatchObject([
    { unit: 17, code: 6, address: 11, count: 0 },
    { unit: 17, code: 3, address: 11 },
  ]);
});

test('a wire that is down is told by the gateway that holds it', async () => {
  await gateway();
  await pump.close();
  const reads = await tidegate('read', 'pump-1');
  expect([reads.code, reads.stderr]).toEqual([1, expect.stringContaining('[LINK_DOWN]')]);
});
