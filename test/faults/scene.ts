/** A broker that comes and goes, an outbox folder that outlives its processes, and a judgement of all that arrived. */
import { existsSync } from 'node:fs';
import { expect, onTestFinished, vi } from 'vitest';
import type { Account } from '../../src/delivery/counters.js';
import type { StreamName } from '../../src/delivery/rows.js';
import { readOutboxStatus } from '../../src/delivery/status.js';
import { Database } from '../../src/ops/sqlite.js';
import { TestBroker } from '../support/broker.js';
import type { CrashOptions } from '../support/crash-child.js';
import type { Verdict } from '../support/ledger.js';
import { random } from '../support/random.js';
import { stallsTold } from '../support/stall.js';
import { openTestUpstream, temporaryFolder } from '../support/upstream.js';
import { expectPromiseKept } from './promise.js';

/** Decides every random moment. */
export const SEED = Number(process.env.SEED ?? 1);
/** Flush window of the processes that are struck, milliseconds. */
export const FLUSH = 200;
/** Their `in_flight`. */
const WINDOW = 32;
/** Numbers left out after a process died: it may have accepted more than it could tell. */
export const UNTOLD = 1_000;

/** How often a fault strikes: the environment variable, or a few times. */
export function times(name: 'KILLS' | 'CUTS' | 'METERS', few: number): number {
  return Number(process.env[name] ?? few);
}

type Accounts = Readonly<Record<StreamName, Account>>;

export class Scene {
  readonly draw = random(SEED);
  /** Numbers that were accepted long enough before a strike. */
  readonly mustArrive: number[] = [];
  #up = true;
  #outages = 0;
  #strikes = 0;
  #largest = 0;

  private constructor(
    readonly cloud: TestBroker,
    readonly folder: string,
    /** Where a process that is to be struck tells how long it had to wait. */
    readonly stalls: string,
  ) {}

  /** @param folder where the outbox is; the folder's other files stay on the system's disk */
  static async set(folder = temporaryFolder()): Promise<Scene> {
    const cloud = await TestBroker.start();
    onTestFinished(() => cloud.down());
    return new Scene(cloud, folder, `${temporaryFolder()}/stalls`);
  }

  /** What a writer is told of it. */
  get writes(): Pick<CrashOptions, 'url' | 'folder' | 'stalls'> {
    const { cloud, folder, stalls } = this;
    return { url: cloud.url, folder, stalls };
  }

  /** A whole number from 1 on. */
  upTo(most: number): number {
    return 1 + Math.floor(this.draw() * most);
  }

  /** Random lifetimes are the point of these tests: here, and only here, the clock decides. */
  async live(most: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, this.draw() * most));
  }

  /** Lets the broker come and go; about half of the time it ends up gone. */
  async wander(): Promise<void> {
    for (let change = Math.floor(this.draw() * 4); change > 0; change--) {
      await this.live(400);
      await this.brokerIs(!this.#up);
    }
  }

  async brokerIs(up: boolean): Promise<void> {
    if (up === this.#up) return;
    this.#up = up;
    if (!up) this.#outages++;
    await (up ? this.cloud.up() : this.cloud.down());
  }

  /**
   * Notes a strike, and which of the accepted events have to survive it.
   * @param died when it struck; call this when the process has ended
   * @param strict that each was on disk when it was told
   */
  struck(died: number, accepted: readonly { n: number; at: number }[], strict = false): void {
    const stall = stallsTold(this.stalls, died);
    const grace = (at: number): number => (strict ? 0 : FLUSH + 4 * stall(at) + 100);
    for (const { n, at } of accepted) if (at <= died - grace(at)) this.mustArrive.push(n);
    this.#strikes++;
    this.#largest = Math.max(this.#largest, largestSegment(this.folder));
  }

  /** Events that wait on disk. */
  async backlog(): Promise<number> {
    const [status] = await readOutboxStatus(this.folder);
    return status ? status.alarm + status.backlog : 0;
  }

  /** Has the broker get all that waits. Gives the accounts after that. */
  async drain(): Promise<Accounts> {
    await this.brokerIs(true);
    const upstream = await openTestUpstream(this.cloud.url, this.folder);
    await vi.waitFor(async () => expect(await this.backlog()).toBe(0), 60_000);
    const accounts = upstream.status().accounts;
    await upstream.close();
    return accounts;
  }

  /** Drains what is left, judges all that the broker ever got, and reports it. */
  async check(fault: string, mustArrive = this.mustArrive): Promise<Verdict & { accounts: Accounts }> {
    const accounts = await this.drain();
    // Also of devices that do not count: all of them are in the accounts.
    const received = this.cloud.received.filter(({ topic }) => topic !== 'tidegate/g/status');
    // After a crash, in each of the two lanes on disk: a window and a segment. After an outage: a window.
    const duplicates = this.#strikes * 2 * (WINDOW + this.#largest) + this.#outages * WINDOW;
    const runs = this.#strikes;
    const verdict = expectPromiseKept({ fault, runs, received, mustArrive, duplicates, accounts, forgetful: true });
    return { ...verdict, accounts };
  }
}

function largestSegment(folder: string): number {
  const file = `${folder}/outbox/cloud.sqlite`;
  if (!existsSync(file)) return 0;
  const db = new Database(file, { readonly: true });
  try {
    const sizes = db.prepare<[], number>('SELECT events FROM alarm UNION ALL SELECT events FROM live').pluck().all();
    return Math.max(0, ...sizes);
  } catch {
    // Struck while it was being made.
    return 0;
  } finally {
    db.close();
  }
}
