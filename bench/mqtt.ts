/** What MQTT devices cost: by the gateway's own broker and the driver to the cloud, beside the same libraries alone. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { FLAGS } from './gateway.js';
import { Peer } from './peer.js';
import { POINTS, type SensorLoad } from './peers/sensor-messages.js';
import { type Figures, figuresOf, type Scene } from './scene.js';
import { coreShare, usageOf } from './usage.js';

const DEVICES = 1_000;
/** Milliseconds between two messages of a device. */
const EVERY = 1_000;

/** Shares are of one core, memory in bytes. */
export interface MqttFigures {
  readonly devices: number;
  /** Readings per second that the devices tell. */
  readonly offered: number;
  /** The whole path; and a broker and a client in one process, which parse each message and do no more with it. */
  readonly gateway: Figures;
  readonly library: Figures;
}

export async function measureMqtt(scene: Scene): Promise<MqttFigures> {
  const port = await freePort();
  const sensors = await start('./peers/sensors.js', { port, devices: DEVICES, every: EVERY });
  const gateway = await measureGateway(scene, port);
  const library = await measureLibrary(scene, port);
  await sensors.stop();
  return { devices: DEVICES, offered: (DEVICES * POINTS.length * 1_000) / EVERY, gateway, library };
}

async function measureGateway(scene: Scene, brokerPort: number): Promise<Figures> {
  const gateway = await scene.start({ devices: 0, every: EVERY, sensors: { devices: DEVICES, brokerPort } });
  const warm = Math.max(DEVICES, scene.pace.warmupMessages);
  await scene.until(gateway, 'warm-up', ({ cloud }) => cloud.messages >= warm);
  const windows = await scene.watch(gateway);
  await gateway.stop();
  return figuresOf(windows);
}

async function measureLibrary({ pace }: Scene, port: number): Promise<Figures> {
  const peer = await start('./limits/mqtt-listener.js', port);
  while ((await peer.ask<number>('count')) < Math.max(DEVICES, pace.warmupMessages)) await sleep(50);
  const [before, from, began] = [await peer.ask<number>('count'), usageOf(peer.pid), performance.now()];
  await sleep(pace.window * pace.windows);
  const [messages, to] = [(await peer.ask<number>('count')) - before, usageOf(peer.pid)];
  const perSecond = (messages * POINTS.length * 1_000) / (performance.now() - began);
  await peer.stop();
  return { perSecond, cpu: coreShare(from, to), rss: to?.rss ?? Number.NaN };
}

async function start(file: string, load: SensorLoad | number): Promise<Peer> {
  const peer = Peer.start(file, FLAGS);
  await peer.ask('open', load);
  return peer;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
