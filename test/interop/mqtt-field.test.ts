/** The MQTT driver at mosquitto, with mosquitto_pub and mosquitto_sub as the devices. */
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { mqtt } from '../../drivers/mqtt/index.js';
import type { Session } from '../../src/driver.js';
import { makeCertificates } from '../support/certificates.js';
import { driverContext } from '../support/driver-context.js';
import { deviceOf, pointOf } from '../support/mqtt-points.js';
import { Told } from '../support/opcua-listener.js';
import { type Broker, type BrokerOptions, MOSQUITTO, startBroker, subscribe } from './mosquitto.js';
import { missing, run, start, temporaryFolder } from './programs.js';

const why = missing(...MOSQUITTO);
const signal = new AbortController().signal;
const POWER = pointOf('float64', 'power', { pointer: '/ENERGY/Power', topic: 'tele/{topic}/SENSOR' });
const RELAY = pointOf('bool', 'relay', {
  topic: 'stat/{topic}/POWER',
  access: 'read-write',
  words: { ON: true, OFF: false },
  command: { topic: 'cmnd/{topic}/POWER' },
});
const PLUG = deviceOf([POWER, RELAY], 'tasmota_A1', {
  availability: { topic: 'tele/{topic}/LWT', online: 'Online', offline: 'Offline' },
});

