/** The highest rate that is delivered from end to end: the load is raised until it is not kept up with any more. */
import { setTimeout as sleep } from 'node:timers/promises';
import { CONNECTIONS, type Load, readingsPerSecond } from './gateway.js';
import type { Scene } from './scene.js';
import { coreShare, usageOf } from './usage.js';

/** One step of the search. */
export interface RateStep {
  readonly offered: number;
  /** Readings per second acknowledged by the broker. */
  readonly delivered: number;
  /** Shares of one core: all threads, and the main thread. */
  readonly cpu: number;
  readonly cpuMain: number;
  /** Shares of one core that the peers need at the same time. */
  readonly fieldCpu: number;
  readonly cloudCpu: number;
  readonly rss: number;
  /** Bytes written to disk: anything at all means that acknowledgements came too late. */
  readonly written: number;
  readonly kept: boolean;
}

/** Milliseconds between two polls of a device, at every rate. */
const EVERY = 100;
/** As many as there are unit ids. */
const MOST_DEVICES = 255 * CONNECTIONS;
/** A step is kept up with when this share of what was asked for was acknowledged. */
const ENOUGH = 0.97;

/** Tries one rate after another, each half as high again, until one is not kept up with. */
export async function findHighestRate(scene: Scene, from: number): Promise<RateStep[]> {
  const steps: RateStep[] = [];
  let devices = from / readingsPerSecond({ devices: 1, every: EVERY });
  while (steps.at(-1)?.kept !== false && devices <= MOST_DEVICES) {
    steps.push(await tryRate(scene, { devices: Math.round(devices / CONNECTIONS) * CONNECTIONS, every: EVERY }));
    devices *= 1.5;
  }
  return steps;
}

/** The step that delivered most with every event acknowledged in time. */
export function bestOf(steps: readonly RateStep[]): RateStep | undefined {
  // Polls that fall out cost no event: what was polled was delivered, and nothing had to wait on disk.
  const inTime = steps.filter(({ kept, written }) => kept || written === 0);
  return inTime.sort((a, b) => b.delivered - a.delivered)[0];
}

async function tryRate(scene: Scene, load: Load): Promise<RateStep> {
  const gateway = await scene.start(load);
  await scene.until(gateway, 'the first reading delivered', ({ cloud }) => cloud.readings > 0, 20_000);
  await sleep(scene.pace.warmup);
  const peers = [scene.field.pid, scene.cloud.pid] as const;
  const [fieldBefore, cloudBefore] = peers.map(usageOf);
  const from = await scene.look(gateway);
  await sleep(scene.pace.window);
  const to = await scene.look(gateway);
  const [fieldAfter, cloudAfter] = peers.map(usageOf);
  await gateway.stop();

  const offered = readingsPerSecond(load);
  const delivered = ((to.cloud.readings - from.cloud.readings) * 1000) / (to.at - from.at);
  const [first, last] = [from.gateway, to.gateway];
  return {
    offered,
    delivered,
    cpu: coreShare(first, last),
    cpuMain: coreShare(first, last, 'mainCpu'),
    fieldCpu: coreShare(fieldBefore, fieldAfter),
    cloudCpu: coreShare(cloudBefore, cloudAfter),
    rss: last?.rss ?? Number.NaN,
    written: first && last ? last.written - first.written : Number.NaN,
    kept: delivered >= offered * ENOUGH,
  };
}
