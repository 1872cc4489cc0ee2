/** A large backlog: how soon a gateway that finds it starts, what memory it takes, and how fast it is delivered. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Load, outboxFile } from './gateway.js';
import { fillOutbox } from './outages.js';
import type { Scene } from './scene.js';

/** Memory in bytes, times in milliseconds from the start of the process. */
export interface BacklogFigures {
  /** Readings that waited on disk, and in how many segments of how many bytes. */
  readonly readings: number;
  readonly segments: number;
  readonly segmentSize: number;
  readonly readingsPerSegment: number;
  /** Bytes of one message as published, and readings in it. */
  readonly messageSize: number;
  readonly messageReadings: number;
  /** Until the first of the backlog is at the broker; the file was not in the page cache, where that could be emptied. */
  readonly firstPublish: number;
  readonly cold: boolean;
  /** Memory a while after the start, the cloud away: with the backlog, and with none. */
  readonly rssWith: number;
  readonly rssWithout: number;
  /** Readings per second, from the first message to the last; and memory at its highest. */
  readonly perSecond: number;
  readonly rss: number;
  readonly missing: number;
  readonly duplicates: number;
}

/** Nothing to poll for an hour. */
const IDLE: Load = { devices: 1, every: 3_600_000 };

/** Fills an outbox, starts on it with the cloud away, then with the cloud, and drains it. */
export async function drainBacklog(scene: Scene): Promise<BacklogFigures> {
  const folder = scene.freshFolder();
  const path = outboxFile(folder);
  mkdirSync(dirname(path), { recursive: true });
  const { held: readings, segments, inUse } = await fillOutbox(path, scene.pace.backlog);

  await scene.cloud.ask('down');
  const rssWith = await settledMemory(scene, folder);
  const rssWithout = await settledMemory(scene, scene.freshFolder());
  await scene.cloud.ask('up');
  const cold = emptyPageCache();
  const gateway = await scene.start(IDLE, folder);
  const drained = ({ cloud }: { cloud: { readings: number; missing: number } }): boolean =>
    cloud.readings >= readings && cloud.missing === 0;
  const end = await scene.until(gateway, 'the backlog drained', drained, 120_000);
  await gateway.stop();
  const { first, firstLate, last, messages, bytes, missing, duplicates } = end.cloud;
  return {
    readings,
    segments,
    segmentSize: Math.round(inUse / segments),
    readingsPerSegment: readings / segments,
    messageSize: Math.round(bytes / messages),
    messageReadings: readings / messages,
    firstPublish: firstLate - gateway.startedAt,
    cold,
    rssWith,
    rssWithout,
    perSecond: (readings * 1000) / (last - first),
    rss: end.gateway?.peak ?? Number.NaN,
    missing,
    duplicates,
  };
}

async function settledMemory(scene: Scene, folder: string): Promise<number> {
  const gateway = await scene.start(IDLE, folder);
  await scene.until(gateway, 'the first poll', ({ field }) => field.requests > 0, 20_000);
  await sleep(scene.pace.warmup);
  const { gateway: usage } = await scene.look(gateway);
  await gateway.stop();
  return usage?.rss ?? Number.NaN;
}

/** True when the file has to come from the disk from now on, which takes root. */
function emptyPageCache(): boolean {
  try {
    writeFileSync('/proc/sys/vm/drop_caches', '1');
    return true;
  } catch {
    return false;
  }
}
