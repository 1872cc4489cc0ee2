/** What every part of the benchmark plays in: a field, a cloud, a folder, and how long to look. */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Gateway, type Load } from './gateway.js';
import { Peer } from './peer.js';
import type { CloudCounts } from './peers/cloud.js';
import type { FieldCounts } from './peers/field.js';
import { coreShare, median, type Usage, usageOf } from './usage.js';

/** How long each part takes, milliseconds, and how often it is repeated. */
export interface Pace {
  readonly warmup: number;
  /** Messages of a warm-up at a steady load: Node compiles by how often code has run, not by how long. */
  readonly warmupMessages: number;
  readonly window: number;
  readonly windows: number;
  readonly starts: number;
  /** Writes whose time is taken. */
  readonly writes: number;
  /** Readings of the large backlog. */
  readonly backlog: number;
  /** Seconds of an outage, lived through as fast as it goes; and bytes of the file that is full when one begins. */
  readonly outageSeconds: number;
  readonly fullSize: number;
}

/** One look at everything: the gateway's use, the field's and the cloud's counts. */
export interface Look {
  readonly at: number;
  readonly gateway: Usage | undefined;
  readonly field: FieldCounts;
  readonly cloud: CloudCounts;
}

/** Two looks, and the time between them. */
export type Window = readonly [from: Look, to: Look];

/** What a program did: readings per second, the share of one core that it took, and its memory in bytes. */
export interface Figures {
  readonly perSecond: number;
  readonly cpu: number;
  readonly rss: number;
}

/** What the gateway did: of what it delivered and took in each window the middle one, and the most memory. */
export function figuresOf(windows: readonly Window[]): Figures {
  return {
    perSecond: median(
      windows.map(([from, to]) => ((to.cloud.readings - from.cloud.readings) * 1_000) / (to.at - from.at)),
    ),
    cpu: median(windows.map(([from, to]) => coreShare(from.gateway, to.gateway))),
    rss: Math.max(...windows.map(([, to]) => to.gateway?.rss ?? Number.NaN)),
  };
}

export class Scene {
  private runs = 0;
  private readonly running = new Set<Gateway>();

  private constructor(
    readonly pace: Pace,
    readonly field: Peer,
    readonly cloud: Peer,
    readonly fieldPort: number,
    readonly cloudPort: number,
    /** Fresh; on a disk unless the folder it was made in has none. */
    readonly folder: string,
  ) {}

  static async open(pace: Pace, parent: string): Promise<Scene> {
    const [field, cloud] = [Peer.start('./peers/field.js'), Peer.start('./peers/cloud.js')];
    const [fieldPort, cloudPort] = [await field.ask<number>('listen'), await cloud.ask<number>('up')];
    return new Scene(pace, field, cloud, fieldPort, cloudPort, mkdtempSync(join(parent, 'tidegate-bench-')));
  }

  /** A folder that no gateway has used. */
  freshFolder(): string {
    return join(this.folder, `run-${++this.runs}`);
  }

  /** Starts a gateway; the peers count anew. */
  async start(load: Load, folder = this.freshFolder(), under: readonly string[] = []): Promise<Gateway> {
    await this.field.ask('reset');
    await this.cloud.ask('reset');
    const { fieldPort, cloudPort } = this;
    const gateway = new Gateway(load, { folder, fieldPort, cloudPort }, under);
    this.running.add(gateway);
    return gateway;
  }

  async look(gateway: Gateway): Promise<Look> {
    gateway.alive();
    const [field, cloud] = await Promise.all([
      this.field.ask<FieldCounts>('counts'),
      this.cloud.ask<CloudCounts>('counts'),
    ]);
    return { at: performance.now(), gateway: usageOf(gateway.pid), field, cloud };
  }

  /** Looks at both ends of each of several windows, one after another. */
  async watch(gateway: Gateway): Promise<Window[]> {
    const windows: Window[] = [];
    let from = await this.look(gateway);
    for (let i = 0; i < this.pace.windows; i++) {
      await sleep(this.pace.window);
      const to = await this.look(gateway);
      windows.push([from, to]);
      from = to;
    }
    return windows;
  }

  /**
   * Looks every 50 ms until something is so.
   * @throws Error when it is not within `limit` milliseconds
   */
  async until(gateway: Gateway, what: string, condition: (look: Look) => boolean, limit = 60_000): Promise<Look> {
    const end = performance.now() + limit;
    for (;;) {
      const look = await this.look(gateway);
      if (condition(look)) return look;
      if (performance.now() > end)
        throw new Error(`${what}: not within ${limit / 1000} s; ${JSON.stringify({ ...look.field, ...look.cloud })}`);
      await sleep(50);
    }
  }

  async close(): Promise<void> {
    for (const gateway of this.running) await gateway.stop('SIGKILL');
    await this.field.stop();
    await this.cloud.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
