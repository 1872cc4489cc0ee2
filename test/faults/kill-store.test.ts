/**
 * `kill -9` in the midst of what an outbox file undergoes. strace kills the process as it is about to make one of the system calls of that
 * phase, so that none strikes beside it. KILLS sets how often, SEED at which call.
 */
import { describe, expect, test } from 'vitest';
import { parseDuration } from '../../src/units.js';
import { Scene, times } from './scene.js';
import { STRICT, Strikes, telling, WINDOW } from './strikes.js';
import { killer, noTracer } from './tracer.js';

const KILLS = times('KILLS', 5);
const TIMEOUT = 60_000 + KILLS * 20_000;
const THINNING = telling('thinning-told');
const WRITES = 'pwrite64';
const SYNCS = '/^f(data)?sync$';

const why = noTracer();

describe.skipIf(why)(`kill -9${why ? `: ${why}` : ''}`, { timeout: TIMEOUT }, () => {
  test.each([
    // Pages go into the log when a transaction ends, and from there into the file at a checkpoint only.
    ['commit', '-wal', 400, 60],
    ['checkpoint', '', 60, 4],
  ])('in a %s: what was accepted arrives', async (phase, suffix, writes, syncs) => {
    const scene = await Scene.set();
    const strikes = new Strikes(scene);
    for (let kill = 0; kill < KILLS; kill++) {
      await scene.brokerIs(scene.draw() < 0.5);
      const path = `${scene.folder}/outbox/cloud.sqlite${suffix}`;
      const how =
        scene.draw() < 0.7 ? killer(WRITES, scene.upTo(writes), path) : killer(SYNCS, scene.upTo(syncs), path);
      await strikes.strike({ buffer: STRICT }, how);
    }
    expect(scene.mustArrive.length).toBeGreaterThan(KILLS * 10);
    expect(strikes.inside).toBeGreaterThan(KILLS * 0.8);
    await scene.check(`kill -9 in a ${phase}`);
  });

  test('while it thins: alarms arrive, and of each stretch of time the smallest and the largest value', async () => {
    const scene = await Scene.set();
    const strikes = new Strikes(scene);
    await scene.brokerIs(false);
    const load = { noise: 50, spacing: 1_000, buffer: { ...WINDOW, size: '1200kB' } };
    const path = `${scene.folder}/outbox/cloud.sqlite-wal`;
    // Until it is full enough.
    while (strikes.thinned === 0) await strikes.live(4_000, load, THINNING);
    while (strikes.inside < KILLS) {
      const how = scene.draw() < 0.7 ? killer(WRITES, scene.upTo(150), path) : killer(SYNCS, scene.upTo(12), path);
      await strikes.strike(load, [...how, ...THINNING], 'thins');
    }

    const due = new Set(scene.mustArrive);
    const kept = strikes.accepted.filter(({ n }) => due.has(n));
    const alarms = kept.filter(({ lane }) => lane === 'alarm').map(({ n }) => n);
    const { arrived, gaps, accounts } = await scene.check('kill -9 while thinning', alarms);
    expect(gaps).toEqual([]);
    // The broker was away until the end: what arrived has been on disk, and what was on disk and did not is thinned out.
    expect(accounts.live).toMatchObject({ acknowledged: arrived.live.events });
    expect(accounts.live.accepted).toBeGreaterThanOrEqual(kept.length - alarms.length);
    expect(accounts.live.accepted).toBeLessThanOrEqual(strikes.accepted.length + 5 * strikes.count);

    const messages = scene.cloud.json<{ ts: number; values: { n?: number }; thinned?: string }>('t/live');
    const widest = Math.max(...messages.map(({ thinned = '0s' }) => parseDuration(thinned) ?? 0));
    expect(widest).toBeGreaterThan(0);
    const extremes = (numbers: number[]): Map<number, [least: number, most: number]> => {
      const found = new Map<number, [number, number]>();
      for (const n of numbers) {
        const bucket = Math.floor((n * load.spacing) / widest);
        const [least, most] = found.get(bucket) ?? [n, n];
        found.set(bucket, [Math.min(least, n), Math.max(most, n)]);
      }
      return found;
    };
    const left = extremes(messages.flatMap(({ values: { n } }) => n ?? []));
    for (const [bucket, [least, most]] of extremes(kept.flatMap(({ lane, n }) => (lane === 'live' ? n : [])))) {
      expect(left.get(bucket)?.[0]).toBeLessThanOrEqual(least);
      expect(left.get(bucket)?.[1]).toBeGreaterThanOrEqual(most);
    }
  });
});
