/** One upstream, whole: its outbox, its forwarder and its sink. A bulkhead: what happens here touches no other upstream. */
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import type { UpstreamConfig } from '../config/schema.js';
import type { Event, KeptLane } from '../model.js';
import type { Clock } from '../ops/clock.js';
import { measureRate } from '../ops/motion.js';
import { limitsOf } from './budget.js';
import type { Purged } from './closed-outbox.js';
import type { Account } from './counters.js';
import { Forwarder } from './forwarder.js';
import { encodeJson } from './json-payload.js';
import { MqttSink } from './mqtt-sink.js';
import { Outbox } from './outbox.js';
import type { OutboxSettings } from './outbox-settings.js';
import type { StreamName } from './rows.js';
import type { Salvage } from './salvage.js';
import { outboxFolder } from './status.js';
import type { Store } from './store.js';

/** Milliseconds that a stop gives to what is in flight. */
const LAST_CHANCE = 1_000;

/** What an upstream is given. */
export interface UpstreamOptions {
  readonly id: string;
  readonly config: UpstreamConfig;
  /** Name of the gateway. */
  readonly gateway: string;
  /** The data folder. */
  readonly folder: string;
  readonly store: Store;
  readonly log: Logger;
  readonly clock: Clock;
}

/** How an upstream fares. Counts are events since the start. */
export interface UpstreamStatus {
  readonly id: string;
  readonly link: 'connecting' | 'online' | 'offline';
  /** Why it is not online. */
  readonly reason?: string;
  readonly waiting: { readonly alarm: number; readonly live: number; readonly backlog: number };
  readonly inFlight: number;
  readonly bytesOnDisk: number;
  /** True while the file is full and nothing in it may give way. */
  readonly full?: boolean;
  /** Time of the oldest waiting event, milliseconds since 1970. */
  readonly oldest?: number;
  readonly accepted: number;
  readonly acknowledged: number;
  readonly dropped: number;
  readonly rejected: number;
  /** Of what was refused for good: events that are kept, and those that had to be forgotten since the start. */
  readonly rejections?: { readonly kept: number; readonly forgotten: number };
  /** Readings acknowledged per second, lately. */
  readonly rate: number;
  /** Seconds until the backlog is gone, at the present rate; absent while it does not shrink. */
  readonly drainedIn?: number;
  /** Hours until telemetry is thinned out, or else given up, at the rate of the last minute; absent while the file does not grow. */
  readonly hoursLeft?: number;
  /** Since the outbox file was made. */
  readonly accounts: Readonly<Record<StreamName, Account>>;
}

/** One upstream. */
export interface Upstream {
  readonly id: string;
  /** Takes an event over; with `durability: strict` the promise resolves when it is on disk. */
  accept(event: Event): Promise<void> | undefined;
  status(): UpstreamStatus;
  /** Works by another configuration from now on. What waits stays where it is, and only a link that differs is closed and opened again. */
  use(config: UpstreamConfig): Promise<void>;
  /** Writes all that is in memory to disk; see `Outbox.save`. */
  save(): Promise<number>;
  /** Takes what was refused for good back; see `Outbox.requeue`. */
  requeue(): Promise<number>;
  /** Removes all events of some lanes; see `Outbox.purge`. */
  purge(lanes: readonly KeptLane[]): Promise<Purged>;
  /**
   * Lets what is in flight arrive, writes the rest to disk, sends what the disk does not take, says goodbye, and tells in the log what
   * neither took. Resolves within about 4 s, or 15 s where the disk does not answer.
   */
  close(): Promise<void>;
}

/**
 * Opens an upstream's outbox and starts connecting.
 * @throws TidegateError OUTBOX_OPEN
 */
