/** Nothing is lost between two programs of other authors: the broker goes and comes back, the gateway is killed, the device restarts. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTidegate, type Telemetry, writeSite } from './gateway.js';
import { type ModbusServer, PYMODBUS, startModbusServer } from './modbus-server.js';
import { type Broker, MOSQUITTO, type Subscriber, startBroker, subscribe } from './mosquitto.js';
import { missing, type Program, temporaryFolder } from './programs.js';

const why = missing(...MOSQUITTO, PYMODBUS);
const TOPIC = 'tidegate/bench-3/counter/telemetry';

describe.skipIf(why)(`outages${why ? `: ${why}` : ''}`, () => {
  const memory = temporaryFolder();
  let device: ModbusServer;
  let broker: Broker;
  let subscriber: Subscriber;
  let gateway: Program;
  let folder: string;
  let count = 0;

  const received = (): Telemetry[] =>
    subscriber
      .received()
      .filter(({ topic }) => topic === TOPIC)
      .map(({ payload }) => JSON.parse(payload));

  /** Counts on in the device, and waits until the new count has arrived at the receiver. */
  async function countArrives(): Promise<Telemetry> {
    count += 1;
    const wanted = count;
    device.set({ 1: { holding: { 0: [wanted] } } });
    const { payload } = await subscriber.message(
      ({ topic, payload }) => topic === TOPIC && JSON.parse(payload).values.count === wanted,
    );
    return JSON.parse(payload);
  }

  /** Counts on in the device and waits until the gateway has polled it, by what is accepted into its outbox. */
  async function countIsPolled(): Promise<void> {
    count += 1;
    device.set({ 1: { holding: { 0: [count] } } });
    const wanted = count;
    const watch = startTidegate(['watch', '--config', `${folder}/gateway.yaml`, '--json']);
    await watch.line((line) => {
      if (!line.startsWith('{')) return false;
      const { devices } = JSON.parse(line) as { devices: { points: { value: unknown }[] }[] };
      return devices[0]?.points[0]?.value === wanted;
    });
    await watch.stop();
  }

  beforeAll(async () => {
    device = await startModbusServer({ 1: { holding: { 0: [0] } } });
    broker = await startBroker({ memory });
    subscriber = await subscribe(broker, 'tidegate/#', 'receiver');
    folder = writeSite({
      'gateway.yaml': `gateway: bench-3
connections: { plc: { driver: modbus, tcp: "127.0.0.1:${device.port}" } }
devices: { counter: { profile: interop/counter, connection: plc } }
upstreams:
  cloud:
    url: "mqtt://127.0.0.1:${broker.port}"
    reconnect: { min: 100ms, max: 500ms }
    buffer: { flush: 100ms, live_for: 300ms }
`,
      'device-profiles/interop/counter.yaml': `profile: interop/counter
title: A counter
driver: modbus
points: { count: { address: 0, type: uint16, every: 50ms } }
`,
    });
    gateway = startTidegate(['run', `${folder}/gateway.yaml`]);
    await countArrives();
  });

  afterAll(async () => {
    await gateway?.stop('SIGKILL');
    await subscriber?.stop();
    await broker?.stop();
    await device?.stop();
  });

  test('what was read while the broker was away arrives, marked as late', async () => {
    await broker.stop();
    const away: number[] = [];
    for (let i = 0; i < 3; i++) {
      await countIsPolled();
      away.push(count);
    }
    broker = await startBroker({ memory, port: broker.port });
    await countArrives();
    for (const missed of away)
      await subscriber.message(({ topic, payload }) => topic === TOPIC && JSON.parse(payload).values.count === missed);
    const counts = new Set(received().map(({ values }) => values.count));
    expect([...counts].filter((value) => value !== 0)).toHaveLength(count); // 0 is what the device had at first
    expect(received().some(({ late }) => late)).toBe(true);
  });

  test('after kill -9 during an outage, what was on disk arrives, and no id is used twice', async () => {
    await broker.stop();
    await countIsPolled();
    await countIsPolled(); // the one before is at least a snapshot (1 s) old: ten flush windows
    const survivor = count - 1;
    await gateway.stop('SIGKILL');
    broker = await startBroker({ memory, port: broker.port });
    gateway = startTidegate(['run', `${folder}/gateway.yaml`]);
    await subscriber.message(({ topic, payload }) => topic === TOPIC && JSON.parse(payload).values.count === survivor);
    await countArrives();
    const counts = new Map<string, Set<unknown>>();
    for (const { id, values } of received()) counts.set(id, (counts.get(id) ?? new Set()).add(values.count));
    expect([...counts.values()].filter((values) => values.size > 1)).toEqual([]);
  });

  test('a gateway that is killed is reported by its last will', async () => {
    const offline = subscriber.next(
      ({ topic, payload }) => topic === 'tidegate/bench-3/status' && JSON.parse(payload).state === 'offline',
    );
    await gateway.stop('SIGKILL');
    await offline;
    gateway = startTidegate(['run', `${folder}/gateway.yaml`]);
    await countArrives();
  });

  test('a device that goes turns bad once, and good again when it returns', async () => {
    const { port } = device;
    const before = received().length;
    await device.stop();
    const { payload } = await subscriber.next(
      ({ topic, payload }) => topic === TOPIC && JSON.parse(payload).bad !== undefined,
    );
    expect((JSON.parse(payload) as Telemetry).bad?.count).toMatch(/\w/);
    device = await startModbusServer({ 1: { holding: { 0: [count] } } }, port);
    await countArrives();
    expect(
      received()
        .slice(before)
        .filter(({ bad }) => bad),
    ).toHaveLength(1);
  });

  test('within each run of the gateway, ids have no holes', async () => {
    expect(await gateway.stop('SIGTERM')).toBe(0);
    const runs = new Map<string, Set<number>>();
    const news = subscriber.received().filter(({ topic }) => topic === TOPIC.replace('telemetry', 'status'));
    for (const { id } of [...received(), ...news.map(({ payload }) => JSON.parse(payload) as Telemetry)]) {
      const [, epoch = '', seq = ''] = id.split(':');
      runs.set(epoch, (runs.get(epoch) ?? new Set()).add(Number(seq)));
    }
    for (const seqs of runs.values())
      expect([...seqs].sort((a, b) => a - b)).toEqual(whole(Math.max(...seqs)).slice(1));
  });
});

/** 0, 1, … last. */
function whole(last: number): number[] {
  return Array.from({ length: last + 1 }, (_, index) => index);
}
