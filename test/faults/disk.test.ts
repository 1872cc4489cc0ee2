/** The disk under a running gateway fills up, fails or dies: polling and live delivery go on, and what is lost is told. */
import { describe, expect, test } from 'vitest';
import { Plant } from './plant.js';
import { noTracer, sabotage } from './tracer.js';
import { noVolumes, Volume } from './volume.js';

/** What is on disk stays: nothing gives way by thinning, so that every loss is one of memory, and told. */
const BUFFER = { flush: '100ms', live_for: '300ms', when_full: { live: 'drop-newest' } };

/** Strikes; gives what ends it. */
type Strike = (plant: Plant, volume: Volume) => Promise<() => Promise<void> | void>;

const PASSING: [string, Strike][] = [
  [
    'is full',
    async (_, volume) => {
      volume.fill();
      return () => volume.free();
    },
  ],
  ['cannot sync (EIO)', (plant) => sabotage(plant.pid, 'fsync,fdatasync', 'error=EIO')],
  ['cannot be written (EIO)', (plant) => sabotage(plant.pid, 'pwrite64,fsync,fdatasync', 'error=EIO')],
  ['is read-only (EROFS)', (plant) => sabotage(plant.pid, 'pwrite64,ftruncate,fsync,fdatasync', 'error=EROFS')],
];

const LASTING: [string, (volume: Volume) => void][] = [
  ['dies', (volume) => volume.cut()],
  ['turns read-only', (volume) => volume.break()],
];

const why = noVolumes('ext4') ?? noTracer();

describe.skipIf(why)(`a disk${why ? `: ${why}` : ''}`, { timeout: 120_000 }, () => {
  test.each(PASSING)('that %s for a while: losses are told, and writing resumes by itself', async (name, strike) => {
    const volume = Volume.make('ext4', 16);
    const plant = await Plant.set({ outbox: volume.folder, upstream: { buffer: { ...BUFFER, memory: '200kB' } } });
    plant.start();
    await plant.arrives();
    await plant.cloud.down();
    await plant.upstream(({ waiting }) => waiting.backlog > 0, 'a backlog on disk');

    const mend = await strike(plant, volume);
    await plant.upstream(({ dropped }) => dropped > 0, 'memory is full');
    await plant.polled(250);
    await plant.cloud.up();
    await plant.arrives();
    await plant.polled(100);
    await mend();

    // The disk is tried again every two seconds; that many polls take longer.
    await plant.polled(600);
    await plant.drained();
    await plant.cloud.down();
    await plant.upstream(({ waiting }) => waiting.backlog > 0, 'a backlog on disk again');
    await plant.cloud.up();
    const last = await settled(plant);
    await plant.drained();
    expect(await plant.stop()).toBe(0);
    const { gaps } = await plant.check(`disk ${name}`, last);
    // One, and while that one is already on its way perhaps a second.
    for (const { cause } of gaps) expect(['memory', 'budget']).toContain(cause);
    expect(gaps.length).toBeGreaterThan(0);
    expect(gaps.length).toBeLessThanOrEqual(3);
  });

  test.each(LASTING)(
    'that %s for good: live data goes on, also while stopping, and what it held comes after it is mounted again',
    async (name, strike) => {
      const { plant, volume } = await struck(strike);
      await plant.polled(250);
      await plant.cloud.up();
      await plant.arrives();
      await plant.polled(250);
      await plant.still();
      expect(await plant.stop()).toBe(0);

      await remounted(plant, volume);
      const last = await settled(plant);
      await plant.drained();
      expect(await plant.stop()).toBe(0);
      expect((await plant.check(`disk ${name}`, last, { forgetful: true })).gaps).toEqual([]);
    },
  );

  test.each(LASTING)(
    'that %s for good while the broker is away: a stop tells in the log how much is lost',
    async (name, strike) => {
      const { plant, volume, kept } = await struck(strike);
      await plant.polled(250);
      await plant.still();
      const lost = plant.device.shown.length - kept;
      expect(await plant.stop()).toBe(0);
      expect(plant.log.filter(({ code }) => code === 'OUTBOX_LOST')).toMatchObject([{ events: lost }]);

      await plant.cloud.up();
      await remounted(plant, volume);
      const last = await settled(plant);
      await plant.drained();
      expect(await plant.stop()).toBe(0);
      const verdict = await plant.check(`disk ${name}, broker away`, last, { forgetful: true });
      expect(verdict.lost).toEqual(Array.from({ length: lost }, (_, i) => kept + 1 + i));
    },
  );
});

/** A plant whose broker is away, and whose disk is struck between two writes: `kept` is how much was on it, or had arrived. */
async function struck(strike: (volume: Volume) => void): Promise<{ plant: Plant; volume: Volume; kept: number }> {
  const volume = Volume.make('ext4');
  const plant = await Plant.set({ outbox: volume.folder, upstream: { buffer: BUFFER } });
  plant.start();
  await plant.arrives();
  await plant.cloud.down();
  await plant.upstream(({ waiting }) => waiting.backlog > 100, 'a backlog on disk');
  await plant.still();
  const kept = plant.device.shown.length;
  await plant.upstream(({ waiting }) => waiting.live === 0, 'all on disk');
  strike(volume);
  plant.device.resume(true);
  return { plant, volume, kept };
}

/** Mounts the disk again, and starts the gateway on it. */
async function remounted(plant: Plant, volume: Volume): Promise<void> {
  volume.unmount();
  volume.mount();
  plant.start();
  await plant.arrives();
}

/** Resolves when all has arrived that can; gives the last number for which that holds. */
async function settled(plant: Plant): Promise<number> {
  const { length } = plant.device.shown;
  await plant.arrives();
  await plant.drained();
  return length;
}
