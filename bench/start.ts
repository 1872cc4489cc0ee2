/** From the start of the process to its first work. */
import { spawnSync } from 'node:child_process';
import type { Load } from './gateway.js';
import type { Scene } from './scene.js';
import { median } from './usage.js';

/** Milliseconds, each the middle one of several starts. */
export interface StartFigures {
  readonly firstPoll: number;
  readonly firstPublish: number;
  /** A Node that does nothing, from its start to its end. */
  readonly bareNode: number;
}

export async function measureStart(scene: Scene, load: Load): Promise<StartFigures> {
  const [polls, publishes, bare]: [number[], number[], number[]] = [[], [], []];
  for (let i = 0; i < scene.pace.starts; i++) {
    const from = performance.now();
    spawnSync(process.execPath, ['--eval', '0']);
    bare.push(performance.now() - from);

    const gateway = await scene.start(load);
    const look = await scene.until(gateway, 'the first reading delivered', ({ cloud }) => cloud.readings > 0, 20_000);
    polls.push(look.field.first - gateway.startedAt);
    publishes.push(look.cloud.first - gateway.startedAt);
    await gateway.stop();
  }
  return { firstPoll: median(polls), firstPublish: median(publishes), bareNode: median(bare) };
}
