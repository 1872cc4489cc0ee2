/** One upstream, whole: its outbox, its forwarder and its sink. A bulkhead: what happens here touches no other upstream. */
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { UpstreamConfig } from '../config/schema.js';
import type { Event } from '../model.js';
import type { Clock } from '../ops/clock.js';
import { Forwarder } from './forwarder.js';
import { encodeJson } from './json-payload.js';
import { MqttSink } from './mqtt-sink.js';
import { Outbox } from './outbox.js';
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
  /** Time of the oldest waiting event, milliseconds since 1970. */
  readonly oldest?: number;
  readonly accepted: number;
  readonly acknowledged: number;
  readonly dropped: number;
  readonly rejected: number;
  /** Readings acknowledged per second, lately. */
  readonly rate: number;
}

/** One upstream. */
export interface Upstream {
  readonly id: string;
  /** Takes an event over; with `durability: strict` the promise resolves when it is on disk. */
  accept(event: Event): Promise<void> | undefined;
  status(): UpstreamStatus;
  /** Lets what is in flight arrive, says goodbye, writes the rest to disk. Resolves within about 4 s. */
  close(): Promise<void>;
}

/**
 * Opens an upstream's outbox and starts connecting.
 * @throws TidegateError OUTBOX_OPEN
 */
export async function openUpstream(options: UpstreamOptions): Promise<Upstream> {
  const { id, config, gateway, log } = options;
  const file = await options.store.open(join(outboxFolder(options.folder), `${id}.sqlite`), config.buffer.size);
  const topic = (template: string): string => template.replaceAll('{gateway}', gateway).replaceAll('{upstream}', id);
  const clientId = config.client_id ?? `tidegate-${gateway}-${id}`;
  const sink = new MqttSink({ config, clientId, statusTopic: topic(config.status_topic), log });
  const ready = (): void => forwarder.pump();
  const outbox = new Outbox({
    file,
    config: config.buffer,
    window: config.in_flight,
    gapTopic: topic(config.gap_topic),
    log,
    clock: options.clock,
    ready,
  });
  const forwarder = new Forwarder(outbox, sink, (entry) => encodeJson(entry, gateway), log, config.ack_timeout);
  const rate = new Rate(() => outbox.counters.readings);
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
      bytesOnDisk: outbox.bytesOnDisk,
      oldest: outbox.oldest(),
      ...outbox.counters,
      rate: rate.perSecond(),
    }),
    async close() {
      rate.stop();
      await forwarder.settled(LAST_CHANCE);
      await forwarder.close();
      await outbox.close();
    },
  };
}

/** How fast a counter grows, over the last seconds. */
class Rate {
  readonly #samples: { at: number; count: number }[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(private readonly count: () => number) {
    this.#timer = setInterval(() => this.#sample(), 1000);
    this.#timer.unref();
    this.#sample();
  }

  perSecond(): number {
    const [first] = this.#samples;
    const seconds = first ? (performance.now() - first.at) / 1000 : 0;
    return first && seconds > 0 ? Math.round((this.count() - first.count) / seconds) : 0;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #sample(): void {
    this.#samples.push({ at: performance.now(), count: this.count() });
    if (this.#samples.length > 4) this.#samples.shift();
  }
}
