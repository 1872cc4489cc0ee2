/**
 * The composition root: the one place that knows every room. Builds all in order, stops all in reverse, and joins the rooms
 * with plain functions: poller → router → upstreams.
 */
import { dirname, resolve } from 'node:path';
import type { Logger } from 'pino';
import type { GatewayConfig } from './config/schema.js';
import type { UpstreamStatus } from './delivery/upstream.js';
import { prepareUpstreams } from './delivery/upstreams.js';
import { type PointSnapshot, rememberLatest } from './devices/latest.js';
import { messageOf } from './errors.js';
import type { Batch, Device } from './model.js';
import { type Clock, watchClock } from './ops/clock.js';
import { serveControl } from './ops/control.js';
import { lockData } from './ops/lock.js';
import { type Motion, measureRate, watchMotion } from './ops/motion.js';
import { type DeviceState, type Poller, type PollStats, startPoller } from './polling/poller.js';
import { compileRouter, type Router } from './routing/router.js';
import type { Site } from './site.js';
import { RELEASED, VERSION } from './version.js';

export type { UpstreamStatus } from './delivery/upstream.js';
export type { PointSnapshot } from './devices/latest.js';

/** A device as it stands. */
export interface DeviceSnapshot {
  readonly id: string;
  readonly profile: string;
  readonly connection: string;
  readonly state: DeviceState;
  readonly reason?: string;
  readonly points: readonly PointSnapshot[];
}

/** The whole gateway at one instant. */
export interface Snapshot {
  readonly gateway: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Whether the wall clock is known to be set. */
  readonly clock: 'set' | 'unset';
  /** Milliseconds since the start. */
  readonly uptime: number;
  /** Over the last ten seconds. */
  readonly readingsPerSecond: number;
  /** Summed over all connections. */
  readonly polls: PollStats;
  readonly devices: readonly DeviceSnapshot[];
  readonly upstreams: readonly UpstreamStatus[];
}

/** A running gateway. */
export interface Gateway {
  snapshot(): Snapshot;
  /** Says what does not move any more (a poll loop, the outbox's thread), or undefined. */
  stuck(): Promise<string | undefined>;
  /** Stops all; what was accepted is on disk or acknowledged when it resolves, within 5 s unless the disk is slower. Never rejects. */
  stop(): Promise<void>;
}

/** How to run a site. */
export interface GatewayOptions {
  readonly log: Logger;
  /** False: only poll, deliver nothing and leave the data folder alone (`tidegate watch`). Default true. */
  readonly deliver?: boolean;
}

/** Longest pause of a poll loop whose device or link is dead, in milliseconds. */
const LONGEST_PAUSE = 60_000;
/** Most milliseconds that each part of a stop may take. */
const STOP_WITHIN = 2_500;
/** … but for the outboxes: a card that is slow to write must not cost events. Whoever cannot wait sends a second signal. */
const FLUSH_WITHIN = 15_000;

/** The folder of outboxes, lock and control socket. */
export function dataFolder(file: string, config: GatewayConfig): string {
  return resolve(dirname(file), config.data);
}

/**
 * Starts everything that the site names, the pollers first. Resolves when all outboxes are open; links may still be down.
 * @throws TidegateError DATA_IN_USE or OUTBOX_OPEN; nothing is left running then
 */
