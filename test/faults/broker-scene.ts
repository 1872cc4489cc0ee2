/** An outbox before a broker that follows a script: what is accepted, what the broker was given, what the operator was told, and the verdict. */
import type { TlsOptions } from 'node:tls';
import { pino } from 'pino';
import { expect, onTestFinished, vi } from 'vitest';
import type { Upstream } from '../../src/delivery/upstream.js';
import { setClock } from '../support/clock.js';
import type { Verdict } from '../support/ledger.js';
import { type Published, type Script, ScriptedBroker } from '../support/scripted-broker.js';
import { event, openTestUpstream, temporaryFolder } from '../support/upstream.js';
import { expectPromiseKept } from './promise.js';

/** What waits goes to disk soon, and soon is backlog, so that all lanes take part. */
const BUFFER = { flush: '40ms', live_for: '100ms' };
/** Milliseconds: far more than anything here takes. */
const PATIENCE = 20_000;

/** A line of the log. */
export interface Told {
  readonly level: number;
  readonly msg: string;
  readonly code?: string;
  readonly reason?: string;
}

export class BrokerScene {
  readonly told: Told[] = [];
  #accepted = 0;
  #upstream: Upstream | undefined;
  readonly folder = temporaryFolder();

  /** @param brokers all that take messages from this outbox, one after the other */
  private constructor(private readonly brokers: ScriptedBroker[]) {}

  /** A broker, and an upstream that is opened with `settings`, as in gateway.yaml. */
  static async set(script: Script, settings: object = {}): Promise<BrokerScene> {
    const broker = await ScriptedBroker.start(script);
    onTestFinished(() => broker.stop());
    return BrokerScene.before([broker], broker.url, settings);
  }

  /** An upstream whose way to the brokers is the test's own. */
  static async before(brokers: ScriptedBroker[], url: string, settings: object = {}): Promise<BrokerScene> {
    const scene = new BrokerScene(brokers);
    await scene.#open(url, settings);
    onTestFinished(() => scene.upstream.close());
    return scene;
  }

  /** Starts the upstream anew on the same outbox, with other settings. */
  async reopen(url: string, settings: object): Promise<void> {
    await this.upstream.close();
    await this.#open(url, settings);
  }

  async #open(url: string, settings: object): Promise<void> {
    const log = pino({ base: null }, { write: (line: string) => void this.told.push(JSON.parse(line) as Told) });
    this.#upstream = await openTestUpstream(url, this.folder, { buffer: BUFFER, ...settings }, setClock, log);
  }

  get broker(): ScriptedBroker {
    return this.brokers.at(-1) as ScriptedBroker;
  }

  get upstream(): Upstream {
    return this.#upstream as Upstream;
  }

  /** All that the brokers were given. */
  get published(): Published[] {
    return this.brokers.flatMap(({ published }) => published);
  }

  /** A broker on the port of the last one, which must have been stopped; it knows nothing of what was before. */
  async brokerReturns(script: Script = {}, tls?: TlsOptions): Promise<void> {
    const broker = await ScriptedBroker.start(script, { port: this.broker.port, tls });
    onTestFinished(() => broker.stop());
    this.brokers.push(broker);
  }

  /** Has the outbox accept so many more events, each fifth an alarm, or none. @param state a text point of each */
  accept(events: number, { state = 'on', alarms = true } = {}): void {
    for (const last = this.#accepted + events; this.#accepted < last; ) {
      const n = ++this.#accepted;
      this.upstream.accept({ ...event(n, alarms && n % 5 === 0 ? 'alarm' : 'live'), values: [n, state] });
    }
  }

  /** Resolves when the operator has been told of a lost link in words that fit. */
  async tells(words: RegExp): Promise<void> {
    await vi.waitFor(() => expect(this.told.map(({ reason }) => reason)).toContainEqual(expect.stringMatching(words)), {
      timeout: PATIENCE,
    });
  }

  /** Resolves when nothing waits any more and all gaps have arrived; then judges. */
  async check(fault: string, { runs = 1, rejected = 0 } = {}): Promise<Verdict> {
    await vi.waitFor(
      () => {
        const { waiting, inFlight } = this.upstream.status();
        expect({ waiting, inFlight }).toEqual({ waiting: { alarm: 0, live: 0, backlog: 0 }, inFlight: 0 });
        // Gaps are not among what waits; refusals may come in several.
        const gaps = this.published
          .filter(({ topic }) => topic.endsWith('/gap'))
          .map(({ payload }) => JSON.parse(payload));
        const told = new Map<string, number>(gaps.map(({ id, gap }) => [id, gap.count]));
        expect([...told.values()].reduce((sum, count) => sum + count, 0)).toBe(rejected);
      },
      { timeout: PATIENCE },
    );
    const { accounts } = this.upstream.status();
    const mustArrive = Array.from({ length: this.#accepted }, (_, i) => i + 1);
    const received = this.published.filter(({ answer }) => answer !== 'refused');
    const verdict = expectPromiseKept({ fault, runs, received, mustArrive, accounts });
    const acknowledged = this.published.filter(({ answer }) => answer === 'acknowledged');
    const known = new Set(acknowledged.map(({ payload }) => JSON.parse(payload).values?.n as number));
    const unconfirmed = mustArrive.filter((n) => !known.has(n));
    expect(unconfirmed, 'nothing counts as delivered that no broker acknowledged').toEqual(verdict.lost);
    expect(verdict.lost).toHaveLength(rejected);
    return verdict;
  }
}
