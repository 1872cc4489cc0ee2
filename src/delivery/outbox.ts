/**
 * The outbox (Guaranteed Delivery): accepts events and keeps each until it is settled. An event accepted here is acknowledged by
 * its upstream or on disk within the flush window. Order of leaving: alarms; then live telemetry; then the backlog from disk.
 */
import type { Logger } from 'pino';
import type { BufferConfig } from '../config/schema.js';
import type { Event, GapCause, GapEvent } from '../model.js';
import type { Clock } from '../ops/clock.js';
import { corrected } from './correction.js';
import { type Entry, readingsOf } from './entry.js';
import { chunked, pack } from './segment.js';
import { STREAMS, type StreamName } from './segment-file.js';
import type { StoreFile } from './store.js';
import { Stream } from './stream.js';

/** Milliseconds between attempts to use a disk that refuses. */
const DISK_RETRY = 2_000;

/** What an outbox is given. */
export interface OutboxOptions {
  readonly file: StoreFile;
  readonly config: BufferConfig;
  /** Most unacknowledged events of the upstream. */
  readonly window: number;
  /** Topic of gap events. */
  readonly gapTopic: string;
  readonly log: Logger;
  readonly clock: Clock;
  /** Called when there may be something to send. */
  ready(): void;
}

/** Counts since the start, in events other than gaps; `readings` counts the values in those acknowledged. */
export interface Counters {
  accepted: number;
  acknowledged: number;
  dropped: number;
  rejected: number;
  readings: number;
}

export class Outbox {
  readonly counters: Counters = { accepted: 0, acknowledged: 0, dropped: 0, rejected: 0, readings: 0 };
  bytesOnDisk: number;
  readonly #streams: Readonly<Record<StreamName, Stream>>;
  readonly #ticker: NodeJS.Timeout;
  #lastSeq = 0;
  #flushing: Promise<void> | undefined;
  #queued: Promise<void> | undefined;
  #failing = false;
  #retryAt = 0;
  #rejection: { count: number; from: number; to: number; clock: Event['clock'] } | undefined;
  readonly #options: OutboxOptions;

  constructor(options: OutboxOptions) {
    this.#options = options;
    const { file, config, window: ahead, gapTopic, ready } = options;
    const failed = (error: Error): void => this.#failed(error);
    const open = (name: StreamName): Stream =>
      new Stream({ name, file, extent: file[name], ahead, gapTopic, ready, failed });
    this.#streams = { alarm: open('alarm'), live: open('live') };
    this.bytesOnDisk = file.bytes;
    options.clock.onKnown((correction) => {
      this.#reportRejections();
      for (const name of STREAMS) this.#streams[name].correct(correction);
    });
    this.#ticker = setInterval(() => this.#tick(), Math.max(10, config.flush / 4));
    this.#ticker.unref();
  }

  /**
   * Takes an event over. From here on it is not lost but by the budget, and then reported.
   * @returns in strict mode a promise that resolves when the event is on disk; it never rejects
   */
  accept(event: Event): Promise<void> | undefined {
    const { clock } = this.#options;
    if (event.kind !== 'gap') this.counters.accepted++;
    // It may have waited for this outbox to open, and the clock was set meanwhile.
    return this.#take(clock.known ? corrected(event, clock.correction) : event);
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
    const savedOnly = this.#options.config.durability === 'strict';
    if (!alarm.drained && !alarm.diskFails) return alarm.nextStored();
    return alarm.nextFresh(savedOnly) ?? live.nextFresh(savedOnly) ?? live.nextStored();
  }

  /** Notes that `next`'s event is on its way. */
  sent(entry: Entry): void {
    this.#streamOf(entry).markSent(entry);
  }

  /** The upstream has it. */
  acknowledged(entry: Entry): void {
    if (entry.event.kind !== 'gap') {
      this.counters.acknowledged++;
      this.counters.readings += readingsOf(entry.event);
    }
    this.#streamOf(entry).settle(entry);
  }

