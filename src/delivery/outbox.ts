/**
 * The outbox (Guaranteed Delivery): accepts events and keeps each until it is settled. An event accepted here is acknowledged by
 * its upstream or on disk within the flush window. Order of leaving: alarms; then live telemetry; then the backlog from disk.
 */
import type { Event, GapEvent } from '../model.js';
import { inTurn } from '../ops/in-turn.js';
import { Accounts, type Counters } from './accounts.js';
import type { Removed } from './budget.js';
import { Corrections, corrected } from './correction.js';
import { type Account, ENDS, type End, endOf } from './counters.js';
import { type Entry, readingsOf } from './entry.js';
import type { OutboxOptions, OutboxSettings } from './outbox-settings.js';
import { Pace } from './pace.js';
import { Rejections } from './rejections.js';
import { STREAMS, type StreamName } from './rows.js';
import { chunked, pack } from './segment.js';
import { inTime, tellLost } from './stop.js';
import { Stream } from './stream.js';

/** Milliseconds between attempts to use a disk that refuses. */
const DISK_RETRY = 2_000;

export class Outbox {
  bytesOnDisk: number;
  /** Bytes by which the file may grow before something gives way. */
  room: number;
  /** True while nothing on disk may give way for what waits in memory. */
  full = false;
  /** True once a stop has begun: nothing waits for the disk any more before it is sent. */
  stopping = false;
  readonly #streams: Readonly<Record<StreamName, Stream>>;
  readonly #accounts: Accounts;
  readonly #rejections: Rejections;
  readonly #corrections: Corrections;
  readonly #forgetClock: () => void;
  #pace: Pace;
  #ticker: NodeJS.Timeout;
  #lastSeq = 0;
  /** Group commit: one transaction at a time; what arrives meanwhile goes with the next. Resolves when all accepted before is tried. */
  readonly #flush = inTurn(() => this.#commit().finally(() => this.#options.ready()));
  #failing = false;
  #retryAt = 0;
  /** False while the clock is known, and the file is not yet told what that says of earlier times. */
  #timeTold = true;
  #options: OutboxOptions;

