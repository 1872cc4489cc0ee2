/** `kill -9` at random moments while the broker comes and goes. KILLS sets how often, SEED when. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { readOutboxStatus } from '../../src/delivery/status.js';
import { TestBroker } from '../support/broker.js';
import { random } from '../support/random.js';
import { openTestUpstream, temporaryFolder } from '../support/upstream.js';

const KILLS = Number(process.env.KILLS ?? 10);
const SEED = Number(process.env.SEED ?? 1);
const CHILD = fileURLToPath(new URL('../support/crash-child.js', import.meta.url));
const WINDOW = 32;
const FLUSH = 200;

interface Message {
  id: string;
  values: { n: number };
  late?: true;
}

describe('kill -9', () => {
  test.each([
    ['what is older than the flush window arrives', { flush: `${FLUSH}ms`, live_for: '300ms' }, FLUSH],
    ['in strict mode all that was accepted arrives', { durability: 'strict', live_for: '300ms' }, 0],
  ])('%s, in order, with bounded duplicates', { timeout: 30_000 + KILLS * 4000 }, async (_, buffer, grace) => {
    const draw = random(SEED);
    const folder = temporaryFolder();
    const cloud = await TestBroker.start();
    onTestFinished(() => cloud.down());
    const mustArrive: number[] = [];
    let [next, outages, largest, up] = [1, 0, 0, true];

    for (let kill = 0; kill < KILLS; kill++) {
      const child = spawn(process.execPath, [CHILD, cloud.url, folder, JSON.stringify(buffer), String(next)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      onTestFinished(() => void child.kill('SIGKILL'));
      const accepted = await lifeOf(child, async () => {
        // The broker comes and goes; about half of the kills meet it gone.
        for (let change = Math.floor(draw() * 4); change > 0; change--) {
          await pause(draw() * 400);
          if (up) await cloud.down();
          else await cloud.up();
          if (up) outages++;
          up = !up;
        }
        await pause(draw() * 500);
      });
      const died = Date.now();
      for (const { n, at } of accepted) if (at <= died - grace) mustArrive.push(n);
      next = (accepted.at(-1)?.n ?? next) + 1;
      largest = Math.max(largest, largestSegment(folder));
    }

    if (!up) await cloud.up();
    const last = await openTestUpstream(cloud.url, folder);
    await vi.waitFor(
      async () => expect((await readOutboxStatus(folder))[0]).toMatchObject({ alarm: 0, backlog: 0 }),
      20_000,
    );
    await last.close();

    const messages = cloud.received
      .filter((m) => m.topic.startsWith('t/'))
      .map((m) => ({ topic: m.topic, ...(JSON.parse(m.payload) as Message) }));
    const arrived = new Set(messages.map((m) => m.values.n));
    expect(mustArrive.filter((n) => !arrived.has(n))).toEqual([]);
    expect(mustArrive.length).toBeGreaterThan(KILLS * 20);

    const firsts = new Map<string, (typeof messages)[number]>();
    for (const message of messages) {
      const known = firsts.get(message.id);
      if (known) expect(message.values).toEqual(known.values);
      else firsts.set(message.id, message);
    }
    expect(messages.length - firsts.size).toBeLessThanOrEqual(
      (KILLS + 1) * (2 * WINDOW + 2 * largest) + outages * WINDOW,
    );
    for (const lane of ['t/alarm', 'live', 'late']) {
      const ids = [...firsts.values()].filter((m) =>
        lane === 't/alarm' ? m.topic === lane : m.topic === 't/live' && (lane === 'late') === (m.late ?? false),
      );
      const places = ids.map((m) => m.id.split(':').slice(1).map(Number) as [number, number]);
      expect(places).toEqual(places.toSorted(([e1, s1], [e2, s2]) => e1 - e2 || s1 - s2));
    }
  });
});

/** Lets a child live through `events`, kills it, and gives what it said it accepted. */
async function lifeOf(child: ChildProcess, events: () => Promise<void>): Promise<{ n: number; at: number }[]> {
  let said = '';
  child.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  if (child.stdout) await once(child.stdout, 'data');
  await events();
  child.kill('SIGKILL');
  await once(child, 'close');
  return said
    .trimEnd()
    .split('\n')
    .map((line) => line.split(' ').map(Number))
    .map(([n = 0, at = 0]) => ({ n, at }));
}

function largestSegment(folder: string): number {
  const db = new Database(`${folder}/cloud.sqlite`, { readonly: true });
  const events = (lane: string): number =>
    (db.prepare(`SELECT coalesce(max(events), 0) FROM ${lane}`).pluck().get() as number) ?? 0;
  const found = Math.max(events('alarm'), events('live'));
  db.close();
  return found;
}

/** Random lifetimes are the point of this test: here, and only here, the clock decides. */
function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
