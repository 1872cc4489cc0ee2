/** The loop of one connection: keeps it open, reads the devices on it when they are due, listens to those that tell by themselves, and hands on what they say. */
import type { Logger } from 'pino';
import type { Driver, DriverContext, FoundDevice, Session } from '../driver.js';
import { isKind, messageOf, TidegateError } from '../errors.js';
import type { RunTurn } from '../field/turn.js';
import type { Batch, Device, Samples } from '../model.js';
import { disowned, owned } from '../ops/owner.js';
import { type Repeated, repeated } from '../ops/repeated.js';
import type { Tally } from './breaker.js';
import { Discovery } from './discovery.js';
import { Backoff, closeSession, openSession, pause, until } from './link.js';
import { Round } from './round.js';
import { type PollState, type PollStats, Station, type StationContext } from './station.js';
import { Usage } from './usage.js';

export type { PollState, PollStats } from './station.js';

/** What a poller needs. */
export interface PollerOptions {
  /** Id of the connection. */
  readonly connection: string;
  readonly driver: Driver;
  /** The connection's settings, as checked by the driver's schema. */
  readonly settings: unknown;
  /** The driver's folder, and the gateway's name: see `DriverContext`. */
  readonly data: string;
  readonly gateway: string;
  /** The devices on this connection. */
  readonly devices: readonly Device[];
  /**
   * Monotonic time that schedules count from; that of the poller's own start when absent. Connections that share it poll at the same
   * moments, so that one waking of the processor serves them all.
   */
  readonly start?: number;
  readonly log: Logger;
  /** Gives what opens a connection to the site's own broker, if there is one now. */
  readonly localBroker?: (() => DriverContext['local']) | undefined;
  /** Nothing is read, or subscribed to, before this resolves; the connection is opened meanwhile. At once, if absent. */
  readonly ready?: Promise<void>;
  onBatch(batch: Batch): void;
  readonly onState?: StationContext['onState'] | undefined;
  /** Told of devices that announce themselves; absent: nobody listens for them. */
  readonly onFound?: ((device: FoundDevice) => void) | undefined;
}

/** A running loop. */
export interface Poller {
  readonly stats: Readonly<PollStats>;
  /** How busy the wire is. */
  readonly usage: Usage;
  /** How a device of this connection is. */
  state(deviceId: string): { state: PollState; reason?: string };
  /** Grows with whatever the loop does, and with each question while there is nothing that it should do. */
  readonly moves: () => number;
  /** Does the work in the wire's next turn, before the reads that are due. */
  readonly run: RunTurn;
  /**
   * Polls these devices from now on. Those that are the very objects of before are not disturbed; others are read at once, one of
   * the same id in place of the former. No batch of a device that is gone comes afterwards.
   */
  use(devices: readonly Device[]): void;
  /** Ends all reads and closes the connection, within two seconds whatever the driver does. No batch comes afterwards. */
  stop(): Promise<void>;
}

/** A connection that held so long is opened again at once when it breaks. */
const STABLE = 10_000;

/** How a session ended. */
interface Broken {
  readonly reason: string;
  /** The driver threw what it should not. */
  readonly bug: boolean;
  /** One device was found to be the cause, and is left alone from now on. */
  readonly blamed: boolean;
}

/** Starts to poll. Returns at once; the connection is opened in the background, and again whenever it breaks. */
export function startPoller(options: PollerOptions): Poller {
  return new Loop(options);
}

class Loop implements Poller {
  readonly stats: PollStats = {
    polls: 0,
    pushes: 0,
    readings: 0,
    overruns: 0,
    failures: 0,
    reconnects: 0,
    attempts: 0,
  };
  readonly usage = new Usage(performance.now());
  readonly #options: PollerOptions;
  readonly #log: Logger;
  readonly #trouble: Repeated;
  readonly #start: number;
  readonly #stations: Station[] = [];
  readonly #tally: Tally = { devices: 0, dead: 0 };
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;
  readonly #discovery: Discovery | undefined;
  #round: Round | undefined;
  /** How turns are taken on the present session, when its devices tell by themselves. */
  #feeding: RunTurn | undefined;
  /** Why there is no session. */
  #down = 'not connected yet';
  #idle = 0;
  #end: (broken: Broken | undefined) => void = () => {};
  /** When the present session and the one before were opened. */
  #openedAt = 0;
  #openedBefore = 0;

