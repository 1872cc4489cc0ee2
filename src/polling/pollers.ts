/** All connections of a gateway: one poller each, kept in step with what is configured. */
import type { FoundDevice } from '../driver.js';
import type { RunTurn } from '../field/turn.js';
import type { Device } from '../model.js';
import { type Motion, watchMotion } from '../ops/motion.js';
import { FULL_WIRE, plannedShare } from './load.js';
import { type Poller, type PollerOptions, type PollState, type PollStats, startPoller } from './poller.js';
import { SAMPLE_EVERY } from './usage.js';

/** A connection as configured. */
export interface Line
  extends Pick<PollerOptions, 'connection' | 'driver' | 'settings' | 'data' | 'gateway' | 'devices'> {
  /** Whether devices that announce themselves are listened for. */
  readonly discover?: boolean;
}

/** What all pollers are given. */
export interface PollersOptions extends Pick<PollerOptions, 'log' | 'ready' | 'onBatch' | 'onState' | 'localBroker'> {
  /** A device announced itself on a connection. */
  onFound?(connection: string, device: FoundDevice): void;
}

/** How busy a wire is. */
export interface ConnectionLoad {
  readonly id: string;
  /** Share of the last minute in which a turn was under way, of as many as the wire takes at once; 1 is all of it. */
  readonly load: number;
  /** The share that its schedule takes by the driver's reckoning, with every device answering; absent where it cannot tell. */
  readonly planned?: number;
}

/** The pollers of a gateway, as one. */
export interface Pollers {
  /** Summed over all connections since the start, those that are gone included. */
  stats(): PollStats;
  loads(): ConnectionLoad[];
  state(device: Device): { state: PollState; reason?: string };
  /** How turns are taken on a connection; undefined when there is none of that name. */
  runOn(connection: string): RunTurn | undefined;
  /** Says which connection does not move any more, or undefined. */
  stuck(): string | undefined;
  /**
   * Polls these connections from now on. A connection is told by its driver and settings, a
   * device by itself: what is the very object of before is not disturbed. What is gone says nothing any more once this has been
   * called; the promise resolves when it is closed and what is new has been started.
   */
  use(lines: readonly Line[]): Promise<void>;
  /** Ends all of them, within two seconds. */
  stop(): Promise<void>;
}

/** Longest pause of a poll loop whose device or link is dead, in milliseconds. */
const LONGEST_PAUSE = 60_000;

/** Connections that are polled at the same moments, and milliseconds until the next ones: few wakings, and never all work at once. */
const TOGETHER = 10;
const APART = 10;

const TOO_BUSY =
  `the wire is busy for more than ${FULL_WIRE * 100} % of its time: ` +
  'poll less often (every), raise its speed (baud), or use another wire for some devices';

interface Running {
  readonly line: Line;
  readonly poller: Poller;
  /** Undefined for a connection that has nothing to read. */
  readonly motion: Motion | undefined;
  /** Reckoned when somebody asks. */
  readonly planned: () => number | undefined;
}

/** Has no connection yet: see `use`. */
export function preparePollers({ onFound, ...shared }: PollersOptions): Pollers {
  const { log } = shared;
  const running = new Map<string, Running>();
  const past = noPolls();
  const origin = performance.now();
  let stopped = false;
  const sampling = setInterval(sample, SAMPLE_EVERY).unref();

  const start = (line: Line): Running => {
    const listener = line.discover ? onFound?.bind(undefined, line.connection) : undefined;
    const start = origin + Math.floor(running.size / TOGETHER) * APART;
    return watched(line, startPoller({ ...line, ...shared, start, onFound: listener }));
  };
  const end = async ({ line, poller }: Running): Promise<void> => {
    running.delete(line.connection);
    await poller.stop();
    add(past, poller.stats);
  };
  return {
    stats() {
      const sum = { ...past };
      for (const { poller } of running.values()) add(sum, poller.stats);
      return sum;
    },
    loads: () => [...running.values()].map((one) => loadOf(one, performance.now())),
    state: ({ connection, id }) => running.get(connection)?.poller.state(id) ?? { state: 'starting' },
    runOn: (connection) => running.get(connection)?.poller.run,
    stuck() {
      for (const { motion } of running.values()) {
        const reason = motion?.stuck();
        if (reason !== undefined) return reason;
      }
      return undefined;
    },
    async use(lines) {
      const wanted = new Map(lines.map((line) => [line.connection, line]));
      const ending: Promise<void>[] = [];
      for (const one of [...running.values()]) {
        const { line: before, poller } = one;
        const line = wanted.get(before.connection);
        if (line?.driver !== before.driver || line.settings !== before.settings) ending.push(end(one));
        else if (!sameDevices(line, before)) {
          poller.use(line.devices);
          running.set(line.connection, watched(line, poller));
        }
      }
      // Many devices take one connection at a time: what is new waits for what ends.
      await Promise.all(ending);
      if (stopped) return;
      for (const [connection, line] of wanted) if (!running.has(connection)) running.set(connection, start(line));
    },
    async stop() {
      stopped = true;
      clearInterval(sampling);
      await Promise.all([...running.values()].map(end));
    },
  };

  function sample(): void {
    const now = performance.now();
    for (const one of running.values()) {
      if (!one.poller.usage.sample(now)) continue;
      const { id: connection, load, planned } = loadOf(one, now);
      log.warn({ connection, load, planned }, TOO_BUSY);
    }
  }
}

function loadOf({ line, poller, planned }: Running, now: number): ConnectionLoad {
  const plan = planned();
  const load = rounded(poller.usage.share(now));
  return { id: line.connection, load, ...(plan !== undefined && { planned: rounded(plan) }) };
}

const rounded = (share: number): number => Math.round(share * 1_000) / 1_000;

function sameDevices(a: Line, b: Line): boolean {
  return a.devices.length === b.devices.length && a.devices.every((device, index) => device === b.devices[index]);
}

function watched(line: Line, poller: Poller): Running {
  const wait = longestWait(line.devices);
  const motion = wait === undefined ? undefined : watchMotion(`connection ${line.connection}`, 3 * wait, poller.moves);
  let plan: { share: number | undefined } | undefined;
  const planned = (): number | undefined => {
    plan ??= { share: plannedLoad(line) };
    return plan.share;
  };
  return { line, poller, motion, planned };
}

function plannedLoad({ driver, settings, devices }: Line): number | undefined {
  if (!driver.cost) return undefined;
  return devices.reduce((sum, device) => sum + (plannedShare(driver, settings, device) ?? 0), 0);
}

/** Longest time, in milliseconds, between two polls of a connection that is well or whose devices are dead; undefined if it has nothing to read. */
function longestWait(devices: readonly Device[]): number | undefined {
  const read = devices.flatMap(({ points }) => points).filter(({ access }) => access !== 'write');
  if (read.length === 0) return undefined;
  return read.reduce((least, { every }) => Math.min(least, every), Infinity) + LONGEST_PAUSE;
}

function noPolls(): PollStats {
  return { polls: 0, pushes: 0, readings: 0, overruns: 0, failures: 0, reconnects: 0, attempts: 0 };
}

function add(sum: PollStats, stats: PollStats): void {
  for (const key of Object.keys(sum) as (keyof PollStats)[]) sum[key] += stats[key];
}