export async function startGateway(site: Site, options: GatewayOptions): Promise<Gateway> {
  const { log, deliver = true } = options;
  const { config, devices } = site;
  const folder = dataFolder(site.file, config);
  const started = performance.now();
  const latest = rememberLatest();
  const rate = measureRate(() => latest.readings);
  const pollers = new Map<string, Poller>();
  const motions: Motion[] = [];
  const clock = watchClock({ log, notBefore: RELEASED });
  const upstreams = prepareUpstreams({
    configs: deliver ? config.upstreams : {},
    gateway: config.gateway,
    folder,
    log,
    clock,
  });
  /** What to undo when stopping, the last first. */
  const undo: [what: string, work: () => Promise<void> | void, most?: number][] = [
    ['rate', () => rate.stop()],
    ['clock', () => clock.stop()],
  ];

  try {
    if (deliver) {
      const lock = await lockData(folder);
      undo.push(['lock', () => lock.release()]);
    }
    undo.push(['outboxes', () => upstreams.close(), FLUSH_WITHIN]);
    startPollers();
    await upstreams.open();
    if (deliver) await openControl();
  } catch (error) {
    await stop();
    throw error;
  }
  log.info(
    {
      version: VERSION,
      gateway: config.gateway,
      connections: pollers.size,
      devices: devices.length,
      points: devices.reduce((sum, { points }) => sum + points.length, 0),
      rules: site.rules.length,
      upstreams: Object.keys(config.upstreams).length,
    },
    'gateway started',
  );
  return { snapshot, stuck, stop };

  function openRouter(): Router {
    return compileRouter({
      gateway: config.gateway,
      rules: site.rules,
      devices,
      upstreams: Object.entries(config.upstreams).map(([id, { topic }]) => ({ id, topic })),
    });
  }

  function startPollers(): void {
    const router = deliver ? openRouter() : undefined;
    const send = upstreams.accept;
    const onBatch = (read: Batch): void => {
      const batch = clock.known ? read : unsure(read, clock);
      latest.take(batch);
      router?.route(batch, send);
    };
    undo.push(['pollers', async () => void (await Promise.all([...pollers.values()].map((poller) => poller.stop())))]);
    for (const [connection, driver] of site.drivers) {
      const own = devices.filter((device) => device.connection === connection);
      if (own.length === 0) continue;
      const settings = site.connectionSettings.get(connection);
      const poller = startPoller({ connection, driver, settings, devices: own, log, onBatch });
      pollers.set(connection, poller);
      const { stats } = poller;
      const work = () => stats.polls + stats.failures + stats.attempts;
      const wait = longestWait(own);
      if (wait !== undefined) motions.push(watchMotion(`connection ${connection}`, 3 * wait, work));
    }
  }

  /** Without it the gateway still does its work: nobody can look on, that is all. */
  async function openControl(): Promise<void> {
    try {
      const control = await serveControl(folder, snapshot);
      undo.push(['control socket', () => control.close()]);
    } catch (error) {
      log.warn({ reason: messageOf(error) }, 'no control socket: `watch` and `outbox status` cannot ask this gateway');
    }
  }

  function snapshot(): Snapshot {
    return {
      gateway: config.gateway,
      at: Date.now(),
      clock: clock.known ? 'set' : 'unset',
      uptime: Math.round(performance.now() - started),
      readingsPerSecond: Math.round(rate.perSecond() * 10) / 10,
      polls: sumStats([...pollers.values()].map(({ stats }) => stats)),
      devices: devices.map((device) => ({
        id: device.id,
        profile: device.profile,
        connection: device.connection,
        ...(pollers.get(device.connection)?.state(device.id) ?? { state: 'starting' as const }),
        points: latest.points(device),
      })),
      upstreams: upstreams.status(),
    };
  }

  async function stuck(): Promise<string | undefined> {
    for (const motion of motions) {
      const reason = motion.stuck();
      if (reason !== undefined) return reason;
    }
    await upstreams.ping();
    return undefined;
  }

  async function stop(): Promise<void> {
    for (const [what, work, most = STOP_WITHIN] of undo.splice(0).reverse()) {
      const trouble = await within(most, work);
      if (trouble !== undefined) log.error({ reason: trouble }, `stopping the ${what} failed`);
    }
  }
}

/** A batch read while the clock is unknown: its time counts on from the start, whatever the wall clock does meanwhile. */
function unsure(batch: Batch, clock: Clock): Batch {
  return { ...batch, at: clock.timeOf(batch.mono), clock: 'unset' };
}

/** Longest time, in milliseconds, between two polls of a connection that is well or whose devices are dead; undefined if it has nothing to read. */
function longestWait(devices: readonly Device[]): number | undefined {
  const read = devices.flatMap(({ points }) => points).filter(({ access }) => access !== 'write');
  if (read.length === 0) return undefined;
  return read.reduce((least, { every }) => Math.min(least, every), Infinity) + LONGEST_PAUSE;
}

function sumStats(all: readonly PollStats[]): PollStats {
  const sum = { polls: 0, readings: 0, overruns: 0, failures: 0, reconnects: 0, attempts: 0 };
  for (const stats of all) for (const key of Object.keys(sum) as (keyof PollStats)[]) sum[key] += stats[key];
  return sum;
}

/** Does the work, and says what went wrong with it: it failed, or took longer than it may. */
async function within(milliseconds: number, work: () => Promise<void> | void): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((done) => {
    timer = setTimeout(() => done(`not done in ${Math.round(milliseconds)} ms`), milliseconds);
  });
  try {
    return await Promise.race([late, (async () => (await work()) ?? undefined)()]);
  } catch (error) {
    return messageOf(error);
  } finally {
    clearTimeout(timer);
  }
}