  constructor(options: PollerOptions) {
    const { devices, connection, onFound } = options;
    this.#options = options;
    this.#start = options.start ?? performance.now();
    this.#log = options.log.child({ connection });
    this.#trouble = repeated(this.#log);
    this.#discovery = onFound && new Discovery((device) => this.#guard(() => onFound(device)), repeated(this.#log));
    for (const [index, device] of devices.entries()) this.#stations.push(this.#station(device, index / devices.length));
    this.#running = this.#run();
  }

  state(deviceId: string): { state: PollState; reason?: string } {
    const station = this.#stations.find(({ device }) => device.id === deviceId);
    if (!station) throw new RangeError(`no device "${deviceId}" on connection "${this.#options.connection}"`);
    const { state, reason } = station;
    return reason === undefined ? { state } : { state, reason };
  }

  readonly moves = (): number => {
    if (this.#round?.idle) this.#idle++;
    const { polls, pushes, failures, attempts } = this.stats;
    return polls + pushes + failures + attempts + this.#idle;
  };

  readonly run: RunTurn = async (work, signal) => {
    const round = this.#round;
    if (!round) throw new TidegateError('LINK_DOWN', this.#down);
    return this.#own(() => round.run(work, signal));
  };

  use(devices: readonly Device[]): void {
    this.#own(() => this.#use(devices));
  }

  #use(devices: readonly Device[]): void {
    const before = this.#stations.splice(0);
    for (const station of before) if (!devices.includes(station.device)) station.leave();
    const now = performance.now();
    for (const device of devices) {
      const known = before.find((station) => station.device.id === device.id);
      if (known && !known.left) {
        this.#stations.push(known);
        continue;
      }
      const station = this.#station(device, known?.phase ?? freePhase([...before, ...this.#stations]));
      this.#stations.push(station);
      if (this.#round) station.wireOpened(now, true, this.#feeding);
    }
    this.#round?.pump();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#leave(undefined);
    await this.#running;
  }

  /** Does work on the present session: an error in it that nobody catches, most likely the driver's, ends that session only. */
  #own<T>(work: () => T): T {
    const { attempts } = this.stats;
    const crashed = (error: unknown): void => {
      this.#trouble.failed(`the driver failed: ${messageOf(error)}`, { err: error });
      if (attempts === this.stats.attempts) this.#break(error);
    };
    return owned(crashed, work);
  }

  #station(device: Device, phase: number): Station {
    const { onState } = this.#options;
    return new Station(device, this.#start, phase, {
      stats: this.stats,
      tally: this.#tally,
      late: this.#trouble,
      trouble: repeated(this.#log.child({ device: device.id })),
      onBatch: (batch) => this.#handOn(batch),
      onState: (...news) => this.#guard(() => onState?.(...news)),
      onBreak: (error) => this.#break(error),
    });
  }

