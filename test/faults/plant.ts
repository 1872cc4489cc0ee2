/** `tidegate run` between a device that counts and a broker: the whole gateway, struck by faults, and judged by its two ends. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { symlinkSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, vi } from 'vitest';
import { readOutboxStatus } from '../../src/delivery/status.js';
import { watchControl } from '../../src/ops/control.js';
import type { Snapshot, UpstreamStatus } from '../../src/snapshot.js';
import { TestBroker } from '../support/broker.js';
import { CountingDevice } from '../support/counting-device.js';
import { type CountingSite, writeCountingSite } from '../support/counting-site.js';
import type { Verdict } from '../support/ledger.js';
import { temporaryFolder } from '../support/upstream.js';
import { type Aftermath, expectPromiseKept } from './promise.js';

const MAIN = fileURLToPath(new URL('../../src/main.js', import.meta.url));
/** Milliseconds: far more than anything here takes. */
const PATIENCE = 40_000;
/** A device that shows nothing for a while is not dead. */
const PATIENT = { timeout: '60s' };

/** How a plant is set. */
export interface PlantOptions extends Pick<CountingSite, 'upstream' | 'every'> {
  /** The folder that outboxes are kept in; by default one beside gateway.yaml. */
  readonly outbox?: string;
}

/** A line of the gateway's log. */
interface LogLine {
  readonly code?: string;
  readonly events?: number;
}

/** A device, a gateway and a broker. */
export class Plant {
  /** Of all gateways that were started. */
  readonly log: LogLine[] = [];
  #process: ChildProcess | undefined;

  private constructor(
    readonly cloud: TestBroker,
    readonly device: CountingDevice,
    readonly folder: string,
    readonly file: string,
  ) {}

  static async set({ outbox, ...site }: PlantOptions): Promise<Plant> {
    const cloud = await TestBroker.start();
    onTestFinished(() => cloud.down());
    const device = await CountingDevice.start();
    onTestFinished(() => device.stop());
    const folder = temporaryFolder();
    if (outbox !== undefined) symlinkSync(outbox, `${folder}/outbox`);
    const file = writeCountingSite({ folder, device: device.port, url: cloud.url, connection: PATIENT, ...site });
    return new Plant(cloud, device, folder, file);
  }

  /** Starts the gateway. @param wrapper a command that runs it, such as strace */
  start(...wrapper: string[]): void {
    this.device.resume(false);
    const [command = '', ...args] = [...wrapper, process.execPath, MAIN, 'run', this.file];
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#process = child;
    createInterface(child.stdout).on('line', (line) => this.log.push(JSON.parse(line) as LogLine));
    onTestFinished(() => void child.kill('SIGKILL'));
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** Ends the gateway in good order. @returns its exit code */
  async stop(): Promise<number | null> {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const closed = once(child, 'close');
    child.kill('SIGTERM');
    await closed;
    return child.exitCode;
  }

  /** The gateway as it stands now. @throws Error when it does not run */
  async snapshot(): Promise<Snapshot> {
    for await (const snapshot of (await watchControl<Snapshot>(this.folder)) ?? []) return snapshot;
    throw new Error('the gateway does not run');
  }

  /** Resolves when the upstream's status is as wanted. */
  async upstream(wanted: (status: UpstreamStatus) => boolean, what: string): Promise<UpstreamStatus> {
    return vi.waitFor(async () => {
      const [status] = (await this.snapshot()).upstreams;
      if (!status || !wanted(status)) throw new Error(`never: ${what}; ${JSON.stringify(status)}`);
      return status;
    }, PATIENCE);
  }

  /** Has the device show nothing more; resolves when the gateway, the first one, has accepted all that it showed. */
  async still(): Promise<void> {
    this.device.hold();
    await this.upstream(({ accepted }) => accepted >= this.device.shown.length, 'all accepted');
  }

  /** Resolves when nothing waits any more. */
  drained(): Promise<UpstreamStatus> {
    return this.upstream(({ waiting: { alarm, live, backlog } }) => alarm + backlog === 0 && live < 20, 'drained');
  }

  /** Resolves when the device was asked so many times more. */
  async polled(more: number): Promise<void> {
    const enough = this.device.shown.length + more;
    await vi.waitFor(() => expect(this.device.shown.length).toBeGreaterThan(enough), PATIENCE);
  }

  /** Resolves when something has arrived that the device shows from now on. */
  async arrives(): Promise<void> {
    const { length } = this.device.shown;
    await this.cloud.until(() =>
      this.telemetry().some(({ payload }) => Number(/"n":(\d+)/.exec(payload)?.[1]) > length),
    );
  }

  /**
   * Judges, once the gateway is stopped, what has arrived of all that the device showed.
   * @param last up to which number
   */
  async check(
    fault: string,
    last: number,
    { runs = 1, forgetful = false }: Pick<Aftermath, 'runs' | 'forgetful'> = {},
  ): Promise<Verdict> {
    const mustArrive = this.device.shown.map(({ n }) => n).filter((n) => n <= last);
    const received = this.cloud.received.filter(({ topic }) => topic !== 'tidegate/g/status');
    const [file] = await readOutboxStatus(this.folder);
    if (!file) throw new Error('there is no outbox file');
    const { accounts } = file;
    const logged = this.log.reduce((sum, { code, events = 0 }) => sum + (code === 'OUTBOX_LOST' ? events : 0), 0);
    return expectPromiseKept({ fault, runs, received, mustArrive, logged, accounts, forgetful });
  }

  private telemetry(): TestBroker['received'] {
    return this.cloud.received.filter(({ topic }) => /^tidegate\/g\/counter.*\/telemetry$/.test(topic));
  }
}