describe.skipIf(why)(`the MQTT driver at mosquitto${why ? `: ${why}` : ''}`, () => {
  let broker: Broker;
  let ends: (() => Promise<void>)[] = [];
  beforeEach(() => {
    ends = [];
  });
  afterEach(async () => {
    for (const end of ends.reverse()) await end();
  });

  async function broke(options: BrokerOptions = {}): Promise<void> {
    broker = await startBroker(options);
    ends.push(() => broker.stop());
  }

  async function connect(keys: object = {}): Promise<Session> {
    const written = { broker: `mqtt://127.0.0.1:${broker.port}`, timeout: '2s', ...keys };
    const session = (await mqtt.open(mqtt.connection.parse(written), driverContext())) as Session;
    ends.push(() => session.close());
    return session;
  }

  const publish = (topic: string, payload: string, ...args: string[]): void => {
    run('mosquitto_pub', [...broker.clientArgs, '-q', '1', '-t', topic, '-m', payload, ...args]);
  };

  test.each(['5', '3.1.1'])('MQTT %s: what is kept, what is said, and an order that is obeyed', async (version) => {
    await broke();
    publish('tele/tasmota_A1/SENSOR', '{"Time":"2026-03-01T12:00:00","ENERGY":{"Power":24}}', '-r');
    const session = await connect({ version });
    const told = new Told();
    await session.subscribe?.(PLUG, PLUG.points, told);
    await told.until(() => told.latest.get(0) === 24);
    publish('stat/tasmota_A1/POWER', 'OFF');
    publish('tele/tasmota_A1/SENSOR', '{"ENERGY":{"Power":1e400}}');
    await told.until(() => told.latest.get(1) === false && told.latest.get(0) === null);

    const orders = await subscribe(broker, 'cmnd/tasmota_A1/POWER');
    ends.push(() => orders.stop());
    await session.write?.(PLUG, RELAY, true, signal);
    const reading = session.read(PLUG, [RELAY], { signal });
    expect(await orders.message(() => true)).toMatchObject({ payload: 'ON', retained: false });
    publish('stat/tasmota_A1/POWER', 'ON');
    expect((await reading).values).toEqual([true]);
  });

  test('the last will of a device that is killed', async () => {
    await broke();
    const args = ['-t', 'x', '--will-topic', 'tele/tasmota_A1/LWT', '--will-payload', 'Offline', '--will-retain', '-d'];
    const plug = start('stdbuf', ['-oL', 'mosquitto_sub', ...broker.clientArgs, ...args]);
    await plug.line((line) => /^Subscribed/.test(line));
    publish('tele/tasmota_A1/LWT', 'Online', '-r');
    const told = new Told();
    await (await connect()).subscribe?.(PLUG, PLUG.points, told);
    await plug.stop('SIGKILL');
    await told.until(() => told.silences.length > 0);
    expect(told.silences).toEqual(['tele/tasmota_A1/LWT says "Offline"']);
  });

  test('a broker that restarts ends the session; the next one begins with what was kept', async () => {
    const memory = temporaryFolder();
    await broke({ memory });
    const told = new Told();
    await (await connect()).subscribe?.(PLUG, PLUG.points, told);
    publish('stat/tasmota_A1/POWER', 'ON', '-r');
    await told.until(() => told.latest.get(1) === true);
    const { port } = broker;
    await broker.stop();
    await told.until(() => told.error !== undefined);
    expect(told.error).toMatchObject({ kind: 'reconnect' });
    ends.splice(0);
    await broke({ memory, port });
    const again = new Told();
    await (await connect()).subscribe?.(PLUG, PLUG.points, again);
    await again.until(() => again.latest.get(1) === true);
  });

  test('TLS, a user and a password; what is wrong with each is told', async () => {
    const certificates = makeCertificates(temporaryFolder());
    await broke({ user: { name: 'gateway', password: 'open sesame' }, certificates, mutual: true });
    const pem = (file: string): string => readFileSync(file, 'utf8');
    const { client } = certificates;
    const tls = { ca: pem(certificates.ca), cert: pem(client.cert), key: pem(client.key) };
    const url = `mqtts://127.0.0.1:${broker.port}`;
    const account = { username: 'gateway', password: 'open sesame' };
    const session = await connect({ broker: url, ...tls, ...account });
    publish('stat/tasmota_A1/POWER', 'ON', '-r', '-u', account.username, '-P', account.password);
    expect((await session.read(PLUG, [RELAY], { signal })).values).toEqual([true]);
    await expect(connect({ broker: url, ...tls, ...account, password: 'wrong' })).rejects.toMatchObject({
      code: 'LINK_REFUSED',
      message: expect.stringMatching(/not authorized|bad user name or password/),
    });
    await expect(connect({ broker: url, ca: pem(certificates.stranger.cert), ...account })).rejects.toMatchObject({
      code: 'LINK_REFUSED',
      message: expect.stringMatching(/set `ca:`/),
    });
  });

  test('devices that announce themselves, among messages that match more than one subscription', async () => {
    await broke();
    const found = vi.fn();
    const session = await connect({ discover_topics: { 'tele/{topic}/SENSOR': 'tasmota/plug' } });
    const told = new Told();
    await session.subscribe?.(PLUG, PLUG.points, told);
    await session.discover?.(found);
    publish('tele/tasmota_A1/SENSOR', '{"ENERGY":{"Power":7}}');
    publish('tasmota/discovery/A1/config', '{"t":"tasmota_A1","md":"S31","sw":"14.1","mac":"A1","dn":"Plug"}', '-r');
    await vi.waitUntil(() => found.mock.calls.length === 2);
    expect(found).toHaveBeenLastCalledWith({
      settings: { topic: 'tasmota_A1' },
      identity: { vendor: 'Tasmota', model: 'S31', firmware: '14.1', serial_number: 'A1' },
      name: 'Plug',
      profile: 'tasmota/plug',
    });
    publish('tele/tasmota_A1/SENSOR', '{"ENERGY":{"Power":8}}');
    await told.until(() => told.latest.get(0) === 8);
    expect(told.pushes).toHaveLength(2);
  });

  test('what we simulate, mosquitto_sub reads, and mosquitto_pub orders', async () => {
    const simulator = await mqtt.simulate?.([PLUG], { host: '127.0.0.1', port: 0 });
    if (!simulator) throw new Error('no simulator');
    onTestFinished(() => simulator.close());
    const clientArgs = ['-h', '127.0.0.1', '-p', String(simulator.port)];
    const all = await subscribe({ clientArgs }, '#');
    onTestFinished(() => all.stop());
    const { payload } = await all.message(({ topic }) => topic === 'tele/tasmota_A1/SENSOR');
    expect(JSON.parse(payload)).toEqual({ ENERGY: { Power: expect.any(Number) } });
    for (const word of ['ON', 'OFF']) {
      // Not `run`, which would keep the simulator waiting too.
      start('mosquitto_pub', [...clientArgs, '-q', '1', '-t', 'cmnd/tasmota_A1/POWER', '-m', word]);
      await all.next(({ topic, payload: said }) => topic === 'stat/tasmota_A1/POWER' && said === word);
    }
  });
});
