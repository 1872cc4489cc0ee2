/** The power fails: what was not synced is gone from the disk. CUTS sets how often, SEED when. */
import { describe, expect, test } from 'vitest';
import { FLUSH, Scene, times, UNTOLD } from './scene.js';
import { type Kind, noVolumes, Volume } from './volume.js';
import { Writer } from './writer.js';

const CUTS = times('CUTS', 5);
const MODES = {
  window: { flush: `${FLUSH}ms`, live_for: '300ms' },
  strict: { durability: 'strict', live_for: '300ms' },
};

describe.each(['ext4', 'xfs'] as const)('a power cut on %s', { timeout: 60_000 + CUTS * 6_000 }, (kind: Kind) => {
  const why = noVolumes(kind);

  test.skipIf(why).each([
    ['window', 'what is older than the flush window'],
    ['strict', 'all that was accepted'],
  ] as const)(`in mode %s loses nothing of %s${why ? `: ${why}` : ''}`, async (mode, _) => {
    const volume = Volume.make(kind);
    const scene = await Scene.set(volume.folder);
    let next = 1;
    for (let cut = 0; cut < CUTS; cut++) {
      const writer = Writer.start({ ...scene.writes, buffer: MODES[mode], first: next });
      // Now and then it strikes while the outbox is being opened.
      if (scene.draw() < 0.8) {
        await writer.accepts();
        await scene.wander();
      }
      await scene.live(700);
      const processDiesFirst = scene.draw() < 0.5;
      // A process that goes on for a moment on a dead disk must not spoil what is there. The network is gone with the power.
      if (!processDiesFirst) await scene.brokerIs(false);
      // An ext4 that is shut down calls an fsync done that it does not keep (24 of 600 times with fdatasync alone): what is told from now on has no claim.
      const died = Date.now() - 1;
      if (processDiesFirst) await writer.kill();
      volume.cut();
      await scene.live(100);
      await writer.kill();
      volume.unmount();
      volume.mount();
      const { accepted } = writer;
      scene.struck(died, accepted, mode === 'strict');
      next = (accepted.at(-1)?.n ?? next) + UNTOLD;
    }
    expect(scene.mustArrive.length).toBeGreaterThan(CUTS * 10);
    await scene.check(`power cut, ${kind}, ${mode}`);
  });
});
