/** Group commit: what waits in memory goes to disk, and what was settled is told there, one transaction for all of it. */
import { inTurn } from '../ops/in-turn.js';
import type { Accounts } from './accounts.js';
import type { Removed } from './budget.js';
import type { Committed } from './commit.js';
import { ENDS } from './counters.js';
import type { Entry } from './entry.js';
import type { OutboxOptions } from './outbox-settings.js';
import type { Rejections } from './rejections.js';
import { STREAMS, type StreamName } from './rows.js';
import { chunked, pack } from './segment.js';
import type { Stream } from './stream.js';

/** Milliseconds between attempts to use a disk that refuses. */
const DISK_RETRY = 2_000;

/** What a group commit is given by its outbox. */
export interface GroupCommitOptions {
  readonly streams: Readonly<Record<StreamName, Stream>>;
  readonly accounts: Accounts;
  readonly rejections: Rejections;
  /** The present ones. */
  settings(): OutboxOptions;
  /** Takes so many numbers of events; gives the first. */
  number(count: number): number;
  /** Told of what had to go to keep the budget. */
  removed(removed: readonly Removed[]): void;
}

/** Entries on their way into one row. */
interface Chunk {
  readonly name: StreamName;
  readonly entries: Entry[];
}

/** Writes an outbox to its disk, and knows how that stands. */
export class GroupCommit {
  bytesOnDisk: number;
  /** Bytes by which the file may grow before something gives way. */
  room: number;
  /** True while nothing on disk may give way for what waits in memory. */
  full = false;
  /** One transaction at a time; what arrives meanwhile goes with the next. Resolves when all accepted before is tried. */
  readonly run = inTurn(() => this.#commit().finally(() => this.#options.settings().ready()));
  #failing = false;
  #retryAt = 0;
  /** False while the clock is known, and the file is not yet told what that says of earlier times. */
  #timeTold = true;
  readonly #options: GroupCommitOptions;

  constructor(options: GroupCommitOptions) {
    this.#options = options;
    const { file } = options.settings();
    this.bytesOnDisk = file.bytes;
    this.room = file.room;
  }

  /** False for a while after the disk refused. */
  mayTry(now: number): boolean {
    return now >= this.#retryAt;
  }

  /** Writes what half a flush window did not settle. */
  runIfDue(now: number): void {
    const { streams, rejections, settings } = this.#options;
    const unsaved = STREAMS.some((name) => streams[name].oldestUnsaved() < now - settings().config.flush / 2);
    if (this.mayTry(now) && (unsaved || rejections.waiting || !this.#timeTold)) void this.run();
  }

  /** Resolves when the entry is on disk, or settled. */
  async save(entry: Entry): Promise<void> {
    while (!entry.segment && entry.state !== 'done') {
      await this.run();
      if (this.#failing || this.full) await new Promise((resolve) => setTimeout(resolve, DISK_RETRY).unref());
    }
  }

  /** The clock was set: the file is told with the next transaction, which is now. */
  tellTime(): void {
    this.#timeTold = false;
    void this.run();
  }

  /** Notes that the disk refuses. */
  failed(error: Error): void {
    if (!this.#failing)
      this.#options.settings().log.error({ err: error }, 'the outbox cannot use its disk; events wait in memory');
    this.#failing = true;
    this.#retryAt = performance.now() + DISK_RETRY;
  }

  /** The time to write into a row; null while nobody knows it. */
  get kept(): number | null {
    const { clock } = this.#options.settings();
    return clock.known ? clock.steadyNow() : null;
  }

  async #commit(): Promise<void> {
    const { streams, rejections, settings, number } = this.#options;
    const { alarm, live } = streams;
    const { file, config, clock } = settings();
    const chunks = STREAMS.flatMap((name) =>
      chunked(streams[name].inMemory().filter(({ saving }) => !saving)).map((entries) => ({ name, entries })),
    );
    // A disk that refuses is tried with little: to pack all of memory again and again would hold up what is live.
    if (this.#failing) chunks.length = Math.min(1, chunks.length);
    const settled = { alarm: alarm.takeEnds(), live: live.takeEnds() };
    const rejected = rejections.take();
    const requeue = rejections.nextRequeue(number, this.kept);
    const learnt = this.#timeTold ? undefined : clock.base;
    const idle = chunks.length === 0 && rejected.length === 0 && !requeue && !learnt;
    if (idle && ENDS.every((end) => !settled.alarm[end] && !settled.live[end])) return;
    for (const { entries } of chunks) for (const entry of entries) entry.saving = true;
    try {
      // By a clock that steps do not move, and only once it is right: a wrong date lets nothing expire.
      const expireBefore = config.age !== undefined && clock.known ? clock.steadyNow() - config.age : undefined;
      const committed = await file.commit({
        segments: chunks.map(({ name, entries }) => pack(name, entries, this.kept)),
        removable: { alarm: alarm.backlog.removable, live: live.backlog.removable },
        settled,
        rejected,
        ...(requeue && { requeue }),
        ...(expireBefore !== undefined && { expireBefore }),
        ...(learnt && { learnt }),
      });
      if (learnt) this.#timeTold = true;
      this.#done(committed, chunks);
    } catch (error) {
      this.#keepInMemory(chunks);
      alarm.giveBackEnds(settled.alarm);
      live.giveBackEnds(settled.live);
      rejections.giveBack(rejected);
      this.failed(error as Error);
    }
  }

  #done({ ids, removed, bytes, room, oldest, rejected, requeued }: Committed, chunks: readonly Chunk[]): void {
    const { streams, accounts, rejections } = this.#options;
    this.bytesOnDisk = bytes;
    this.room = room;
    rejections.stored(rejected);
    for (const name of STREAMS) streams[name].backlog.oldestOnDisk = oldest[name];
    if (ids) for (const [i, { name, entries }] of chunks.entries()) streams[name].saved(entries, ids[i] as number);
    else this.#keepInMemory(chunks);
    if (requeued) rejections.requeued(requeued);
    for (const each of requeued ?? []) {
      streams[each.stream].requeued(each);
      accounts.accept(each.stream, each.events);
    }
    this.#noteFull(ids === undefined);
    this.#options.removed(removed);
    if (this.#failing) this.#options.settings().log.info('the outbox writes to disk again');
    this.#failing = false;
  }

  #keepInMemory(chunks: readonly Chunk[]): void {
    for (const { name, entries } of chunks) this.#options.streams[name].notSaved(entries);
  }

  /** Nothing may give way on disk: new events wait in memory, and beyond its bound are given up. */
  #noteFull(full: boolean): void {
    if (full && !this.full) this.#options.settings().log.warn('the outbox is full; new events wait in memory');
    this.full = full;
    if (full) this.#retryAt = performance.now() + DISK_RETRY;
  }
}
