/**
 * The composition root: the one place that knows every room. Builds all in order, stops all in reverse, and joins the rooms
 * with plain functions: poller → router → upstreams and local broker.
 */
import type { Logger } from 'pino';
import { prepareBroker } from './broker/local.js';
import { LOCAL } from './config/broker.js';
import { type PreparedUpstreams, prepareUpstreams } from './delivery/upstreams.js';
import { answerRegister } from './devices/answers.js';
import { rememberLatest } from './devices/latest.js';
import type { DeviceNews } from './devices/news.js';
import { Register } from './devices/register.js';
import type { FoundDevice } from './driver.js';
import { messageOf } from './errors.js';
import { answerField } from './field/answers.js';
import { type Batch, type Device, KEPT_LANES, type KeptLane } from './model.js';
import { type Clock, watchClock } from './ops/clock.js';
import { serveControl } from './ops/control.js';
import { prepareDiskThread } from './ops/disk-thread.js';
import { findExpiring, watchExpiry } from './ops/expiry.js';
import { lockData } from './ops/lock.js';
import { measureRate } from './ops/motion.js';
import { planShutdown } from './ops/shutdown.js';
import { type Line, preparePollers } from './polling/pollers.js';
import { type Enrolment, openEnrolment } from './reload/enrolment.js';
import type { ReloadPlan } from './reload/plan.js';
import { openReloader, type Reloader, type ReloadOptions, type ReloadReport } from './reload/reloader.js';
import { deviceEvent, listenersOf, newListeners } from './routing/news.js';
import { compileRouter, type Router } from './routing/router.js';
import { configurationOf, dataFolder, destinationsOf, driverFolder, type Site } from './site.js';
import type { Snapshot } from './snapshot.js';
import { RELEASED, VERSION } from './version.js';

/** A running gateway. */
export interface Gateway {
  snapshot(): Snapshot;
  /** Says what does not move any more (a poll loop, the outbox's thread), or undefined. */
  stuck(): Promise<string | undefined>;
  /**
   * Takes up a changed configuration, whole or not at all; what did not change is not disturbed.
   * @throws ProblemList or TidegateError; then the former configuration goes on
   */
  reload(options: ReloadOptions): Promise<ReloadReport>;
  /** Stops all; what was accepted is on disk or acknowledged when it resolves, within 5 s unless the disk is slower. Never rejects. */
  stop(): Promise<void>;
}

/** How to run a site. */
export interface GatewayOptions {
  readonly log: Logger;
  /** False: only poll, deliver nothing and leave the data folder alone (`tidegate watch`). Default true. */
  readonly deliver?: boolean;
  /** Told of the site that a reload is about to run, before anything of it is logged; and of the former one again if that fails. */
  onSite?(site: Site): void;
}

/** Milliseconds that an outbox may take to stop: a card that is slow to write must not cost events. Whoever cannot wait sends a second signal. */
const FLUSH_WITHIN = 15_000;

/**
 * Starts everything that the site names: the local broker, then wires and outboxes at the same time. Nothing is read before there is an
 * outbox that keeps it. Resolves then; links may still be down.
 * @throws TidegateError DATA_IN_USE, BROKER_LISTEN or OUTBOX_OPEN; nothing is left running then
 */
