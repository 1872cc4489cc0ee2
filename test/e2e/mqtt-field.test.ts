/** MQTT devices through the whole gateway: from what they publish to what arrives upstream, and back by a command; the simulator. */
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { type Gateway, startGateway } from '../../src/gateway.js';
import { TestBroker } from '../support/broker.js';
import { run, start } from '../support/command.js';
import { FieldBroker } from '../support/field-broker.js';
import { SiteFolder } from '../support/site-folder.js';
import { startRelay } from '../support/tcp-relay.js';
import { silent } from '../support/upstream.js';

interface Telemetry {
  readonly ts: number;
  readonly values: Record<string, unknown>;
  readonly bad?: Record<string, string>;
}

const stateOf = (gateway: Gateway, device: string) => gateway.snapshot().devices.find(({ id }) => id === device);

const SENSOR = { power: 12.4, voltage: 231, current: 0.06, energy: 4.21, state: 'ON', linkquality: 87 };

async function plant() {
  const folder = new SiteFolder();
  const [field, cloud] = [await FieldBroker.start(), await TestBroker.start()];
  const relay = await startRelay(field.port);
  onTestFinished(async () => {
    await relay.close();
    await field.close();
    await cloud.down();
  });
  const written = {
    connections: { floor: { driver: 'mqtt', broker: `mqtt://127.0.0.1:${relay.port}`, timeout: '300ms' } },
    devices: {
      plug: { profile: 'zigbee2mqtt/plug', connection: 'floor', topic: 'zigbee2mqtt/plug' },
      fridge: { profile: 'tasmota/plug', connection: 'floor', topic: 'tasmota_A1' },
    },
    upstreams: { cloud: { url: cloud.url, version: '3.1.1', reconnect: { min: '10ms', max: '40ms' } } },
  };
  const told = (device: string): Telemetry[] =>
    cloud.received
      .filter(({ topic }) => topic === `tidegate/g/${device}/telemetry`)
      .map(({ payload }) => JSON.parse(payload) as Telemetry);
  return { folder, field, cloud, relay, written, told };
}

describe('a gateway', () => {
  test('tells upstream what devices publish; who goes offline is bad, with the reason, and good when it is back', async () => {
    const { folder, field, cloud, written, told } = await plant();
    field.publish('zigbee2mqtt/plug', SENSOR);
    const gateway = await startGateway(await folder.load(written), { log: silent });
    onTestFinished(() => gateway.stop());
    await cloud.until(() => told('plug').length > 0);
    const { power, voltage, current, energy } = SENSOR;
    expect(told('plug')[0]?.values).toEqual({
      relay: true,
      active_power: power,
      voltage,
      current,
      energy_total: energy,
      link_quality: 87,
    });
    field.publish('zigbee2mqtt/plug/availability', { state: 'offline' });
    await cloud.until(() => told('plug').some(({ bad }) => bad?.active_power !== undefined));
    const reason = 'zigbee2mqtt/plug/availability says "offline"';
    expect(told('plug').at(-1)?.bad?.active_power).toBe(reason);
    expect(stateOf(gateway, 'plug')).toMatchObject({ state: 'offline', reason });
    field.publish('zigbee2mqtt/plug/availability', { state: 'online' });
    field.publish('zigbee2mqtt/plug', { ...SENSOR, power: 5 });
    await cloud.until(() => told('plug').at(-1)?.values.active_power === 5);
    await vi.waitUntil(() => stateOf(gateway, 'plug')?.state === 'online');
  });

  test('a lost connection is opened again, and begins with what the broker kept', async () => {
    const { folder, field, cloud, relay, written, told } = await plant();
    const gateway = await startGateway(await folder.load(written), { log: silent });
    onTestFinished(() => gateway.stop());
    await vi.waitUntil(() => field.subscribed.includes('zigbee2mqtt/plug'));
    field.publish('zigbee2mqtt/plug', SENSOR);
    await cloud.until(() => told('plug').length > 0);
    relay.cut();
    field.publish('zigbee2mqtt/plug', { ...SENSOR, power: 77 });
    await cloud.until(() => told('plug').some(({ values }) => values.active_power === 77));
  });
});

