/** What an outage writes to the disk, and what it costs to keep a full outbox within its size. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Peer } from './peer.js';
import type { OutageFigures, OutageLoad } from './peers/outage.js';
import type { Scene } from './scene.js';

/** One outage of each kind. */
export interface OutageResults {
  /** By how many meters are read, a second each. */
  readonly byMeters: ReadonlyMap<number, OutageFigures>;
  /** In a file that was full before it began, at 10,000 readings/s. */
  readonly full: OutageFigures;
}

/** Meters that make about 30, 1,000 and 10,000 readings a second. */
const ONE = 1;
const SOME = 33;
export const MANY = 333;

/** Lives through outages, one after another. */
export async function measureOutages(scene: Scene): Promise<OutageResults> {
  const { outageSeconds, fullSize } = scene.pace;
  const byMeters = new Map<number, OutageFigures>();
  for (const meters of [ONE, SOME, MANY]) {
    // What one meter leaves is joined by the minute.
    const seconds = meters === ONE ? 5 * outageSeconds : outageSeconds;
    byMeters.set(meters, await outage(scene, { meters, seconds }));
  }
  const full = await outage(scene, { meters: MANY, seconds: outageSeconds / 4, before: 'full', size: fullSize });
  return { byMeters, full };
}

/** Leaves an outbox file that holds so many readings of 33 meters. */
export async function fillOutbox(path: string, readings: number): Promise<OutageFigures> {
  return run({ path, meters: SOME, seconds: 1, before: readings });
}

async function outage(scene: Scene, load: Omit<OutageLoad, 'path'>): Promise<OutageFigures> {
  const path = join(scene.folder, 'outage.sqlite');
  const figures = await run({ ...load, path });
  rmSync(path);
  return figures;
}

async function run(load: OutageLoad): Promise<OutageFigures> {
  const peer = Peer.start('./peers/outage.js');
  try {
    return await peer.ask<OutageFigures>('outage', load);
  } finally {
    await peer.stop();
  }
}
