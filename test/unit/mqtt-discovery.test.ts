/** Devices that show themselves on a real broker: by their messages, and by the announcements of their ecosystems. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { announcementsIn } from '../../drivers/mqtt/announcement.js';
import { mqtt } from '../../drivers/mqtt/index.js';
import type { FoundDevice, Session } from '../../src/driver.js';
import { driverContext } from '../support/driver-context.js';
import { FieldBroker } from '../support/field-broker.js';

let broker: FieldBroker;
let session: Session;
const found = new Map<string, FoundDevice>();
let told = 0;

beforeEach(async () => {
  broker = await FieldBroker.start();
});
afterEach(async () => {
  found.clear();
  told = 0;
  await session.close();
  await broker.close();
});

async function discover(topics: Record<string, string> = {}): Promise<void> {
  const connection = mqtt.connection.parse({ broker: broker.url, discover_topics: topics });
  session = (await mqtt.open(connection, driverContext())) as Session;
  await session.discover?.((device) => {
    told += 1;
    found.set(String(device.settings.topic), device);
  });
}

test('what publishes where discover_topics say is found once, with the profile that fits', async () => {
  await discover({ 'zigbee2mqtt/+': 'zigbee2mqtt/sensor', 'tele/{topic}/SENSOR': 'tasmota/plug' });
  for (let count = 0; count < 3; count += 1) broker.publish('zigbee2mqtt/kitchen', { temperature: count });
  broker.publish('zigbee2mqtt/kitchen/availability', 'online');
  broker.publish('elsewhere/kitchen', '1');
  broker.publish('tele/plug_1/STATE', '{}');
  broker.publish('tele/plug_1/SENSOR', '{}');
  await vi.waitUntil(() => found.has('plug_1'));
  expect([...found.values()]).toEqual([
    { settings: { topic: 'zigbee2mqtt/kitchen' }, identity: {}, name: 'kitchen', profile: 'zigbee2mqtt/sensor' },
    { settings: { topic: 'plug_1' }, identity: {}, name: 'plug_1', profile: 'tasmota/plug' },
  ]);
  expect(told).toBe(2);
});

test('Zigbee2MQTT tells of all its devices; those that fit a filter have its profile', async () => {
  const described = { vendor: 'Xiaomi', model: 'ZNCZ02LM', description: 'Mi power plug ZigBee' };
  broker.publish('zigbee2mqtt/bridge/devices', [
    { ieee_address: '0x00124b00120144ae', type: 'Coordinator', friendly_name: 'Coordinator', definition: null },
    { ieee_address: '0x00158d00018255df', type: 'Router', friendly_name: 'Küche oben', definition: described },
    {
      ieee_address: '0x90fd',
      type: 'EndDevice',
      friendly_name: 'attic/sensor',
      definition: null,
      software_build_id: '1.3',
    },
    'nonsense',
    { friendly_name: 'bad/#' },
  ]);
  await discover({ 'zigbee2mqtt/+': 'zigbee2mqtt/plug' });
  await vi.waitUntil(() => found.size === 2);
  expect([...found.values()]).toEqual([
    {
      settings: { topic: 'zigbee2mqtt/Küche oben' },
      identity: { ...described, serial_number: '0x00158d00018255df' },
      name: 'Kuche-oben',
      profile: 'zigbee2mqtt/plug',
    },
    {
      settings: { topic: 'zigbee2mqtt/attic/sensor' },
      identity: { firmware: '1.3', serial_number: '0x90fd' },
      name: 'attic-sensor',
    },
  ]);
});

test('what is announced later completes what was seen; what says the same is not told again', async () => {
  await discover({ 'tele/{topic}/SENSOR': 'tasmota/plug' });
  broker.publish('tele/plug_1/SENSOR', '{}');
  await vi.waitUntil(() => told === 1);
  const config = { t: 'plug_1', md: 'Sonoff S31', sw: '14.1.0', mac: 'A1', dn: 'Fridge' };
  broker.publish('tasmota/discovery/A1/config', config);
  broker.publish('tasmota/discovery/A1/config', config);
  broker.publish('tasmota/discovery/A1/config', { ...config, sw: '14.2.0' });
  await vi.waitUntil(() => told === 3);
  expect(found.get('plug_1')).toEqual({
    settings: { topic: 'plug_1' },
    identity: { vendor: 'Tasmota', model: 'Sonoff S31', firmware: '14.2.0', serial_number: 'A1' },
    name: 'Fridge',
    profile: 'tasmota/plug',
  });
});

test('nobody is remembered by a topic without end', async () => {
  await discover({ 'zigbee2mqtt/+': 'zigbee2mqtt/sensor' });
  broker.publish(`zigbee2mqtt/${'x'.repeat(60_000)}`, '{}');
  broker.publish('zigbee2mqtt/kitchen', '{}');
  await vi.waitUntil(() => found.size > 0);
  expect([...found.keys()]).toEqual(['zigbee2mqtt/kitchen']);
});

test('topics that the broker refuses are told in the log, the others are heard', async () => {
  broker.aedes.authorizeSubscribe = (_client, subscription, done) =>
    done(null, subscription.topic.startsWith('homeassistant') ? null : subscription);
  await discover({ 'shellies/+/online': 'shelly/plug-s' });
  broker.publish('shellies/shellyplug-s-A1B2C3/online', 'true');
  await vi.waitUntil(() => found.size === 1);
  expect(found.get('shellies/shellyplug-s-A1B2C3')?.profile).toBe('shelly/plug-s');
});

describe('announcements', () => {
  const said = (topic: string, json: unknown) => announcementsIn(topic, Buffer.from(JSON.stringify(json)));

  test('of Shelly, first generation', () => {
    const announced = {
      id: 'shellyplug-s-A1',
      model: 'SHPLG-S',
      mac: 'AAA1',
      ip: '10.0.0.9',
      new_fw: false,
      fw_ver: '1.11',
    };
    const identity = { vendor: 'Shelly', model: 'SHPLG-S', firmware: '1.11', serial_number: 'AAA1' };
    const expected = [{ topic: 'shellies/shellyplug-s-A1', identity, name: 'shellyplug-s-A1' }];
    expect(said('shellies/announce', announced)).toEqual(expected);
    expect(said('shellies/shellyplug-s-A1/announce', announced)).toEqual(expected);
  });

  test('of Shelly, later generations', () => {
    const announced = {
      name: 'Pump',
      id: 'shellyplusplugs-a1',
      mac: 'AAA1',
      model: 'SNPL-00112EU',
      gen: 2,
      ver: '1.4.4',
    };
    const identity = { vendor: 'Shelly', model: 'SNPL-00112EU', firmware: '1.4.4', serial_number: 'AAA1' };
    expect(said('shellies/announce', announced)).toEqual([{ topic: 'shellyplusplugs-a1', identity, name: 'Pump' }]);
    expect(said('cellar/announce', announced)).toEqual([{ topic: 'cellar', identity, name: 'Pump' }]);
  });

  test('of ESPHome, by itself and by what it tells Home Assistant', () => {
    const announced = {
      ip: '10.0.0.8',
      name: 'hall',
      friendly_name: 'Hall',
      version: '2025.4.0',
      mac: 'AAA1',
      board: 'esp32dev',
    };
    const identity = { vendor: 'ESPHome', model: 'esp32dev', firmware: '2025.4.0', serial_number: 'AAA1' };
    expect(said('esphome/discover/hall', announced)).toEqual([{ topic: 'hall', identity, name: 'Hall' }]);
    const config = {
      stat_t: 'site/hall/sensor/temperature/state',
      dev: { ids: 'AAA1', name: 'Hall', sw: 'esphome v2025.4.0', mdl: 'esp32dev', mf: 'espressif' },
    };
    expect(said('homeassistant/sensor/hall/temperature/config', config)).toEqual([
      { topic: 'site/hall', identity: { ...identity, firmware: 'esphome v2025.4.0' }, name: 'Hall' },
    ]);
  });

  test.each([
    ['shellies/announce', 'no JSON'],
    ['shellies/announce', '[]'],
    ['shellies/announce', '{"id":"a/+","mac":"1"}'],
    ['x/bridge/devices', '{"friendly_name":"a"}'],
    ['x/bridge/devices', '[null,1,[],{"friendly_name":7}]'],
    ['tasmota/discovery/A1/config', 'null'],
    ['homeassistant/sensor/a/config', '{"stat_t":"a/sensor/b/state"}'],
    ['tasmota/kitchen', '{"t":21.5}'],
    ['tasmota/discovery/A1/sensors', '{"t":"plug"}'],
    ['esphome/kitchen', '{"name":"kitchen"}'],
    ['a/b/announce', '{"id":"b","mac":"1"}'],
    ['tasmota/discovery/A1/config', `{"t":"${'x'.repeat(201)}"}`],
    ['homeassistant/sensor/a/config', '{"stat_t":{"a":1},"dev":[]}'],
  ])('%s %s is none', (topic, payload) => {
    const names = announcementsIn(topic, Buffer.from(payload)).map(({ name }) => name);
    expect(names).toEqual(topic === 'x/bridge/devices' && payload.includes('7') ? ['7'] : []);
  });
});