  /** The upstream will never take it: counted, and reported as a gap. */
  rejected(entry: Entry): void {
    const { event } = entry;
    this.#streamOf(entry).settle(entry);
    if (event.kind === 'gap') return;
    this.counters.rejected++;
    const { at, clock } = event;
    if (this.#rejection?.clock !== clock) this.#reportRejections();
    const { count, from, to } = this.#rejection ?? { count: 0, from: at, to: at };
    this.#rejection = { count: count + 1, from: Math.min(from, at), to: Math.max(to, at), clock };
  }

  /** The upstream asks to try again later. */
  waitAgain(entry: Entry): void {
    this.#streamOf(entry).markWaiting(entry);
  }

  /** The connection is lost: all that was sent and not acknowledged waits again. */
  rewind(): void {
    for (const name of STREAMS) this.#streams[name].rewind();
  }

  /** Events waiting, by lane; what is in flight counts as waiting. */
  waiting(): { alarm: number; live: number; backlog: number } {
    const { alarm, live } = this.#streams;
    const held = (stream: Stream): number => stream.stored.waiting + stream.stored.inFlight + stream.onDisk;
    return {
      alarm: alarm.fresh.waiting + alarm.fresh.inFlight + held(alarm),
      live: live.fresh.waiting + live.fresh.inFlight,
      backlog: held(live),
    };
  }

  /** Time of the oldest event in memory, milliseconds since 1970. */
  oldest(): number | undefined {
    const times = STREAMS.flatMap((name) => [this.#streams[name].stored.peek(), this.#streams[name].fresh.peek()]);
    const found = times.flatMap((entry) => (entry ? [entry.event.at] : []));
    return found.length > 0 ? Math.min(...found) : undefined;
  }

  /** Writes all that is in memory to disk and closes the file. */
  async close(): Promise<void> {
    clearInterval(this.#ticker);
    this.rewind();
    await this.#flush();
    try {
      for (const name of STREAMS) await this.#streams[name].tidy((entries) => pack(name, entries));
    } catch (error) {
      this.#failed(error as Error);
    }
    await this.#options.file.close();
  }

  /** Four times in a flush window: what half a window did not settle goes to disk, what is too old to be live goes there only. */
  #tick(): void {
    const { config } = this.#options;
    const now = performance.now();
    this.#reportRejections();
    for (const name of STREAMS) {
      const stream = this.#streams[name];
      stream.release(now - config.live_for, config.memory / 2);
      void stream.removeSettled();
      const dropped = stream.giveUp(config.memory);
      if (dropped > 0) this.#drop(dropped, 'memory');
    }
    if (now >= this.#retryAt && STREAMS.some((name) => this.#oldestUnsaved(name) < now - config.flush / 2))
      void this.#flush();
  }

  #oldestUnsaved(name: StreamName): number {
    for (const entry of this.#streams[name].fresh)
      if (!entry.segment && !entry.saving && entry.state !== 'done') return entry.born;
    return Number.POSITIVE_INFINITY;
  }

  async #onDisk(entry: Entry): Promise<void> {
    while (!entry.segment && entry.state !== 'done') {
      await this.#flush();
      if (this.#failing) await new Promise((resolve) => setTimeout(resolve, DISK_RETRY).unref());
    }
  }

  /** Group commit: one transaction at a time; what arrives meanwhile goes with the next. Resolves when all accepted before is tried. */
  #flush(): Promise<void> {
    if (this.#flushing) {
      this.#queued ??= this.#flushing.then(() => {
        this.#queued = undefined;
        return this.#flush();
      });
      return this.#queued;
    }
    this.#flushing = this.#commit().finally(() => {
      this.#flushing = undefined;
      this.#options.ready();
    });
    return this.#flushing;
  }

  async #commit(): Promise<void> {
    const chunks = STREAMS.flatMap((name) =>
      chunked(this.#streams[name].unsaved()).map((entries) => ({ name, entries })),
    );
    if (chunks.length === 0) return;
    const { alarm, live } = this.#streams;
    for (const { entries } of chunks) for (const entry of entries) entry.saving = true;
    try {
      const segments = chunks.map(({ name, entries }) => pack(name, entries));
      const done = await this.#options.file.commit(segments, { alarm: alarm.removable, live: live.removable });
      for (const [i, { name, entries }] of chunks.entries()) this.#streams[name].saved(entries, done.ids[i] as number);
      this.bytesOnDisk = done.bytes;
      for (const { stream, events } of done.removed) {
        this.#streams[stream].removedByBudget(events);
        this.#drop(events, 'budget');
      }
      if (this.#failing) this.#options.log.info('the outbox writes to disk again');
      this.#failing = false;
    } catch (error) {
      for (const { entries } of chunks) for (const entry of entries) entry.saving = false;
      this.#failed(error as Error);
    }
  }

  #drop(count: number, cause: GapCause): void {
    this.counters.dropped += count;
    this.#options.log.warn(
      { count, cause },
      'the outbox is full: the oldest events were removed and are reported as a gap',
    );
  }

  #reportRejections(): void {
    if (!this.#rejection) return;
    const { from, to, count, clock } = this.#rejection;
    this.#rejection = undefined;
    const gap: GapEvent = {
      kind: 'gap',
      device: '',
      at: to,
      lane: 'live',
      topic: this.#options.gapTopic,
      cause: 'rejected',
      count,
      from,
      to,
      ...(clock && { clock }),
    };
    this.#take(gap);
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
