import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { drivers } from '../../drivers/index.js';
import type { Driver } from '../../src/driver.js';
import type { ProblemList } from '../../src/errors.js';
import { loadSite } from '../../src/site.js';

/** A second driver, to have two. */
const bell: Driver = {
  name: 'bell',
  title: 'Bell wire',
  connection: z.strictObject({ wire: z.string() }),
  device: z.strictObject({ tone: z.int().default(1) }),
  address: z.strictObject({ ring: z.int() }),
  example: z.strictObject({ rings: z.array(z.number()) }),
  checkPoint: () => undefined,
  decodeExample: (points) => ({ values: points.map(() => null), answered: true }),
  open: () => Promise.reject(new Error('a bell cannot be opened here')),
};
const both = { ...drivers, bell: () => Promise.resolve(bell) };

/** A folder with files; gives the path of its gateway.yaml. */
function site(files: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), 'tidegate-site-'));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return join(folder, 'gateway.yaml');
}

const GATEWAY = `gateway: plant-7
connections:
  plc: { driver: modbus, tcp: 10.0.0.5, max_registers: 60 }
  porch: { driver: bell, wire: copper }
devices:
  meter-1: { profile: acme/meter, connection: plc, unit: 3, tags: { line: 3 } }
upstreams:
  cloud: { url: mqtt://broker:1883 }
`;
const METER = `profile: acme/meter
title: Meter
driver: modbus
device: { unit: 9, max_gap: 2 }
points:
  power: { address: 0, type: uint16 }
`;

test('a wire that is asked for more than it can well carry is warned of, with what to change', async () => {
  const file = site({
    'gateway.yaml': GATEWAY.replace('tcp: 10.0.0.5', 'serial: /dev/ttyUSB0, baud: 1200').replace(
      'upstreams:',
      '  meter-2: { profile: acme/meter, connection: plc, unit: 4 }\nupstreams:',
    ),
    'device-profiles/acme/meter.yaml': METER.replace('title: Meter', 'title: Meter\nsource: its manual').replace(
      'uint16 }',
      'uint16, every: 300ms, unit: W }\nexamples: [{ words: { 0: [7] }, gives: { power: 7 } }]',
    ),
  });
  const { warnings } = await loadSite(file, { drivers: both, thorough: true });
  const busy = warnings.find(({ code }) => code === 'WIRE_LOAD');
  // A read takes 15 characters, 3.5 of silence and 20 ms: 174 ms of every 300.
  expect(busy).toMatchObject({
    message: 'reading all devices of "plc" takes 116 % of its time',
    hint: 'poll less often (every), raise its speed (baud), or use another wire for some devices; meter-1 alone takes 58 %',
    place: { line: 3 },
  });
});

test('a site is devices, wires and rules, with all defaults filled in', async () => {
  const file = site({
    'gateway.yaml': GATEWAY,
    'device-profiles/acme/meter.yaml': METER,
    'rules/all.yaml': '- rule: all\n  match: { device: "meter-*" }\n  send: cloud\n',
  });
  const loaded = await loadSite(file, { drivers: both });
  expect(loaded.file).toBe(file);
  expect(loaded.devices).toMatchObject([
    { id: 'meter-1', profile: 'acme/meter', connection: 'plc', tags: { line: '3' }, settings: { unit: 3, max_gap: 2 } },
  ]);
  expect(loaded.devices[0]?.points).toMatchObject([{ id: 'power', type: 'uint16', every: 10_000, access: 'read' }]);
  expect(loaded.connectionSettings.get('plc')).toMatchObject({
    tcp: { host: '10.0.0.5', port: 502 },
    max_registers: 60,
  });
  expect(loaded.drivers.get('porch')).toBe(bell);
  expect(loaded.rules).toMatchObject([{ title: 'all', to: ['cloud'] }]);
  expect(loaded.warnings.map(({ message }) => message)).toEqual(['no device uses the connection "porch"']);
});

test.each<[string, string, { code: string; message: string }[]]>([
  ['nobody may connect', '{}', [{ code: 'CONFIG_MISSING_KEY', message: 'nobody may connect to the local broker' }]],
  ['all is well', '{ anonymous: { read: ["#"] } }', []],
  [
    'passwords can be read on the way',
    '{ listen: 0.0.0.0:1883, users: { app: { password: "HASH" } } }',
    [
      {
        code: 'BROKER_PLAIN',
        message: 'the local broker listens on 0.0.0.0:1883 without TLS: passwords and readings can be read on the way',
      },
    ],
  ],
])('a local broker: %s', async (_, broker, expected) => {
  const hash = `$scrypt$ln=14,r=8,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}`;
  const { warnings } = await loadSite(
    site({ 'gateway.yaml': `gateway: g\nbroker: ${broker.replace('HASH', hash)}\n` }),
  );
  expect(warnings.map(({ code, message }) => ({ code, message }))).toEqual(expected);
});

