/** What OPC UA costs: a subscription in the client, and nothing where no device has it. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FLAGS } from './gateway.js';
import { Peer } from './peer.js';
import type { ClientLoad, ServerLoad } from './peers/opcua-nodes.js';
import type { Figures, Scene } from './scene.js';
import { coreShare, median, usageOf } from './usage.js';

const ITEMS = 1_000;
/** Milliseconds between two changes of each. */
const EVERY = 100;

/** Shares are of one core, memory in bytes. */
export interface OpcuaFigures {
  /** Values a second that the server has to tell. */
  readonly offered: number;
  /** The driver, and the library alone. */
  readonly client: Figures;
  readonly library: Figures;
  /** Memory of a gateway of one Modbus device, alone and with one value of the server. */
  readonly rssWithout: number;
  readonly rssWith: number;
}

export async function measureOpcua(scene: Scene): Promise<OpcuaFigures> {
  const server = Peer.start('./peers/opcua-server.js');
  const load: ServerLoad = { items: ITEMS, every: EVERY, folder: join(scene.folder, 'opcua-server') };
  const listening = await server.ask<{ port: number; certificate: string }>('listen', load);
  const measure = (file: string): Promise<Figures> =>
    subscribe(scene, file, { ...load, ...listening, folder: scene.freshFolder() });
  const client = await measure('./peers/opcua-client.js');
  const library = await measure('./limits/opcua-client.js');
  const rssWithout = await gatewayMemory(scene);
  const rssWith = await gatewayMemory(scene, listening.port);
  await server.stop();
  return { offered: (ITEMS * 1_000) / EVERY, client, library, rssWithout, rssWith };
}

async function subscribe(scene: Scene, file: string, load: ClientLoad): Promise<Figures> {
  const { warmup, window, windows } = scene.pace;
  const peer = Peer.start(file, FLAGS);
  await peer.ask('open', load);
  await sleep(2 * warmup);
  const rates: number[] = [];
  const shares: number[] = [];
  for (let i = 0; i < windows; i++) {
    const [usage, at, before] = [usageOf(peer.pid), performance.now(), await peer.ask<number>('count')];
    await sleep(window);
    rates.push((((await peer.ask<number>('count')) - before) * 1_000) / (performance.now() - at));
    shares.push(coreShare(usage, usageOf(peer.pid)));
  }
  const rss = usageOf(peer.pid)?.rss ?? Number.NaN;
  await peer.stop();
  return { perSecond: median(rates), cpu: median(shares), rss };
}

async function gatewayMemory(scene: Scene, opcuaPort?: number): Promise<number> {
  const gateway = await scene.start({ devices: 1, every: 1_000, ...(opcuaPort !== undefined && { opcuaPort }) });
  const devices = opcuaPort === undefined ? 1 : 2;
  await scene.until(gateway, 'readings of every device delivered', ({ cloud }) => cloud.messages >= 3 * devices);
  await sleep(scene.pace.warmup);
  const { gateway: usage } = await scene.look(gateway);
  await gateway.stop();
  return usage?.rss ?? Number.NaN;
}
