/**
 * The outbox (Guaranteed Delivery): accepts events and keeps each until it is settled. An event accepted here is acknowledged by
 * its upstream or on disk within the flush window. Order of leaving: alarms; then live telemetry; then the backlog from disk.
 */
import type { Event, GapEvent } from '../model.js';
import { Accounts, type Counters } from './accounts.js';
import type { Removed } from './budget.js';
import { Corrections, corrected } from './correction.js';
import { type Account, type End, endOf } from './counters.js';
import { type Entry, readingsOf } from './entry.js';
import { GroupCommit } from './group-commit.js';
import type { OutboxOptions, OutboxSettings } from './outbox-settings.js';
import { Pace } from './pace.js';
import { Rejections } from './rejections.js';
import { STREAMS, type StreamName } from './rows.js';
import { pack } from './segment.js';
import { inTime, tellLost } from './stop.js';
import { Stream } from './stream.js';

export class Outbox {
  /** True once a stop has begun: nothing waits for the disk any more before it is sent. */
  stopping = false;
  /** How it writes to its disk, and how that stands. */
  readonly disk: GroupCommit;
  readonly #streams: Readonly<Record<StreamName, Stream>>;
  readonly #accounts: Accounts;
  readonly #rejections: Rejections;
  readonly #corrections: Corrections;
  readonly #forgetClock: () => void;
  #pace: Pace;
  #ticker: NodeJS.Timeout;
  #lastSeq = 0;
  #options: OutboxOptions;

  constructor(options: OutboxOptions) {
    this.#options = options;
    const { file, ready, clock } = options;
    const settings = (): OutboxSettings => this.#options;
    const corrections = new Corrections(file.starts);
    const failed = (error: Error): void => this.disk.failed(error);
    const tellRefused = (): Promise<void> => {
      this.#tellRefused();
      return this.disk.run();
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
    this.disk = new GroupCommit({
      streams: this.#streams,
      accounts: this.#accounts,
      rejections: this.#rejections,
      settings: () => this.#options,
      number: (count) => this.#number(count),
      removed: (removed) => this.removed(removed),
    });
    this.#forgetClock = clock.onKnown(() => {
      this.#tellRefused();
      corrections.learn(clock.base);
      for (const name of STREAMS) this.#streams[name].correct();
      this.disk.tellTime();
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
      seq: this.#number(1),
      event,
      born,
      late: false,
      state: 'waiting',
      saving: false,
      segment: undefined,
    };
    this.#streams[event.lane].accept(entry);
    if (this.#options.config.durability === 'strict') return this.disk.save(entry);
    this.#options.ready();
    return undefined;
  }

  #number(count: number): number {
    const first = this.#lastSeq + 1;
    this.#lastSeq += count;
    return first;
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
    return this.#rejections.requeue(this.disk.run);
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
      return this.disk.run();
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
    await inTime(this.disk.run());
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
    await this.disk.run();
    try {
      // There is no room for what waits, but for the gap that tells of it.
      if (this.disk.full)
        for (const name of STREAMS) this.#lose(name, 'dropped', this.#streams[name].giveUp(0, 'budget'));
      for (const name of STREAMS) await this.#streams[name].tidy((entries) => pack(name, entries, this.disk.kept));
      await this.disk.run();
    } catch (error) {
      this.disk.failed(error as Error);
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
      if (this.disk.mayTry(now)) void stream.removeSettled();
      this.#lose(name, 'dropped', stream.giveUp(config.memory, this.disk.full ? 'budget' : 'memory'));
    }
    this.disk.runIfDue(now);
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

  #streamOf(entry: Entry): Stream {
    return this.#streams[entry.event.lane];
  }
}
