/** How long a write takes while the wire is busy: from the asking, by the control socket, to the device's answer told. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { askControl } from '../src/ops/control.js';
import { CONNECTIONS, type Load, readingsPerSecond, SETPOINT } from './gateway.js';
import type { Scene } from './scene.js';
import { percentile } from './usage.js';

/** Milliseconds that each device thinks before it answers. */
export const DEVICE = 5;
/** Milliseconds between two writes: never the same twice in a row, or all would meet the polls' rhythm at the same moment of it. */
const between = (write: number): number => 20 + ((write * 7) % 10);

/** Milliseconds, of so many writes. */
export interface WriteFigures {
  readonly median: number;
  readonly p99: number;
  readonly most: number;
  /** Readings a second that were delivered meanwhile, and that were asked for. */
  readonly delivered: number;
  readonly offered: number;
}

/** Writes to one device after the other. @throws Error when a write is not done */
export async function measureWrites(scene: Scene, load: Load): Promise<WriteFigures> {
  await scene.field.ask('delay', DEVICE);
  const folder = scene.freshFolder();
  const gateway = await scene.start(load, folder);
  await scene.until(gateway, 'warm-up', ({ cloud }) => cloud.messages >= Math.min(load.devices, 100));
  await sleep(scene.pace.warmup);
  const from = await scene.look(gateway);
  const took: number[] = [];
  for (let i = 0; i < scene.pace.writes; i++) {
    const device = i % load.devices;
    const began = performance.now();
    const answer = await askControl<{ outcome?: string }>(join(folder, 'data'), {
      ask: 'write',
      device: `device-${device}`,
      connection: `wire-${device % CONNECTIONS}`,
      point: SETPOINT.point,
      value: `${i}`,
    });
    took.push(performance.now() - began);
    if (answer?.outcome !== 'written') throw new Error(`a write was not done: ${JSON.stringify(answer)}`);
    await sleep(between(i));
  }
  const to = await scene.look(gateway);
  await gateway.stop();
  await scene.field.ask('delay', 0);
  const delivered = ((to.cloud.readings - from.cloud.readings) * 1_000) / (to.at - from.at);
  return {
    median: percentile(took, 0.5),
    p99: percentile(took, 0.99),
    most: Math.max(...took),
    delivered,
    offered: readingsPerSecond(load),
  };
}