test('devices on the local broker: one configuration, one process', async () => {
  const { folder, cloud, written, told } = await plant();
  const site = await folder.load({
    ...written,
    broker: { listen: '127.0.0.1:0', anonymous: { read: ['zigbee2mqtt/#'], write: ['zigbee2mqtt/#'] } },
    connections: { floor: { driver: 'mqtt', broker: 'local' } },
  });
  const gateway = await startGateway(site, { log: silent });
  onTestFinished(() => gateway.stop());
  const { connectAsync } = await import('mqtt');
  const [place] = gateway.snapshot().broker?.listening ?? [];
  const plug = await connectAsync(`mqtt://${place}`, { protocolVersion: 4, reconnectPeriod: 0 });
  await plug.publishAsync('zigbee2mqtt/plug', JSON.stringify(SENSOR), { retain: true, qos: 1 });
  await cloud.until(() => told('plug').some(({ values }) => values.active_power === SENSOR.power));
  await plug.endAsync(true);
});

test('a device that nobody wrote down is found, admitted by policy, and told upstream', async () => {
  const { folder, field, cloud, relay, written, told } = await plant();
  const site = await folder.load({
    ...written,
    connections: {
      floor: {
        driver: 'mqtt',
        broker: `mqtt://127.0.0.1:${relay.port}`,
        discover: true,
        discover_topics: { 'zigbee2mqtt/+': 'zigbee2mqtt/plug' },
      },
    },
    devices: {},
    register: [{ connection: 'floor', profile: 'zigbee2mqtt/*' }],
  });
  const gateway = await startGateway(site, { log: silent });
  onTestFinished(() => gateway.stop());
  field.publish('zigbee2mqtt/lamp', SENSOR);
  await cloud.until(() => told('lamp').some(({ values }) => values.active_power === SENSOR.power));
});

describe('the command line', () => {
  test('reads, and writes with read-back, on a wire of its own', async () => {
    const { folder, field, written } = await plant();
    folder.say(written);
    const cwd = folder.path;
    field.publish('stat/tasmota_A1/POWER', 'OFF');
    field.publish('tele/tasmota_A1/SENSOR', { ENERGY: { Power: 24, Voltage: 229 } });
    await field.on('cmnd/tasmota_A1/POWER', (payload) => field.publish('stat/tasmota_A1/POWER', payload));
    const read = await run(['read', 'fridge', 'relay', 'active_power', 'current', '--json'], { cwd });
    expect(JSON.parse(read.stdout)).toMatchObject({
      points: [
        { id: 'relay', raw: 'OFF', value: false, quality: 'good' },
        { id: 'active_power', raw: '24', value: 24, unit: 'W', quality: 'good' },
        { id: 'current', value: null, quality: 'bad', reason: 'the payload has no /ENERGY/Current' },
      ],
    });
    const write = await run(['write', 'fridge', 'relay', 'true', '--json'], { cwd });
    expect([write.code, JSON.parse(write.stdout)]).toMatchObject([
      0,
      { outcome: 'written', raw: true, readBack: { value: true } },
    ]);
    expect(field.published.map(({ topic, payload }) => `${topic} ${payload}`)).toEqual(['cmnd/tasmota_A1/POWER ON']);
  });

  test('simulates a profile on a broker of its own, which takes orders', async () => {
    const folder = new SiteFolder();
    const simulator = start(['simulate', 'zigbee2mqtt/plug', '--port', '0', '--json'], { cwd: folder.path });
    onTestFinished(async () => {
      simulator.child.kill('SIGKILL');
      await simulator.finished;
    });
    const [line] = await simulator.seen(/^\{.*\}$/m);
    const { connections } = JSON.parse(line) as { connections: { port: number; devices: { settings: object }[] }[] };
    expect(connections[0]?.devices[0]?.settings).toMatchObject({ topic: 'simulated' });
    folder.say({
      connections: { floor: { driver: 'mqtt', broker: `mqtt://127.0.0.1:${connections[0]?.port}` } },
      devices: { plug: { profile: 'zigbee2mqtt/plug', connection: 'floor', topic: 'simulated' } },
    });
    for (const value of ['false', 'true']) {
      const { stdout } = await run(['write', 'plug', 'relay', value, '--json'], { cwd: folder.path });
      expect(JSON.parse(stdout)).toMatchObject({ outcome: 'written', readBack: { value: value === 'true' } });
    }
  });
});