export async function openUpstream(options: UpstreamOptions): Promise<Upstream> {
  const { id, gateway, log } = options;
  let { config } = options;
  const path = join(outboxFolder(options.folder), `${id}.sqlite`);
  const file = await options.store.open(path, limitsOf(config.buffer), options.clock.base);
  const topic = (template: string): string => template.replaceAll('{gateway}', gateway).replaceAll('{upstream}', id);
  const ready = (): void => forwarder.pump();
  const outbox = new Outbox({ ...settingsOf(config), file, log, clock: options.clock, ready });
  let forwarder = linkTo(config);
  const rate = measureRate(() => outbox.counters.readings, 4);
  const drain = measureRate(() => outbox.counters.late, 4);
  const growth = measureRate(() => outbox.disk.bytesOnDisk, 60);
  if (file.salvage) tellSalvage(file.salvage);
  file.onRemoved((removed, salvage) => {
    if (salvage) tellSalvage(salvage);
    outbox.removed(removed);
  });
  forwarder.start();

  return {
    id,
    accept: (event) => outbox.accept(event),
    status: () => ({
      id,
      link: forwarder.link,
      reason: forwarder.reason,
      waiting: outbox.waiting(),
      inFlight: forwarder.inFlight,
      bytesOnDisk: outbox.disk.bytesOnDisk,
      full: outbox.disk.full,
      oldest: outbox.oldest(),
      ...outbox.counters,
      rejections: outbox.rejections,
      rate: Math.round(rate.perSecond()),
      ...estimates(
        outbox.waiting().backlog,
        Math.round(drain.perSecond()),
        outbox.disk.room,
        Math.round(growth.perSecond()),
      ),
      accounts: { alarm: outbox.account('alarm'), live: outbox.account('live') },
    }),
    async use(next) {
      const before = config;
      config = next;
      outbox.use(settingsOf(next));
      await file.limit(limitsOf(next.buffer)).catch((error: unknown) => {
        log.error({ err: error }, 'the outbox cannot take its new limits; the former ones go on');
      });
      if (isDeepStrictEqual(linkOf(before), linkOf(next))) return ready();
      await forwarder.settled(LAST_CHANCE);
      await forwarder.close();
      outbox.rewind();
      forwarder = linkTo(next);
      forwarder.start();
    },
    save: () => outbox.save(),
    requeue: () => outbox.requeue(),
    async purge(lanes) {
      const events: Partial<Record<KeptLane, number>> = {};
      for (const lane of lanes)
        events[lane] = await (lane === 'rejected' ? outbox.purgeRejected() : outbox.purge(lane));
      return { events, fileRemoved: false };
    },
    async close() {
      for (const each of [rate, drain, growth]) each.stop();
      await forwarder.settled(LAST_CHANCE);
      outbox.stopping = true;
      if ((await outbox.save()) > 0) await forwarder.settled(LAST_CHANCE, { sending: true });
      await forwarder.close();
      await outbox.close();
    },
  };

  function linkTo(to: UpstreamConfig): Forwarder {
    const clientId = to.client_id ?? `tidegate-${gateway}-${id}`;
    const sink = new MqttSink({ config: to, clientId, statusTopic: topic(to.status_topic), log });
    return new Forwarder(outbox, sink, (entry) => encodeJson(entry, gateway), log, to.ack_timeout);
  }

  function settingsOf({ buffer, in_flight: window, gap_topic, order, backlog }: UpstreamConfig): OutboxSettings {
    const pace = { maxShare: backlog.max_share, maxRate: backlog.max_rate };
    return { config: buffer, window, gapTopic: topic(gap_topic), order, pace };
  }

  function tellSalvage(salvage: Salvage): void {
    log.error(salvage, 'the outbox is damaged; what can be read is carried into a new file');
  }
}

/** What a link is made of; topics of events are the router's. */
function linkOf({
  topic: _,
  device_topic: __,
  gap_topic: ___,
  order: ____,
  backlog: _____,
  buffer: ______,
  ...link
}: UpstreamConfig): object {
  return link;
}

/** When the backlog will be gone, or something must give way. */
function estimates(
  backlog: number,
  drained: number,
  room: number,
  growth: number,
): { drainedIn?: number; hoursLeft?: number } {
  return {
    ...(backlog > 0 && drained > 0 && { drainedIn: Math.ceil(backlog / drained) }),
    ...(growth > 0 && { hoursLeft: Math.max(0, Math.round(room / growth / 360) / 10) }),
  };
}
