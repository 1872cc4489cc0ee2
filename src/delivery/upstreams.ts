/** All upstreams of a gateway. They take events at once, even while their outboxes and the MQTT library are still being opened. */
import type { Logger } from 'pino';
import type { UpstreamConfig } from '../config/schema.js';
import type { Event } from '../model.js';
import type { Clock } from '../ops/clock.js';
import type { Store } from './store.js';
import type { Upstream, UpstreamStatus } from './upstream.js';

/** What upstreams are given. */
export interface UpstreamsOptions {
  readonly configs: Readonly<Record<string, UpstreamConfig>>;
  /** Name of the gateway. */
  readonly gateway: string;
  /** The data folder. */
  readonly folder: string;
  readonly log: Logger;
  readonly clock: Clock;
}

/** The upstreams of a gateway, as one. */
export interface Upstreams {
  /** Takes an event over for one upstream. */
  accept(upstream: string, event: Event): void;
  /** Opens all outboxes, and hands them what was taken meanwhile. @throws TidegateError OUTBOX_OPEN */
  open(): Promise<void>;
  status(): UpstreamStatus[];
  /** Resolves when the outboxes' thread answers. */
  ping(): Promise<void>;
  /** Lets what is in flight arrive and writes the rest to disk. */
  close(): Promise<void>;
}

/** Prepares upstreams; nothing is loaded or opened before `open`. */
export function prepareUpstreams(options: UpstreamsOptions): Upstreams {
  const ids = Object.keys(options.configs);
  const waiting = new Map<string, Event[]>(ids.map((id) => [id, []]));
  const opened = new Map<string, Upstream>();
  let store: Store | undefined;

  async function openOne(id: string, config: UpstreamConfig, shared: Store): Promise<void> {
    const { gateway, folder, clock } = options;
    const { openUpstream } = await import('./upstream.js');
    const log = options.log.child({ upstream: id });
    const upstream = await openUpstream({ id, config, gateway, folder, store: shared, log, clock });
    for (const event of waiting.get(id) ?? []) upstream.accept(event);
    waiting.delete(id);
    opened.set(id, upstream);
  }

  return {
    accept(id, event) {
      const upstream = opened.get(id);
      if (upstream !== undefined) upstream.accept(event);
      else waiting.get(id)?.push(event);
    },
    async open() {
      if (ids.length === 0) return;
      const shared = (await import('./store.js')).openStore();
      store = shared;
      const openings = Object.entries(options.configs).map(([id, config]) => openOne(id, config, shared));
      // All have settled before the first failure is told, so that whoever closes now closes every one.
      await Promise.allSettled(openings);
      await Promise.all(openings);
    },
    status: () => ids.map((id) => opened.get(id)?.status() ?? notYetOpen(id, waiting.get(id) ?? [])),
    ping: async () => store?.ping(),
    async close() {
      await Promise.all([...opened.values()].map((upstream) => upstream.close()));
      await store?.close();
    },
  };
}

function notYetOpen(id: string, events: readonly Event[]): UpstreamStatus {
  return {
    id,
    link: 'connecting',
    waiting: { alarm: 0, live: events.length, backlog: 0 },
    inFlight: 0,
    bytesOnDisk: 0,
    accepted: events.length,
    acknowledged: 0,
    dropped: 0,
    rejected: 0,
    rate: 0,
  };
}