export async function startGateway(first: Site, options: GatewayOptions): Promise<Gateway> {
  const { log, deliver = true, onSite } = options;
  const { gateway } = first.config;
  const folder = dataFolder(first.file, first.config);
  const started = performance.now();
  const latest = rememberLatest();
  const rate = measureRate(() => latest.readings);
  const clock = watchClock({ log, notBefore: RELEASED });
  const thread = prepareDiskThread();
  const upstreams = prepareUpstreams({ configs: upstreamsOf(first), gateway, folder, log, clock, thread });
  const broker = prepareBroker(log.child({ broker: LOCAL }));
  let openReads = (): void => {};
  const ready = new Promise<void>((resolve) => {
    openReads = resolve;
  });
  const register = new Register({
    registrations: first.registrations,
    ...{ folder, thread, clock, log, tell },
    reopened: () => void enrolment?.refresh(),
  });
  const pollers = preparePollers({
    log,
    ready,
    onBatch: take,
    localBroker: () => broker.connect,
    // A wire that cannot be opened says so before there is an outbox that keeps it.
    ...(deliver && {
      onState: ({ id }: Device, state, reason) => void ready.then(() => register.heard(id, state, reason)),
      onFound: (connection, device) => void ready.then(() => find(connection, [device])),
    }),
  });
  const lines = linesOf(first, folder);
  /** What runs. A reload changes both between two batches. */
  let site = first;
  let router = openRouter(first);
  let send = senderOf(first);
  let reloader: Reloader;
  let enrolment: Enrolment | undefined;
  const expiry = watchExpiry(() => findExpiring(site.drivers.values(), (driver) => driverFolder(folder, driver)));
  const shutdown = planShutdown(log);
  shutdown.add('rate', rate.stop);
  shutdown.add('clock', clock.stop);
  shutdown.add('certificates', expiry.stop);

  try {
    if (deliver) {
      const lock = await lockData(folder);
      shutdown.add('lock', () => lock.release());
    }
    shutdown.add('disk thread', () => thread.close());
    shutdown.add('outboxes', () => upstreams.close(), FLUSH_WITHIN);
    if (deliver) shutdown.add('register', () => register.close(), FLUSH_WITHIN);
    shutdown.add('local broker', () => broker.close());
    if (deliver && site.config.broker) await broker.use(site.config.broker);
    showLocally();
    shutdown.add('pollers', () => pollers.stop());
    // The thread of the outboxes loads what it needs while this one opens the wires.
    const opening = deliver ? Promise.all([register.open(), upstreams.open()]) : [];
    const [[changed]] = await Promise.all([opening, pollers.use(lines)]);
    if (deliver) register.use(configurationOf(site));
    // What stands on site must not say for ever that nobody vouches for its time.
    if (!clock.known) clock.onKnown(() => tellStanding(site.config.broker ? [LOCAL] : []));
    openReads();
    // Not before all runs that a reload may change.
    reloader = openReloader({ site, log, registrations: () => new Map(register.devices), apply });
    shutdown.add('reload', () => reloader.close(), FLUSH_WITHIN);
    if (deliver) {
      enrolment = openEnrolment({ register, reloader, site: () => site, log });
      shutdown.add('enrolment', enrolment.close);
      if (changed) await enrolment.refresh();
      void enrolment.admit();
      await openControl(enrolment);
    }
  } catch (error) {
    await shutdown.run();
    throw error;
  }
  log.info(
    {
      version: VERSION,
      gateway,
      connections: lines.length,
      devices: site.devices.length,
      points: site.devices.reduce((sum, { points }) => sum + points.length, 0),
      rules: site.rules.length,
      upstreams: Object.keys(site.config.upstreams).length,
    },
    'gateway started',
  );
  return { snapshot, stuck, reload: reloader.reload, stop: shutdown.run };

  function upstreamsOf({ config }: Site): Site['config']['upstreams'] {
    return deliver ? config.upstreams : {};
  }

  function openRouter({ config, rules, devices }: Site, before?: Router): Router | undefined {
    if (!deliver) return undefined;
    return compileRouter({ gateway, rules, devices, upstreams: destinationsOf(config), before });
  }

  /** Where events go. Without a local broker nothing is asked for each of them. */
  function senderOf({ config }: Site): typeof upstreams.accept {
    if (!config.broker) return upstreams.accept;
    return (id, event) =>
      id === LOCAL && event.kind === 'telemetry' ? broker.take(event) : upstreams.accept(id, event);
  }

  function showLocally(): void {
    const { reaches } = router ?? {};
    broker.show(site.devices, (device, point) => reaches?.(LOCAL, device, point) ?? false);
  }

  function take(read: Batch): void {
    const batch = clock.known || read.sourced ? read : unsure(read, clock);
    latest.take(batch);
    router?.route(batch, send);
  }

  /** News of a device, for every upstream and the site's own broker. */
  function tell(news: DeviceNews): void {
    for (const id of listenersOf(site.config).keys()) tellTo(id, news);
  }

  function tellTo(id: string, news: DeviceNews): void {
    const config = site.config.upstreams[id];
    if (config) upstreams.accept(id, deviceEvent(news, gateway, id, config));
    else broker.stand(news);
  }

  /** Those who have not heard it, or whose topics have something else by now, are told how every device stands. */
  function tellStanding(to: readonly string[]): void {
    if (to.length > 0) for (const news of register.standing()) for (const id of to) tellTo(id, news);
  }

  async function apply({ site: next }: ReloadPlan): Promise<void> {
    onSite?.(next);
    // All that can fail comes first: what runs is not touched until the new outboxes and ports are open.
    let prepared: PreparedUpstreams | undefined;
    try {
      prepared = await upstreams.prepare(upstreamsOf(next));
      if (deliver && next.config.broker) await broker.use(next.config.broker);
    } catch (error) {
      onSite?.(site);
      await prepared?.giveUp();
      throw error;
    }
    for (const device of site.devices) if (!next.devices.includes(device)) latest.forget(device);
    const strangers = newListeners(site.config, next.config);
    site = next;
    router = openRouter(next, router);
    send = senderOf(next);
    showLocally();
    // All switch at once, before any batch can come, and then wait for what they close.
    const closed = [prepared.switchOver(), next.config.broker ? undefined : broker.close()];
    if (deliver) register.use(configurationOf(next));
    await Promise.all([pollers.use(linesOf(next, folder)), ...closed]);
    if (deliver) {
      hearAll();
      tellStanding(strangers);
    }
    // What waits may be admitted now. In turn with this reload, so nobody waits for it here.
    void enrolment?.admit();
  }

  /** What is written elsewhere from now on, and polled as before, says nothing by itself. */
  function hearAll(): void {
    for (const device of site.devices) {
      const { state, reason } = pollers.state(device);
      if (state !== 'starting') register.heard(device.id, state, reason);
    }
  }

  /** Devices were found on a connection. Gives what each is called in the register, if it is kept. */
  async function find(connection: string, found: readonly FoundDevice[]): Promise<(string | null)[]> {
    const ids = [];
    for (const device of found) ids.push((await register.found(connection, device)) ?? null);
    void enrolment?.admit();
    return ids;
  }

  /** Without it the gateway still does its work: nobody can look on, that is all. */
  async function openControl(enrolment: Enrolment): Promise<void> {
    try {
      const control = await serveControl(folder, snapshot, {
        save: async ({ upstream }) => ({ inMemory: await upstreams.save(String(upstream)) }),
        requeue: ({ upstream }) => requeue(String(upstream)),
        purge: ({ upstream, lanes }) => upstreams.purge(String(upstream), lanesOf(lanes)),
        ...answerField(() => ({ devices: site.devices, runOn: pollers.runOn }), log),
        ...answerRegister(register, { change: enrolment.change, find }),
        reload: ({ dryRun }) => reloader.reload({ by: 'request', dryRun: dryRun === true }),
      });
      shutdown.add('control socket', () => control.close());
    } catch (error) {
      log.warn({ reason: messageOf(error) }, 'no control socket: no other command can ask this gateway');
    }
  }

  /** What was refused may tell how a device was: what stands now is told behind it. */
  async function requeue(upstream: string): Promise<{ events: number }> {
    const events = await upstreams.requeue(upstream);
    if (events > 0) tellStanding([upstream]);
    return { events };
  }

  function snapshot(): Snapshot {
    const brokerStatus = broker.status();
    return {
      gateway,
      at: Date.now(),
      clock: clock.known ? 'set' : 'unset',
      uptime: Math.round(performance.now() - started),
      readingsPerSecond: Math.round(rate.perSecond() * 10) / 10,
      polls: pollers.stats(),
      connections: pollers.loads(),
      devices: site.devices.map((device) => ({
        id: device.id,
        profile: device.profile,
        connection: device.connection,
        ...pollers.state(device),
        points: latest.points(device),
      })),
      upstreams: upstreams.status(),
      orphans: upstreams.orphans(),
      expiring: expiry.soon,
      ...(brokerStatus && { broker: brokerStatus }),
    };
  }

  async function stuck(): Promise<string | undefined> {
    const reason = pollers.stuck();
    if (reason === undefined) await thread.ping();
    return reason;
  }
}

/** A batch read while the clock is unknown: its time counts on from the start, whatever the wall clock does meanwhile. */
function unsure(batch: Batch, clock: Clock): Batch {
  return { ...batch, at: clock.timeOf(batch.mono), clock: 'unset' };
}

/** Lanes as a request names them. */
function lanesOf(names: unknown): KeptLane[] {
  return KEPT_LANES.filter((lane) => Array.isArray(names) && names.includes(lane));
}

/** The connections that have devices, or on which they may announce themselves. */
function linesOf({ config, drivers, connectionSettings, devices }: Site, folder: string): Line[] {
  const { gateway } = config;
  return [...drivers].flatMap(([connection, driver]) => {
    const own = devices.filter((device) => device.connection === connection);
    const discover = config.connections[connection]?.discover ?? false;
    if (own.length === 0 && !discover) return [];
    const settings = connectionSettings.get(connection);
    const data = driverFolder(folder, driver.name);
    return [{ connection, driver, settings, data, gateway, devices: own, discover }];
  });
}
