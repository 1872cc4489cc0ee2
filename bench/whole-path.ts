/** The whole path, from the wire to the broker's acknowledgement: what it costs while the uplink is healthy, and while it is not. */
import { statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Load, outboxFile, REGISTERS, readingsPerSecond } from './gateway.js';
import { figuresOf, type Look, type Scene, type Window } from './scene.js';
import { coreShare, median } from './usage.js';

/** Shares are of one core (1 is all of it), memory and disk in bytes; NaN where it cannot be measured. */
export interface PathFigures {
  readonly offered: number;
  /** Readings per second acknowledged by the broker. */
  readonly delivered: number;
  readonly cpu: number;
  readonly cpuMain: number;
  /** Microseconds of processor time for one reading. */
  readonly cpuPerReading: number;
  readonly rss: number;
  readonly writtenPerReading: number;
  /** Bytes of one message as published. */
  readonly messageSize: number;
  readonly offline: { readonly cpu: number; readonly rss: number; readonly writtenPerReading: number };
  readonly lost: number;
  readonly duplicates: number;
}

/** Runs one load: online, then with the cloud away, then until all that waited has arrived. */
export async function measurePath(scene: Scene, load: Load): Promise<PathFigures> {
  const { warmup, warmupMessages } = scene.pace;
  const folder = scene.freshFolder();
  const gateway = await scene.start(load, folder);
  await scene.until(gateway, 'warm-up', ({ cloud }) => cloud.messages >= warmupMessages);
  const online = await scene.watch(gateway);

  await scene.cloud.ask('down');
  await sleep(warmup);
  const walBefore = walSize(folder);
  const offline = await scene.watch(gateway);
  // What is in the write-ahead log is written once more at the next checkpoint, which a short outage does not come to.
  const toCheckpoint = Math.max(0, walSize(folder) - walBefore);
  await scene.cloud.ask('up');
  // One poll of each device may be on its way at any time.
  const onItsWay = load.devices * REGISTERS;
  const end = await scene.until(
    gateway,
    'everything delivered',
    ({ field, cloud }) => cloud.missing === 0 && field.values - cloud.readings <= onItsWay,
  );
  await gateway.stop();

  const { perSecond: delivered, cpu, rss } = figuresOf(online);
  const away = figuresOf(offline);
  return {
    offered: readingsPerSecond(load),
    delivered,
    cpu,
    cpuMain: median(online.map(([from, to]) => coreShare(from.gateway, to.gateway, 'mainCpu'))),
    cpuPerReading: (cpu * 1e6) / delivered,
    rss,
    writtenPerReading: written(online, ({ cloud }) => cloud.readings, 0),
    messageSize: Math.round(end.cloud.bytes / end.cloud.messages),
    offline: {
      cpu: away.cpu,
      rss: away.rss,
      writtenPerReading: written(offline, ({ field }) => field.values, toCheckpoint),
    },
    lost: Math.max(0, end.field.values - end.cloud.readings - onItsWay) + end.cloud.gaps,
    duplicates: end.cloud.duplicates,
  };
}

/** Bytes written for each reading, over all windows together, for writing comes in bursts; `more` are still to come. */
function written(windows: readonly Window[], readings: (look: Look) => number, more: number): number {
  const [first, last] = [windows[0]?.[0], windows.at(-1)?.[1]];
  if (!first?.gateway || !last?.gateway) return Number.NaN;
  return (last.gateway.written - first.gateway.written + more) / (readings(last) - readings(first));
}

function walSize(folder: string): number {
  return statSync(`${outboxFile(folder)}-wal`, { throwIfNoEntry: false })?.size ?? 0;
}
