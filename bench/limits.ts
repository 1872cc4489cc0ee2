/** What the bare wire, the bare publisher and the bare database take on the same machine in the same run. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CONNECTIONS, FLAGS, type Load, REGISTERS } from './gateway.js';
import type { PublisherLoad } from './limits/mqtt-publisher.js';
import type { RelayLoad } from './limits/relay.js';
import type { SegmentLoad } from './limits/sqlite-segments.js';
import type { WireLoad } from './limits/wire.js';
import { Peer } from './peer.js';
import type { Figures, Scene } from './scene.js';
import { coreShare, median, usageOf } from './usage.js';

/** Messages in flight, as many as a gateway has by default. */
const WINDOW = 32;

/** A bare socket; `every` 0 is as fast as it goes. */
export function bareSocket(scene: Scene, load: Load): Promise<Figures> {
  return measure(scene, './limits/modbus-socket.js', wiresOf(scene, load), load.every, 1);
}

/** A bare publisher of messages of `size` bytes that stand for so many readings each, as fast as it goes. */
export function barePublisher(scene: Scene, size: number, readings: number): Promise<Figures> {
  const load: PublisherLoad = { port: scene.cloudPort, size, window: WINDOW };
  return measure(scene, './limits/mqtt-publisher.js', load, 0, readings);
}

/** Both in one process: for each reply one message of `size` bytes. */
export function bareRelay(scene: Scene, load: Load, size: number): Promise<Figures> {
  const relay: RelayLoad = { ...wiresOf(scene, load), cloudPort: scene.cloudPort, size, window: WINDOW };
  return measure(scene, './limits/relay.js', relay, load.every, 1);
}

function wiresOf({ fieldPort: port }: Scene, load: Load): WireLoad {
  const { devices, connections = CONNECTIONS, registers = REGISTERS } = load;
  return { port, connections, devices, registers };
}

/** SQLite alone; also the bytes written to disk for so many segments. */
export async function bareDatabase(
  scene: Scene,
  segment: { size: number; readings: number; count: number },
): Promise<Figures & { written: number }> {
  const peer = Peer.start('./limits/sqlite-segments.js');
  const insert = (span: number): Promise<number> =>
    peer.ask<number>('insert', {
      path: join(scene.folder, 'limit.sqlite'),
      size: segment.size,
      span,
    } satisfies SegmentLoad);
  await insert(100);
  const before = usageOf(peer.pid);
  const began = performance.now();
  const count = await insert(scene.pace.window);
  const readings = count * segment.readings;
  const seconds = (performance.now() - began) / 1000;
  const after = usageOf(peer.pid);
  await peer.stop();
  return {
    perSecond: readings / seconds,
    cpu: coreShare(before, after),
    rss: after?.rss ?? Number.NaN,
    written: before && after ? ((after.written - before.written) / count) * segment.count : Number.NaN,
  };
}

/** `worth`: readings for each one that the program counts. It warms up at full speed, so that it is compiled as well as the gateway is. */
async function measure(scene: Scene, file: string, load: unknown, pace: number, worth: number): Promise<Figures> {
  const { warmup, warmupMessages, window, windows } = scene.pace;
  const peer = Peer.start(file, FLAGS);
  await peer.ask('open', load);
  await peer.ask('pace', 0);
  while ((await peer.ask<number>('count')) * worth < warmupMessages * REGISTERS) await sleep(20);
  await peer.ask('pace', pace);
  await sleep(warmup / 2);
  const rates: number[] = [];
  const shares: number[] = [];
  for (let i = 0; i < windows; i++) {
    const [usage, at, before] = [usageOf(peer.pid), performance.now(), await peer.ask<number>('count')];
    await sleep(window / 2);
    const after = await peer.ask<number>('count');
    rates.push(((after - before) * worth * 1000) / (performance.now() - at));
    shares.push(coreShare(usage, usageOf(peer.pid)));
  }
  const rss = usageOf(peer.pid)?.rss ?? Number.NaN;
  await peer.stop();
  return { perSecond: median(rates), cpu: median(shares), rss };
}
