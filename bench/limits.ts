/** What the bare wire, the bare publisher and the bare database take on the same machine in the same run. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CONNECTIONS, type Load, REGISTERS } from './gateway.js';
import type { SocketLoad } from './limits/modbus-socket.js';
import type { PublisherLoad } from './limits/mqtt-publisher.js';
import type { SegmentLoad } from './limits/sqlite-segments.js';
import { Peer } from './peer.js';
import type { Scene } from './scene.js';
import { coreShare, median, usageOf } from './usage.js';

/** One bare program: readings per second, and the share of one core that it took. */
export interface LimitFigures {
  readonly perSecond: number;
  readonly cpu: number;
  /** Resident memory, bytes. */
  readonly rss: number;
}

/** A bare socket; `every` 0 is as fast as it goes. */
export async function bareSocket(scene: Scene, { devices, every }: Load): Promise<LimitFigures> {
  const load: SocketLoad = { port: scene.fieldPort, connections: CONNECTIONS, devices, registers: REGISTERS, every };
  return measure(scene, './limits/modbus-socket.js', load, 'values', 1);
}

/** A bare publisher of messages of `size` bytes that hold 100 readings each; 0 per second is as fast as it goes. */
export async function barePublisher(scene: Scene, size: number, readingsPerSecond: number): Promise<LimitFigures> {
  const load: PublisherLoad = { port: scene.cloudPort, size, window: 32, perSecond: readingsPerSecond / REGISTERS };
  return measure(scene, './limits/mqtt-publisher.js', load, 'acknowledged', REGISTERS);
}

/** SQLite alone; also the bytes written to disk for each reading. */
export async function bareDatabase(
  scene: Scene,
  segment: { size: number; readings: number },
): Promise<LimitFigures & { writtenPerReading: number }> {
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
  const readings = (await insert(scene.pace.window)) * segment.readings;
  const seconds = (performance.now() - began) / 1000;
  const after = usageOf(peer.pid);
  await peer.stop();
  return {
    perSecond: readings / seconds,
    cpu: coreShare(before, after),
    rss: after?.rss ?? Number.NaN,
    writtenPerReading: before && after ? (after.written - before.written) / readings : Number.NaN,
  };
}

async function measure(scene: Scene, file: string, load: unknown, count: string, worth: number): Promise<LimitFigures> {
  const peer = Peer.start(file);
  await peer.ask('start', load);
  await sleep(scene.pace.warmup / 2);
  const rates: number[] = [];
  const shares: number[] = [];
  for (let i = 0; i < scene.pace.windows; i++) {
    const [usage, at, before] = [usageOf(peer.pid), performance.now(), await peer.ask<number>(count)];
    await sleep(scene.pace.window / 2);
    const after = await peer.ask<number>(count);
    rates.push(((after - before) * worth * 1000) / (performance.now() - at));
    shares.push(coreShare(usage, usageOf(peer.pid)));
  }
  const rss = usageOf(peer.pid)?.rss ?? Number.NaN;
  await peer.stop();
  return { perSecond: median(rates), cpu: median(shares), rss };
}