test('topics of unknown devices, where nobody looks for any', async () => {
  const floor = 'driver: mqtt, broker: "mqtt://10.0.0.50", discover_topics: { "zigbee2mqtt/+": zigbee2mqtt/plug }';
  const load = (more: string) =>
    loadSite(
      site({ 'gateway.yaml': `gateway: g\nbroker: { anonymous: {} }\nconnections:\n  floor: { ${floor}${more} }\n` }),
    );
  const [idle] = (await load('')).warnings.filter(({ message }) => message.startsWith('discover_topics'));
  expect(idle).toMatchObject({
    code: 'CONFIG_CONFLICT',
    message: 'discover_topics has no use: nobody looks for devices on "floor"',
    place: { line: 4, column: 54 },
  });
  expect((await load(', discover: true')).warnings).toEqual([]);
});

test('devices of one profile share their points', async () => {
  const two = GATEWAY.replace('upstreams:', '  meter-2: { profile: acme/meter, connection: plc, unit: 4 }\nupstreams:');
  const { devices } = await loadSite(site({ 'gateway.yaml': two, 'device-profiles/acme/meter.yaml': METER }), {
    drivers: both,
  });
  expect(devices[0]?.points).toBe(devices[1]?.points);
});

test('a profile for one driver on a wire of another', async () => {
  const file = site({
    'gateway.yaml': GATEWAY.replace('connection: plc', 'connection: porch'),
    'device-profiles/acme/meter.yaml': METER,
  });
  const error = (await loadSite(file, { drivers: both }).catch((cause: unknown) => cause)) as ProblemList;
  expect(error.errors).toMatchObject([
    {
      code: 'CONFIG_CONFLICT',
      message: 'the profile acme/meter is for the driver modbus, the connection "porch" is bell',
      place: { line: 6, column: 23 },
    },
  ]);
});

test('a wrong value in the settings of a profile is shown in the profile', async () => {
  const file = site({
    'gateway.yaml': GATEWAY,
    'device-profiles/acme/meter.yaml': METER.replace('max_gap: 2', 'max_gap: -2'),
  });
  const error = (await loadSite(file, { drivers: both }).catch((cause: unknown) => cause)) as ProblemList;
  expect(error.errors.map(({ place, message }) => [place?.file.endsWith('meter.yaml'), place?.line, message])).toEqual([
    [true, 4, 'write a number of at least 0'],
  ]);
});

test('without thorough, only the profiles in use are looked at', async () => {
  const file = site({
    'gateway.yaml': GATEWAY,
    'device-profiles/acme/meter.yaml': METER,
    'device-profiles/acme/other.yaml': 'profile: acme/other\n',
  });
  expect((await loadSite(file, { drivers: both })).devices).toHaveLength(1);
  const error = (await loadSite(file, { drivers: both, thorough: true }).catch(
    (cause: unknown) => cause,
  )) as ProblemList;
  expect(new Set(error.errors.map(({ place }) => place?.file.split('/').at(-1)))).toEqual(
    new Set(['meter.yaml', 'other.yaml']),
  );
});

test('a rule that names nothing is told only when the devices are sound', async () => {
  const rules = '- rule: all\n  match: { device: meter-9 }\n  send: clout\n';
  const files = { 'device-profiles/acme/meter.yaml': METER, 'rules/all.yaml': rules };
  const codes = async (gateway: string) =>
    (
      (await loadSite(site({ ...files, 'gateway.yaml': gateway }), { drivers: both }).catch(
        (cause: unknown) => cause,
      )) as ProblemList
    ).errors.map(({ code, place }) => `${place?.file.split('/').at(-1)} ${code}`);
  expect(await codes(GATEWAY)).toEqual(['all.yaml CONFIG_UNKNOWN_NAME', 'all.yaml CONFIG_UNKNOWN_NAME']);
  expect(await codes(GATEWAY.replace('unit: 3', 'unit: 999'))).toEqual(['gateway.yaml CONFIG_VALUE']);
});

test('a connection to the local broker needs one', async () => {
  const written = `gateway: plant-7
connections:
  floor: { driver: mqtt, broker: local }
devices:
  plug: { profile: tasmota/plug, connection: floor, topic: plug }
upstreams: {}
`;
  const error = (await loadSite(site({ 'gateway.yaml': written })).catch((thrown) => thrown)) as ProblemList;
  expect(error.errors).toMatchObject([
    { code: 'CONFIG_MISSING_KEY', message: 'there is no local broker', place: { line: 3, column: 34 } },
  ]);
  const { config } = await loadSite(site({ 'gateway.yaml': `${written}broker: {}\n` }));
  expect(config.broker?.listen).toBe('127.0.0.1:1883');
});
