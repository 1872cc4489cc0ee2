/** `kill -9` at random moments of every phase, while the broker comes and goes. KILLS sets how often, SEED when. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { CountingDevice } from '../support/counting-device.js';
import { type CountingSite, writeCountingSite } from '../support/counting-site.js';
import { FLUSH, Scene, times, UNTOLD } from './scene.js';
import { Writer } from './writer.js';

const KILLS = times('KILLS', 5);
const TIMEOUT = 60_000 + KILLS * 5_000;
const MAIN = fileURLToPath(new URL('../../src/main.js', import.meta.url));
const STALLS_TOLD = new URL('../support/stalls-told.js', import.meta.url).href;
const WINDOW = { flush: `${FLUSH}ms`, live_for: '300ms' };

describe('kill -9', { timeout: TIMEOUT }, () => {
  test.each([
    ['what is older than the flush window arrives', WINDOW, 'window'],
    ['in strict mode all that was accepted arrives', { durability: 'strict', live_for: '300ms' }, 'strict'],
  ])('of the outbox: %s, in order, with bounded duplicates', async (_, buffer, mode) => {
    const scene = await Scene.set();
    let next = 1;
    for (let kill = 0; kill < KILLS; kill++) {
      const writer = Writer.start({ ...scene.writes, buffer, first: next });
      await writer.accepts();
      await scene.wander();
      await scene.live(700);
      next = await end(scene, writer, next, mode === 'strict');
    }
    expect(scene.mustArrive.length).toBeGreaterThan(KILLS * 10);
    await scene.check(`kill -9 of the outbox, ${mode}`);
  });

  test('while it starts, on what earlier ones left: nothing of that is lost', async () => {
    const scene = await Scene.set();
    let next = 1;
    for (let kill = 0; kill < KILLS; kill++) {
      // Every other one lives long enough to leave something behind.
      const writer = Writer.start({ ...scene.writes, buffer: WINDOW, first: next });
      await scene.brokerIs(kill % 2 === 0 && scene.draw() < 0.5);
      if (kill % 2 === 0) {
        await writer.accepts();
        await scene.live(1_500);
      } else await scene.live(500);
      next = await end(scene, writer, next);
    }
    await scene.check('kill -9 during start');
  });

  test('while it drains a backlog', async () => {
    const scene = await Scene.set();
    const late = (): number => scene.cloud.received.filter(({ payload }) => payload.endsWith('"late":true}')).length;
    let next = 1;
    for (let kill = 0; kill < KILLS; kill++) {
      await scene.brokerIs(false);
      const writer = Writer.start({ ...scene.writes, buffer: WINDOW, first: next });
      await writer.accepts();
      await scene.live(1_000);
      await vi.waitFor(() => expect(writer.accepted.length).toBeGreaterThan(500), 20_000);
      await scene.brokerIs(true);
      const enough = late() + 1 + Math.floor(scene.draw() * 300);
      await scene.cloud.until(() => late() >= enough);
      next = await end(scene, writer, next);
    }
    await scene.check('kill -9 while draining');
  });

  test.each([
    ['of the whole gateway: what a device showed before the flush window arrives', 'at work'],
    ['of the whole gateway after SIGTERM, while it stops', 'while stopping'],
    ['of the whole gateway while it takes up one change after the other', 'while reloading'],
  ])('%s', async (_, when) => {
    const scene = await Scene.set();
    const device = await CountingDevice.start();
    onTestFinished(() => device.stop());
    const upstream = { buffer: WINDOW };
    const site = { folder: scene.folder, device: device.port, url: scene.cloud.url, upstream };
    const file = writeCountingSite(site);
    for (let kill = 0; kill < KILLS; kill++) {
      const before = device.shown.length;
      const env = { ...process.env, NODE_OPTIONS: `--import=${STALLS_TOLD}`, STALLS: scene.stalls };
      const child = spawn(process.execPath, [MAIN, 'run', file], { stdio: ['ignore', 'ignore', 'inherit'], env });
      onTestFinished(() => void child.kill('SIGKILL'));
      await vi.waitFor(() => expect(device.shown.length).toBeGreaterThan(before), 10_000);
      const changes = when === 'while reloading' ? change(scene, site, child) : undefined;
      await scene.wander();
      await scene.live(700);
      if (when === 'while stopping') {
        child.kill('SIGTERM');
        await scene.live(150);
      }
      const died = await killed(child);
      await changes;
      // The last one may still have been on its way into the gateway.
      scene.struck(died, device.shown.slice(before, -1));
    }
    expect(scene.mustArrive.length).toBeGreaterThan(KILLS * 10);
    await scene.check(`kill -9 of the gateway ${when}`);
  });
});

/**
 * Changes everything but what is counted, again and again until the gateway is dead: other devices and upstreams come and go, the
 * link and the buffer are set anew.
 */
async function change(scene: Scene, site: CountingSite, gateway: ChildProcess): Promise<void> {
  const few = (): number => Math.floor(scene.draw() * 3);
  while (gateway.exitCode === null && gateway.signalCode === null) {
    const buffer = { ...WINDOW, size: `${64 + few()}MB` };
    writeCountingSite({
      ...site,
      upstream: { buffer, client_id: `g-${few()}`, keepalive: `${30 + few()}s` },
      more: few() > 0,
    });
    gateway.kill('SIGHUP');
    await scene.live(150);
  }
}

/** Kills the writer; gives the number for the next one. */
async function end(scene: Scene, writer: Writer, next: number, strict = false): Promise<number> {
  const died = Date.now();
  await writer.kill();
  const { accepted } = writer;
  scene.struck(died, accepted, strict);
  return (accepted.at(-1)?.n ?? next) + UNTOLD;
}

/** @returns when */
async function killed(child: ChildProcess): Promise<number> {
  const died = Date.now();
  if (child.exitCode !== null || child.signalCode !== null) return died;
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
  return died;
}
