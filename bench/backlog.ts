/** A backlog: how fast what an outage left on disk is delivered, by a gateway that has nothing else to do. */
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { type Load, outboxFile } from './gateway.js';
import type { Scene } from './scene.js';

/** Memory in bytes. */
export interface BacklogFigures {
  /** Readings that waited on disk, and in how many segments of how many bytes. */
  readonly readings: number;
  readonly segments: number;
  readonly segmentSize: number;
  readonly readingsPerSegment: number;
  /** Bytes of one message as published. */
  readonly messageSize: number;
  /** Readings per second, from the first message to the last. */
  readonly perSecond: number;
  readonly rss: number;
  readonly missing: number;
  readonly duplicates: number;
}

/** Fills an outbox while the cloud is away, starts again with nothing to poll for an hour, and drains it. */
export async function drainBacklog(scene: Scene, load: Load): Promise<BacklogFigures> {
  const folder = scene.freshFolder();
  await scene.cloud.ask('down');
  const filling = await scene.start(load, folder);
  await sleep(scene.pace.outage);
  await filling.stop();
  const stored = whatIsStored(outboxFile(folder));

  await scene.cloud.ask('up');
  const gateway = await scene.start({ devices: 1, every: 3_600_000 }, folder);
  const end = await scene.until(gateway, 'the backlog drained', ({ cloud }) => cloud.readings >= stored.readings);
  await gateway.stop();
  const { first, last, messages, bytes, missing, duplicates } = end.cloud;
  return {
    ...stored,
    messageSize: Math.round(bytes / messages),
    perSecond: (stored.readings * 1000) / (last - first),
    rss: end.gateway?.peak ?? Number.NaN,
    missing,
    duplicates,
  };
}

function whatIsStored(
  file: string,
): Pick<BacklogFigures, 'readings' | 'segments' | 'segmentSize' | 'readingsPerSegment'> {
  const db = new Database(file, { readonly: true });
  const { segments, readings, bytes } = db
    .prepare<[], { segments: number; readings: number; bytes: number }>(
      'SELECT count(*) AS segments, sum(readings) AS readings, sum(length(body)) AS bytes FROM live',
    )
    .get() as { segments: number; readings: number; bytes: number };
  db.close();
  return { readings, segments, segmentSize: Math.round(bytes / segments), readingsPerSegment: readings / segments };
}
