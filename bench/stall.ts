/** A card that takes half a second for each `fsync`: what that adds to the lateness of polls, beside a gateway whose card does not. */
import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Load } from './gateway.js';
import type { Scene } from './scene.js';

/** Milliseconds that 99 of 100 polls are at most late, and the latest is; NaN where strace may not trace. */
export interface StallFigures {
  readonly stalled: Lateness;
  readonly even: Lateness;
}

/** Milliseconds. */
export interface Lateness {
  readonly p99: number;
  readonly most: number;
}

const CALLS = 'fsync,fdatasync';
const STALL = 'delay_enter=500000';
/** Traced the same, so that only the stall differs; strace stands aside, and the gateway stays our own child. */
const TRACED = ['strace', '-D', '-f', '--seccomp-bpf', '-o', '/dev/null'];

/** Polls while the cloud is away, with and without stalls. */
export async function measureStall(scene: Scene, load: Load): Promise<StallFigures> {
  const works = spawnSync('strace', [...TRACED.slice(1), 'true']).status === 0;
  const none = { p99: Number.NaN, most: Number.NaN };
  if (!works) return { stalled: none, even: none };
  const even = await lateness(scene, load, ['-e', `trace=${CALLS}`]);
  const stalled = await lateness(scene, load, ['-e', `trace=${CALLS}`, '-e', `inject=${CALLS}:${STALL}`]);
  return { stalled, even };
}

async function lateness(scene: Scene, load: Load, how: readonly string[]): Promise<Lateness> {
  const { warmup, window } = scene.pace;
  const gateway = await scene.start(load, scene.freshFolder(), [...TRACED, ...how]);
  await scene.until(gateway, 'the first reading delivered', ({ cloud }) => cloud.readings > 0, 20_000);
  await scene.cloud.ask('down');
  await sleep(warmup);
  await scene.field.ask('watch');
  await sleep(3 * window);
  const late = await scene.field.ask<Lateness>('lateness', load.every);
  await gateway.stop();
  await scene.cloud.ask('up');
  return late;
}
