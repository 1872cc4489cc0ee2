/** The demo: simulated devices, an ordinary gateway, a stand-in cloud, and an outage in between. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type Gateway, startGateway } from '../gateway.js';
import type { Snapshot } from '../snapshot.js';
import { startCloud } from './cloud.js';
import { startPlant } from './plant.js';
import type { Count } from './tally.js';

/** When the demo cuts its own uplink, and for how long. Milliseconds. */
export interface DemoOptions {
  readonly log: Logger;
  readonly cutAfter: number;
  readonly cutFor: number;
}

/** A running demo. */
export interface Demo {
  snapshot(): Snapshot;
  /**
   * Waits, cuts the uplink, mends it, waits until the outbox is empty, and counts at the cloud.
   * @param tell is told what happens, in a sentence
   * @returns undefined when stopped before the count
   */
  outage(tell: (sentence: string) => void): Promise<Count | undefined>;
  /** Ends everything, and removes the demo's files. */
  stop(): Promise<void>;
}

/** Most milliseconds that the outbox gets to empty after the outage. */
const DRAIN = 120_000;

/** Starts cloud, devices and gateway. */
export async function startDemo(options: DemoOptions): Promise<Demo> {
  const { log, cutAfter, cutFor } = options;
  const end = new AbortController();
  const cloud = await startCloud();
  const plant = await startPlant(cloud.port);
  const gateway = await startGateway(plant.site, { log });
  return {
    snapshot: gateway.snapshot,
    async outage(tell) {
      try {
        await pause(cutAfter, undefined, { signal: end.signal });
        await cloud.cut();
        tell(`The uplink is cut for ${cutFor / 1_000} s: watch the outbox fill.`);
        await pause(cutFor, undefined, { signal: end.signal });
        await cloud.mend();
        tell('The uplink is back: live data first, the backlog behind it.');
        const sent = await drained(gateway, end);
        tell('The outbox is empty. Counted at the cloud:');
        return cloud.count(sent);
      } catch (error) {
        if (end.signal.aborted) return undefined;
        throw error;
      }
    },
    async stop() {
      end.abort();
      await gateway.stop();
      await plant.close();
      await cloud.close();
    },
  };
}

/** Waits until every event accepted so far is acknowledged. Gives their number. */
async function drained(gateway: Gateway, end: AbortController): Promise<number> {
  const started = performance.now();
  for (;;) {
    const [status] = gateway.snapshot().upstreams;
    const accepted = status?.accepted ?? 0;
    if (status?.link === 'online' && status.acknowledged >= accepted) return accepted;
    if (performance.now() - started > DRAIN) return accepted;
    await pause(20, undefined, { signal: end.signal });
  }
}