  /** Session after session, until stopped. */
  async #run(): Promise<void> {
    const { driver, settings, data, gateway, connection, ready } = this.#options;
    const { signal } = this.#stopping;
    const backoff = new Backoff();
    const down = repeated(this.#log);
    let opened = 0;
    let news = true;
    while (!signal.aborted) {
      let session: Session;
      this.stats.attempts++;
      try {
        const local = this.#options.localBroker?.();
        const context = { log: this.#log, data, gateway, connection, ...(local && { local }) };
        session = await this.#own(() => openSession(driver, settings, context, signal));
      } catch (error) {
        if (signal.aborted) return;
        news = true;
        down.failed(`not connected: ${messageOf(error)}`, isKind(error, 'reconnect') ? {} : { err: error });
        this.#down = `not connected: ${messageOf(error)}`;
        this.#loseAll(messageOf(error));
        await pause(backoff.next(), signal);
        continue;
      }
      if (this.stats.attempts === 1) this.#log.info('connected');
      down.over(opened === 0 ? 'connected' : 'connected again');
      if (opened++ > 0) this.stats.reconnects++;
      if (ready) await until(ready, signal);
      this.#openedBefore = this.#openedAt;
      this.#openedAt = performance.now();
      const broken = await this.#own(() => this.#serve(session, news));
      await closeSession(session);
      if (!broken) return;
      if (broken.blamed || performance.now() - this.#openedAt >= STABLE) backoff.reset();
      if (broken.bug && !broken.blamed) backoff.slow();
      const wait = backoff.next();
      news = wait > 0;
      if (news) this.#loseAll(broken.reason);
      await pause(wait, signal);
    }
  }

  /** Polls until the session breaks; gives undefined when stopped. */
  #serve(session: Session, news: boolean): Promise<Broken | undefined> {
    return new Promise((resolve) => {
      if (this.#stopping.signal.aborted) return resolve(undefined);
      this.#end = resolve;
      const now = performance.now();
      const shared = { signal: this.#stopping.signal, usage: this.usage };
      const round = new Round(session, this.#stations, shared, {
        settled: (station, samples) => this.#settle(station, samples),
        broke: (error, culprit) => this.#break(error, culprit),
      });
      this.#round = round;
      this.#feeding = session.subscribe && ((work, signal) => round.run(work, signal));
      for (const station of this.#stations) station.wireOpened(now, news, this.#feeding);
      this.#discovery?.open(session, (work, signal) => round.run(work, signal));
      round.pump();
    });
  }

  #settle(station: Station, samples: Samples): void {
    if (station.left) return;
    const now = performance.now();
    const allDead = this.#tally.dead === this.#tally.devices;
    if (!station.settle(samples, now)) return;
    // What brought one back may have brought others back: all, if it was the wire; else the next, and so on while they answer.
    const dead = this.#stations.filter(({ probeAt }) => probeAt !== undefined).sort(byProbe);
    for (const other of allDead ? dead : dead.slice(0, 1)) other.hurry(now);
  }

  /** @param culprit the one that is to blame; without it all are that were being read */
  #break(error: unknown, culprit?: Station): void {
    // What was answered before counts. It may break the wire by itself.
    this.#round?.settle();
    if (!this.#round) return;
    const now = performance.now();
    const reason = messageOf(error);
    const bug = !isKind(error, 'reconnect');
    let blamed = false;
    for (const station of this.#stations) {
      const others = this.#stations.some((other) => other !== station && other.answeredAt >= this.#openedBefore);
      if (station.wireBroke(now, reason, { others, innocent: culprit !== undefined && culprit !== station }))
        blamed = true;
    }
    this.#trouble.failed(`connection broke: ${reason}`, bug ? { err: error } : {});
    this.#leave({ reason, bug, blamed });
  }

  #leave(broken: Broken | undefined): void {
    this.#down = broken ? `connection broke: ${broken.reason}` : 'stopped';
    this.#round?.end(this.#down);
    this.#round = undefined;
    this.#feeding = undefined;
    for (const station of this.#stations) station.wireClosed();
    this.#discovery?.close();
    this.#end(broken);
  }

  #loseAll(reason: string): void {
    for (const station of this.#stations) station.goOffline(reason);
  }

  #handOn(batch: Batch): void {
    this.stats.readings += batch.values.length;
    this.#guard(() => this.#options.onBatch(batch));
  }

  /** What others do with our news must not stop the loop. */
  #guard(tell: () => void): void {
    try {
      disowned(tell);
    } catch (error) {
      this.#trouble.failed(`what was read could not be handed on: ${messageOf(error)}`, { err: error });
    }
  }
}

/** The one whose probe would come first, first. */
function byProbe(a: Station, b: Station): number {
  return (a.probeAt ?? 0) - (b.probeAt ?? 0);
}

/** The middle of the widest stretch that no device has its phase in. */
function freePhase(stations: readonly Station[]): number {
  const taken = stations.map(({ phase }) => phase).sort((a, b) => a - b);
  const [first = 0] = taken;
  let widest = { from: first, width: 0 };
  for (const [index, from] of taken.entries()) {
    const width = (taken[index + 1] ?? first + 1) - from;
    if (width > widest.width) widest = { from, width };
  }
  return (widest.from + widest.width / 2) % 1;
}
