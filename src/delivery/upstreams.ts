/** All upstreams of a gateway. */
import type { Logger } from 'pino';
import type { UpstreamConfig } from '../config/schema.js';
import { messageOf, TidegateError } from '../errors.js';
import type { Event, KeptLane } from '../model.js';
import type { Clock } from '../ops/clock.js';
import type { DiskThread } from '../ops/disk-thread.js';
import type { Purged } from './closed-outbox.js';
import type { OutboxFileStatus } from './status.js';
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
  /** Ends after the upstreams. */
  readonly thread: DiskThread;
}

/** The upstreams of a gateway, as one. */
export interface Upstreams {
  /** Takes an event over for one upstream, which must be open. */
  accept(upstream: string, event: Event): void;
  /** Opens all outboxes. @throws TidegateError OUTBOX_OPEN */
  open(): Promise<void>;
  /**
   * Opens the outboxes of upstreams that are new, and changes nothing else yet.
   * @throws TidegateError OUTBOX_OPEN; none of the new ones is open then
   */
  prepare(configs: UpstreamsOptions['configs']): Promise<PreparedUpstreams>;
  status(): UpstreamStatus[];
  /** Outbox files that are kept though their upstream is not configured any more. */
  orphans(): readonly OutboxFileStatus[];
  /** Writes what an upstream has in memory to disk. Gives how many events the disk does not take; none for an upstream that is not open. */
  save(id: string): Promise<number>;
  /**
   * Takes what an upstream refused for good back into its outbox. Gives how many events.
   * @throws TidegateError USAGE when no upstream is called so, OUTBOX_STORE when the disk refuses
   */
  requeue(id: string): Promise<number>;
  /**
   * Removes all events of some lanes, also of an upstream that is not configured any more: its file goes once it is empty.
   * @throws TidegateError USAGE when there is no such outbox, OUTBOX_STORE when the disk refuses
   */
  purge(id: string, lanes: readonly KeptLane[]): Promise<Purged>;
  /** Lets what is in flight arrive and writes the rest to disk. */
  close(): Promise<void>;
}

/** Upstreams that are to be. */
export interface PreparedUpstreams {
  /**
   * Makes these the upstreams: those that are gone take nothing more once it has been called; it resolves when they are closed, their files
   * kept, and those whose configuration is another object work by that. Never rejects.
   */
  switchOver(): Promise<void>;
  /** Closes the new ones again. Never rejects. */
  giveUp(): Promise<void>;
}

const ORPHAN =
  'an outbox whose upstream is not in gateway.yaml: its events are kept until you put the upstream back, or purge them (tidegate outbox)';

/** Prepares upstreams; nothing is loaded or opened before `open`. */
export function prepareUpstreams(options: UpstreamsOptions): Upstreams {
  let { configs } = options;
  const opened = new Map<string, Upstream>();
  /** Files that no upstream has open and that are at work, or that one is closing; and what people change by hand, one thing after the other. */
  const busy = new Map<string, Promise<unknown>>();
  let store: Promise<Store> | undefined;
  let orphans: readonly OutboxFileStatus[] | undefined;

  async function openOne(id: string, config: UpstreamConfig): Promise<Upstream> {
    const { gateway, folder, clock } = options;
    await busy.get(id);
    const [store, { openUpstream }] = await Promise.all([theStore(), import('./upstream.js')]);
    const log = options.log.child({ upstream: id });
    return openUpstream({ id, config, gateway, folder, store, log, clock });
  }

  function theStore(): Promise<Store> {
    store ??= import('./store.js').then(({ openStore }) => openStore(options.thread));
    return store;
  }

  /** Nothing else touches the file meanwhile. */
  async function alone<Result>(id: string, work: () => Promise<Result>): Promise<Result> {
    const turn = (busy.get(id) ?? Promise.resolve()).then(work);
    const done = turn.catch(() => {});
    busy.set(id, done);
    try {
      return await turn;
    } finally {
      if (busy.get(id) === done) busy.delete(id);
    }
  }

  /** Looks for outbox files without an upstream, and names those that were not there before. */
  async function findOrphans(): Promise<void> {
    const { readOutboxStatus } = await import('./status.js');
    const before = new Set(orphans?.map(({ id }) => id));
    try {
      orphans = await readOutboxStatus(options.folder, (id) => !Object.hasOwn(configs, id));
    } catch (error) {
      options.log.warn({ reason: messageOf(error) }, 'an outbox file without an upstream cannot be read');
    }
    for (const { id, file, alarm, backlog, rejected } of orphans ?? [])
      if (!before.has(id)) options.log.warn({ upstream: id, file, alarm, backlog, rejected }, ORPHAN);
  }

  function openedOr(id: string): Upstream {
    const upstream = opened.get(id);
    if (upstream) return upstream;
    const hint = `The running gateway has: ${[...opened.keys()].join(', ') || 'none'}.`;
    throw new TidegateError('USAGE', `the running gateway has no upstream "${id}"`, { hint });
  }

  return {
    accept(id, event) {
      openedOr(id).accept(event);
    },
    async open() {
      const openings = Object.entries(configs).map(async ([id, config]) => {
        opened.set(id, await openOne(id, config));
      });
      // All have settled before the first failure is told, so that whoever closes now closes every one.
      await Promise.allSettled(openings);
      await Promise.all(openings);
      await findOrphans();
    },
    async prepare(next) {
      const added = Object.entries(next).filter(([id]) => !opened.has(id));
      const openings = await Promise.allSettled(added.map(([id, config]) => openOne(id, config)));
      const fresh = openings.flatMap((opening) => (opening.status === 'fulfilled' ? [opening.value] : []));
      const giveUp = async (): Promise<void> => {
        await Promise.allSettled(fresh.map((upstream) => upstream.close()));
      };
      const failed = openings.find((opening) => opening.status === 'rejected');
      if (failed) {
        await giveUp();
        throw failed.reason;
      }
      const switchOver = async (): Promise<void> => {
        const before = configs;
        configs = next;
        const work = [...opened].map(([id, upstream]) => {
          const config = next[id];
          if (config !== undefined) return config === before[id] ? undefined : upstream.use(config);
          opened.delete(id);
          return alone(id, () => upstream.close()).catch((error: unknown) => {
            options.log.error(
              { upstream: id, err: error },
              'the upstream was removed, but its outbox could not be closed',
            );
          });
        });
        for (const upstream of fresh) opened.set(upstream.id, upstream);
        await Promise.all(work);
        if (orphans) await findOrphans();
      };
      return { switchOver, giveUp };
    },
    status: () => Object.keys(configs).flatMap((id) => opened.get(id)?.status() ?? []),
    orphans: () => orphans ?? [],
    save: async (id) => (await opened.get(id)?.save()) ?? 0,
    requeue: (id) => alone(id, () => openedOr(id).requeue()),
    async purge(id, lanes) {
      const orphan = Object.hasOwn(configs, id) ? undefined : orphans?.find((each) => each.id === id);
      if (!orphan) return alone(id, () => openedOr(id).purge(lanes));
      const { purgeClosed } = await import('./closed-outbox.js');
      const purged = await alone(id, async () => {
        const { file: path } = orphan;
        return purgeClosed({ store: await theStore(), path, limits: undefined, clock: options.clock }, lanes);
      });
      await findOrphans();
      return purged;
    },
    async close() {
      await Promise.all(busy.values());
      // One that cannot be closed keeps none of the others from it.
      const closed = await Promise.allSettled([...opened.values()].map((upstream) => upstream.close()));
      for (const each of closed) if (each.status === 'rejected') throw each.reason;
    },
  };
}