  constructor(options: OutboxOptions) {
    this.#options = options;
    const { file, ready, clock } = options;
    const settings = (): OutboxSettings => this.#options;
    const corrections = new Corrections(file.starts);
    const failed = (error: Error): void => this.#failed(error);
    const tellRefused = (): Promise<void> => {
      this.#tellRefused();
      return this.#flush();
    };
    const open = (name: StreamName): Stream => {
      const unreadable = (events: number): void => this.#lose(name, 'unreadable', events);
      const kept = { corrections, rejections: this.#rejections };
      return new Stream({ name, file, extent: file[name], ...kept, settings, ready, failed, unreadable, tellRefused });
    };
    this.#corrections = corrections;
    this.#accounts = new Accounts(file);
    this.#rejections = new Rejections(options.config.rejected, file.rejected, () => settings().gapTopic);
    this.#streams = { alarm: open('alarm'), live: open('live') };
    this.#pace = new Pace({ ...options.pace, window: options.window });
    this.bytesOnDisk = file.bytes;
    this.room = file.room;
    this.#forgetClock = clock.onKnown(() => {
      this.#tellRefused();
      corrections.learn(clock.base);
      for (const name of STREAMS) this.#streams[name].correct();
      this.#timeTold = false;
      void this.#flush();
    });
    this.#ticker = this.#startTicker();
  }

  /** Works by other settings from now on; what waits stays where it is. */
  use(settings: OutboxSettings): void {
    this.#options = { ...this.#options, ...settings };
    this.#pace = new Pace({ ...settings.pace, window: settings.window });
    this.#rejections.most = settings.config.rejected;
    clearInterval(this.#ticker);
    this.#ticker = this.#startTicker();
  }

  /**
   * Takes an event over. From here on it is not lost but by the budget, and then reported.
   * @returns in strict mode a promise that resolves when the event is on disk; it never rejects
   */
  accept(event: Event): Promise<void> | undefined {
    if (event.kind !== 'gap') this.#accounts.accept(event.lane, 1);
    // What was read before the clock was set may come after it.
    return this.#take(corrected(event, this.#corrections.of(this.#options.file.epoch)));
  }

  #startTicker(): NodeJS.Timeout {
    return setInterval(() => this.#tick(), Math.max(10, this.#options.config.flush / 4)).unref();
  }

  #take(event: Event): Promise<void> | undefined {
    const born = performance.now();
    const entry: Entry = {
      epoch: this.#options.file.epoch,
      seq: ++this.#lastSeq,
      event,
      born,
      late: false,
      state: 'waiting',
      saving: false,
      segment: undefined,
    };
    this.#streams[event.lane].accept(entry);
    if (this.#options.config.durability === 'strict') return this.#onDisk(entry);
    this.#options.ready();
    return undefined;
  }

  /** The next event to send, lane by lane, or undefined when there is none now. It stays here until it is settled. */
  next(): Entry | undefined {
    const { alarm, live } = this.#streams;
    const savedOnly = this.#options.config.durability === 'strict' && !this.stopping;
    if (!alarm.backlog.drained && !alarm.backlog.diskFails) return alarm.backlog.next();
    const first = alarm.nextFresh(savedOnly);
    if (first) return first;
    if (this.#options.order === 'strict')
      return live.backlog.drained || live.backlog.diskFails ? live.nextFresh(savedOnly) : live.backlog.next();
    const fresh = live.nextFresh(savedOnly);
    if (fresh || !this.#pace.allows(live.backlog.entries.inFlight, performance.now())) return fresh;
    return live.backlog.next();
  }

  /** Notes that `next`'s event is on its way. */
  sent(entry: Entry): void {
    this.#streamOf(entry).markSent(entry);
    if (entry.late) this.#pace.sent(readingsOf(entry.event));
  }

  /** The upstream has it, so many milliseconds after it was sent. */
  acknowledged(entry: Entry, latency: number): void {
    this.#pace.acknowledged(latency);
    this.#accounts.acknowledge(entry);
    this.#streamOf(entry).settle(entry, 'acknowledged');
  }

  /** The upstream will never take it: counted, reported as a gap, and kept for a person to look at. */
  rejected(entry: Entry, reason: string): void {
    const { event } = entry;
    for (const gap of this.#rejections.add(entry, reason)) this.#take(gap);
    this.#streamOf(entry).settle(entry, 'rejected');
    if (event.kind !== 'gap') this.#accounts.end(event.lane, 'rejected', 1);
  }

  /** The upstream asks to try again later. */
  waitAgain(entry: Entry): void {
    this.#pace.refused();
    this.#streamOf(entry).markWaiting(entry);
  }

  /** The connection is lost: all that was sent and not acknowledged waits again. */
  rewind(): void {
    for (const name of STREAMS) this.#streams[name].rewind();
  }

  /** Counts since the start. */
  get counters(): Readonly<Counters> {
    return this.#accounts.counters;
  }

  /** Events waiting, by lane; what is in flight counts as waiting. */
  waiting(): { alarm: number; live: number; backlog: number } {
    const [alarm, live] = [this.#streams.alarm.waiting(), this.#streams.live.waiting()];
    return { alarm: alarm.fresh + alarm.stored, live: live.fresh, backlog: live.stored };
  }

  /** The accounts of a stream since its file was made: `accepted` is the sum of all others, at every moment. */
  account(name: StreamName): Account {
    const { fresh, stored } = this.#streams[name].waiting();
    return this.#accounts.of(name, fresh + stored);
  }

  /** Refused events that are kept, and those that had to be forgotten since the start. */
  get rejections(): { readonly kept: number; readonly forgotten: number } {
    const { kept, forgotten } = this.#rejections;
    return { kept, forgotten };
  }

  /** Time of the oldest event, milliseconds since 1970. */
  oldest(): number | undefined {
    const found = STREAMS.flatMap((name) => this.#streams[name].oldest() ?? []);
    return found.length > 0 ? Math.min(...found) : undefined;
  }

  /**
   * Takes what was refused for good back, as events accepted now. They leave with the backlog.
   * @returns how many
   * @throws TidegateError OUTBOX_STORE when the disk refuses, or is full
   */
  requeue(): Promise<number> {
    return this.#rejections.requeue(this.#flush);
  }

  /**
   * Removes all events of a lane that wait, but for those on their way. A gap tells the upstream.
   * @returns how many
   * @throws TidegateError OUTBOX_STORE when the disk refuses; what was in memory is removed then
   */
  async purge(lane: StreamName): Promise<number> {
    const before = this.#accounts.ended(lane, 'purged');
    const tell = (gap: GapEvent): Promise<void> => {
      this.#lose(lane, 'purged', gap.count ?? 0);
      this.#take(gap);
      return this.#flush();
    };
    await this.#streams[lane].purge(tell, (events) => this.#lose(lane, 'purged', events));
    return this.#accounts.ended(lane, 'purged') - before;
  }

  /** Forgets what was refused for good. @returns how many events */
  async purgeRejected(): Promise<number> {
    const held = this.#rejections.purge();
    const kept = await this.#options.file.purgeRejected();
    this.#rejections.kept = 0;
    return held + kept;
  }

  /** Part of what was on disk is gone, and counted as such there. */
  removed(removed: readonly Removed[]): void {
    for (const gone of removed) {
      this.#streams[gone.stream].backlog.removed(gone.events);
      this.#lose(gone.stream, endOf(gone), gone.events);
    }
  }

  /**
   * Writes all that is in memory to disk.
   * @returns how many events the disk does not take, gaps included
   */
  async save(): Promise<number> {
    this.#tellRefused();
    await inTime(this.#flush());
    return STREAMS.reduce((sum, name) => sum + this.#streams[name].inMemory().length, 0);
  }

  /** Writes all that is in memory to disk and closes the file. What is lost is told in the log. */
  async close(): Promise<void> {
    clearInterval(this.#ticker);
    this.#forgetClock();
    this.#tellRefused();
    this.rewind();
    await inTime(this.#writeAll());
    for (const name of STREAMS) tellLost(name, this.#streams[name].inMemory(), this.#options.log);
    await this.#options.file.close();
  }

  async #writeAll(): Promise<void> {
    await this.#flush();
    try {
      // There is no room for what waits, but for the gap that tells of it.
      if (this.full) for (const name of STREAMS) this.#lose(name, 'dropped', this.#streams[name].giveUp(0, 'budget'));
      for (const name of STREAMS) await this.#streams[name].tidy((entries) => pack(name, entries, this.#kept()));
      await this.#flush();
    } catch (error) {
      this.#failed(error as Error);
    }
  }

  /** Four times in a flush window: what half a window did not settle goes to disk, what is too old to be live goes there only. */
  #tick(): void {
    const { config } = this.#options;
    const now = performance.now();
    this.#tellRefused();
    // What the pace held back may go now.
    this.#options.ready();
    for (const name of STREAMS) {
      const stream = this.#streams[name];
      stream.release(now - config.live_for, config.memory / 2);
      if (now >= this.#retryAt) void stream.removeSettled();
      this.#lose(name, 'dropped', stream.giveUp(config.memory, this.full ? 'budget' : 'memory'));
    }
    const unsaved = STREAMS.some((name) => this.#oldestUnsaved(name) < now - config.flush / 2);
    if (now >= this.#retryAt && (unsaved || this.#rejections.waiting || !this.#timeTold)) void this.#flush();
  }

  #oldestUnsaved(name: StreamName): number {
    for (const entry of this.#streams[name].fresh)
      if (!entry.segment && !entry.saving && entry.state !== 'done') return entry.born;
    return Number.POSITIVE_INFINITY;
  }

  async #onDisk(entry: Entry): Promise<void> {
    while (!entry.segment && entry.state !== 'done') {
      await this.#flush();
      if (this.#failing || this.full) await new Promise((resolve) => setTimeout(resolve, DISK_RETRY).unref());
    }
  }

  /** Writes what waits in memory, and tells the file what was settled there. */
  async #commit(): Promise<void> {
    const { file, config, log, clock } = this.#options;
    const { alarm, live } = this.#streams;
    const chunks = STREAMS.flatMap((name) =>
      chunked(this.#streams[name].inMemory().filter(({ saving }) => !saving)).map((entries) => ({ name, entries })),
    );
    // A disk that refuses is tried with little: to pack all of memory again and again would hold up what is live.
    if (this.#failing) chunks.length = Math.min(1, chunks.length);
    const settled = { alarm: alarm.takeEnds(), live: live.takeEnds() };
    const rejected = this.#rejections.take();
    const requeue = this.#rejections.nextRequeue(this.#lastSeq + 1, this.#kept());
    this.#lastSeq += requeue?.most ?? 0;
    const learnt = this.#timeTold ? undefined : clock.base;
    const idle = chunks.length === 0 && rejected.length === 0 && !requeue && !learnt;
    if (idle && ENDS.every((end) => !settled.alarm[end] && !settled.live[end])) return;
    for (const { entries } of chunks) for (const entry of entries) entry.saving = true;
    const keepInMemory = (): void => {
      for (const { name, entries } of chunks) this.#streams[name].notSaved(entries);
    };
    try {
      const segments = chunks.map(({ name, entries }) => pack(name, entries, this.#kept()));
      const removable = { alarm: alarm.backlog.removable, live: live.backlog.removable };
      // By a clock that steps do not move, and only once it is right: a wrong date lets nothing expire.
      const expireBefore = config.age !== undefined && clock.known ? clock.steadyNow() - config.age : undefined;
      const done = await file.commit({
        segments,
        removable,
        settled,
        rejected,
        ...(requeue && { requeue }),
        ...(expireBefore !== undefined && { expireBefore }),
        ...(learnt && { learnt }),
      });
      const { ids, removed, bytes, room, oldest, requeued } = done;
      this.#rejections.stored(done.rejected);
      if (learnt) this.#timeTold = true;
      this.bytesOnDisk = bytes;
      this.room = room;
      for (const name of STREAMS) this.#streams[name].backlog.oldestOnDisk = oldest[name];
      if (ids)
        for (const [i, { name, entries }] of chunks.entries()) this.#streams[name].saved(entries, ids[i] as number);
      else keepInMemory();
      if (requeued) this.#rejections.requeued(requeued);
      for (const each of requeued ?? []) {
        this.#streams[each.stream].requeued(each);
        this.#accounts.accept(each.stream, each.events);
      }
      this.#noteFull(ids === undefined);
      this.removed(removed);
      if (this.#failing) log.info('the outbox writes to disk again');
      this.#failing = false;
    } catch (error) {
      keepInMemory();
      alarm.giveBackEnds(settled.alarm);
      live.giveBackEnds(settled.live);
      this.#rejections.giveBack(rejected);
      this.#failed(error as Error);
    }
  }

  /** The time to write into a row; null while nobody knows it. */
  #kept(): number | null {
    const { clock } = this.#options;
    return clock.known ? clock.steadyNow() : null;
  }

  /** Nothing may give way on disk: new events wait in memory, and beyond its bound are given up. */
  #noteFull(full: boolean): void {
    if (full && !this.full) this.#options.log.warn('the outbox is full; new events wait in memory');
    this.full = full;
    if (full) this.#retryAt = performance.now() + DISK_RETRY;
  }

  /** Counts events that ended otherwise than by the upstream. */
  #lose(stream: StreamName, end: End, events: number): void {
    if (events === 0) return;
    this.#accounts.end(stream, end, events);
    if (end === 'thinned') return;
    this.#options.log.warn({ stream, events, cause: end }, 'events were removed; a gap tells the upstream');
  }

  /** One gap for each lane follows what was refused there. */
  #tellRefused(): void {
    for (const gap of this.#rejections.takeGaps()) this.#take(gap);
  }

  #failed(error: Error): void {
    if (!this.#failing)
      this.#options.log.error({ err: error }, 'the outbox cannot use its disk; events wait in memory');
    this.#failing = true;
    this.#retryAt = performance.now() + DISK_RETRY;
  }

  #streamOf(entry: Entry): Stream {
    return this.#streams[entry.event.lane];
  }
}
