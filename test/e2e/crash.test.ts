/** `kill -9` at random moments while the broker comes and goes. KILLS sets how often, SEED when. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { readOutboxStatus } from '../../src/delivery/status.js';
import { TestBroker } from '../support/broker.js';
import { CountingDevice } from '../support/counting-device.js';
import { judge } from '../support/ledger.js';
import { random } from '../support/random.js';
import { StallProbe } from '../support/stall.js';
import { openTestUpstream, temporaryFolder } from '../support/upstream.js';

const KILLS = Number(process.env.KILLS ?? 10);
const SEED = Number(process.env.SEED ?? 1);
const TIMEOUT = 30_000 + KILLS * 4_000;
const CHILD = fileURLToPath(new URL('../support/crash-child.js', import.meta.url));
const MAIN = fileURLToPath(new URL('../../src/main.js', import.meta.url));
const WINDOW = 32;
/** Milliseconds. */
const FLUSH = 200;

describe('kill -9', () => {
  test.each([
    ['what is older than the flush window arrives', { flush: `${FLUSH}ms`, live_for: '300ms' }, 'window'],
    ['in strict mode all that was accepted arrives', { durability: 'strict', live_for: '300ms' }, 'strict'],
  ])('of the outbox: %s, in order, with bounded duplicates', { timeout: TIMEOUT }, async (_, buffer, mode) => {
    const scene = await Scene.set();
    const mustArrive: number[] = [];
    let next = 1;
    for (let kill = 0; kill < KILLS; kill++) {
      const args = [CHILD, scene.cloud.url, scene.folder, JSON.stringify(buffer), String(next)];
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
      let said = '';
      child.stdout.on('data', (chunk: Buffer) => {
        said += chunk.toString();
      });
      await once(child.stdout, 'data');
      const due = await scene.endOf(child, mode === 'strict');
      const accepted = said
        .split('\n')
        .flatMap((line) => (line ? [line.split(' ').map(Number) as [number, number]] : []));
      for (const [n, at] of accepted) if (at <= due) mustArrive.push(n);
      next = (accepted.at(-1)?.[0] ?? next) + 10;
    }
    await scene.check(mustArrive, 't/');
  });

  test('of the whole gateway: what a device showed before the flush window arrives', { timeout: TIMEOUT }, async () => {
    const scene = await Scene.set();
    const device = await CountingDevice.start();
    onTestFinished(() => device.stop());
    const file = site(scene.folder, device.port, scene.cloud.url);
    const mustArrive: number[] = [];
    for (let kill = 0; kill < KILLS; kill++) {
      const before = device.shown.length;
      const child = spawn(process.execPath, [MAIN, 'run', file], { stdio: ['ignore', 'ignore', 'inherit'] });
      await vi.waitFor(() => expect(device.shown.length).toBeGreaterThan(before), 10_000);
      const due = await scene.endOf(child);
      for (const { n, at } of device.shown.slice(before)) if (at <= due) mustArrive.push(n);
    }
    await scene.check(mustArrive, 'tidegate/g/counter');
  });
});

/** A broker that comes and goes, and an outbox folder that outlives its processes. */
class Scene {
  private readonly draw = random(SEED);
  private up = true;
  private outages = 0;
  private largest = 0;

  private constructor(
    readonly cloud: TestBroker,
    readonly folder: string,
    private readonly probe: StallProbe,
  ) {}

  static async set(): Promise<Scene> {
    const cloud = await TestBroker.start();
    onTestFinished(() => cloud.down());
    const folder = temporaryFolder();
    const probe = await StallProbe.start(folder);
    onTestFinished(() => probe.stop());
    return new Scene(cloud, folder, probe);
  }

  /**
   * Lets the broker come and go, then kills; about half of the kills meet it gone.
   * @returns the time before which all that was accepted must arrive; strict: the time of death
   */
  async endOf(child: ChildProcess, strict = false): Promise<number> {
    onTestFinished(() => void child.kill('SIGKILL'));
    for (let change = Math.floor(this.draw() * 4); change > 0; change--) {
      await pause(this.draw() * 400);
      await this.turn();
    }
    await pause(this.draw() * 700);
    const died = Date.now();
    child.kill('SIGKILL');
    await once(child, 'close');
    this.largest = Math.max(this.largest, largestSegment(this.folder));
    return strict ? died : died - FLUSH - 4 * this.probe.take() - 100;
  }

  /** Drains what is left and judges all that the broker ever got. */
  async check(mustArrive: number[], topics: string): Promise<void> {
    if (!this.up) await this.turn();
    const last = await openTestUpstream(this.cloud.url, this.folder);
    await vi.waitFor(
      async () => expect((await readOutboxStatus(this.folder))[0]).toMatchObject({ alarm: 0, backlog: 0 }),
      20_000,
    );
    await last.close();
    const verdict = judge(
      this.cloud.received.filter((m) => m.topic.startsWith(topics)),
      mustArrive,
    );
    expect(mustArrive.length).toBeGreaterThan(KILLS * 10);
    expect(verdict).toMatchObject({ lost: [], outOfOrder: [], reused: [] });
    // After a crash, in each of the two lanes on disk: a window and a segment. After an outage: a window.
    expect(verdict.duplicates).toBeLessThanOrEqual(KILLS * 2 * (WINDOW + this.largest) + this.outages * WINDOW);
  }

  private async turn(): Promise<void> {
    if (this.up) {
      await this.cloud.down();
      this.outages++;
    } else await this.cloud.up();
    this.up = !this.up;
  }
}

/** A site of five devices behind one connection, each polled every 20 ms. Its outbox file is the scene's. */
function site(folder: string, port: number, url: string): string {
  mkdirSync(`${folder}/device-profiles/test`, { recursive: true });
  writeFileSync(
    `${folder}/device-profiles/test/counter.yaml`,
    `profile: test/counter
title: Counts its readings
source: none
driver: modbus
points:
  n: { type: uint32, table: holding, address: 0, every: 20ms }
`,
  );
  const devices = [1, 2, 3, 4, 5].map(
    (unit) => `  counter-${unit}: { profile: test/counter, connection: bus, unit: ${unit} }`,
  );
  writeFileSync(
    `${folder}/gateway.yaml`,
    `gateway: g
data: .
connections:
  bus: { driver: modbus, tcp: "127.0.0.1:${port}" }
devices:
${devices.join('\n')}
upstreams:
  cloud: { url: "${url}", version: 3.1.1, reconnect: { min: 10ms, max: 40ms }, buffer: { flush: ${FLUSH}ms, live_for: 300ms } }
`,
  );
  return `${folder}/gateway.yaml`;
}

function largestSegment(folder: string): number {
  const file = `${folder}/outbox/cloud.sqlite`;
  if (!existsSync(file)) return 0;
  const db = new Database(file, { readonly: true });
  const sizes = db.prepare<[], number>('SELECT events FROM alarm UNION ALL SELECT events FROM live').pluck().all();
  db.close();
  return Math.max(0, ...sizes);
}

/** Random lifetimes are the point of this test: here, and only here, the clock decides. */
function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
