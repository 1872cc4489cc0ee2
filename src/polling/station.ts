/** One device on its wire: what to read next, and what its replies, its silence and the state of the wire mean for it. */
import type { RunTurn } from '../field/turn.js';
import type { Decoded, Device, DeviceState, Point, Samples } from '../model.js';
import type { Repeated } from '../ops/repeated.js';
import { Breaker, type Tally } from './breaker.js';
import type { DueSet } from './due-set.js';
import { Feed } from './feed.js';
import type { Pushed } from './pushed.js';
import { Reporter } from './reporter.js';
import { Schedule } from './schedule.js';

/** What polling knows of a device. `degraded`: it answers, but some of its points cannot be read. `offline`: it does not answer, or its wire is gone. */
export type PollState = 'starting' | Extract<DeviceState, 'online' | 'degraded' | 'offline'>;

/** What polling did, since it started. */
export interface PollStats {
  /** Reads of one device that came back, answered or not. */
  polls: number;
  /** Times that a device told values by itself. */
  pushes: number;
  /** Values handed on, bad ones included. */
  readings: number;
  /** Reads that were due and fell out completely, because the wire was too slow. */
  overruns: number;
  /** Reads without answer, and those that broke the wire. */
  failures: number;
  /** Times that a wire was opened again. */
  reconnects: number;
  /** Times that a wire was to be opened, the first and the failed ones included. */
  attempts: number;
}

/** What a station tells, and what it shares with the others of its wire. */
export interface StationContext {
  readonly stats: PollStats;
  readonly tally: Tally;
  /** The device's own troubles. */
  readonly trouble: Repeated;
  /** Reads that fell out, of any device of the wire. */
  readonly late: Repeated;
  onBatch: ConstructorParameters<typeof Reporter>[1];
  onState(device: Device, state: Exclude<PollState, 'starting'>, reason: string | undefined): void;
  /** The device, without being read, showed that the wire is of no use any more. */
  onBreak(error: unknown): void;
}

/** Reads that broke the wire, in a row, until a device is held to be the cause. */
const MOST_BREAKS = 2;
/** What breaking the wire costs the others: at least as long as this many milliseconds of silence. */
const BREAK_COST = 2_000;
/** Milliseconds by which a device that broke the wire lets the others go first. */
const STEP_BACK = 1_000;
/** How many points a reason names. */
const NAMED = 3;

export class Station {
  readonly device: Device;
  /** Its shift against its neighbours on the wire, 0 to 1. */
  readonly phase: number;
  /** True when the device was taken off the wire: what a read still brings is not for anybody. */
  left = false;
  state: PollState = 'starting';
  reason: string | undefined;
  /** Monotonic time of the last answer. */
  answeredAt = Number.NEGATIVE_INFINITY;
  readonly #context: StationContext;
  readonly #start: number;
  #schedule: Schedule;
  /** All that can be read, or subscribed to; undefined when that is nothing. */
  readonly #all: DueSet | undefined;
  /** Only on wires whose devices tell by themselves. */
  #feed: Feed | undefined;
  #subscribing = false;
  readonly #breaker: Breaker;
  readonly #reporter: Reporter;
  #reading: DueSet | undefined;
  #readingSince = 0;
  /** What is to be read beside the schedule: everything at first, or once more what stayed unanswered. */
  #again: DueSet | undefined;
  #againAt = 0;
  #breaks = 0;

  constructor(device: Device, start: number, phase: number, context: StationContext) {
    this.device = device;
    this.phase = phase;
    this.#context = context;
    this.#start = start;
    this.#schedule = new Schedule(device.points, start, phase);
    this.#all = this.#schedule.all;
    this.#breaker = new Breaker(context.tally);
    this.#reporter = new Reporter(device, context.onBatch);
  }

  /** Monotonic time of the next read; infinite while one is under way, or when all is pushed. */
  get dueAt(): number {
    if (this.#reading || this.#subscribing) return Number.POSITIVE_INFINITY;
    if (this.#breaker.open) return this.#breaker.probeAt;
    return this.#again ? this.#againAt : this.#schedule.next;
  }

  /** When the read that is due now should begin at the latest. */
  deadline(now: number): number {
    if (this.#breaker.open) return this.#breaker.deadline;
    return this.#again ? this.#againAt + this.#schedule.patience : this.#schedule.deadline(now);
  }

  /** Begins the read that is due. */
  begin(now: number): DueSet | undefined {
    this.#reading = this.#take(now);
    this.#readingSince = now;
    return this.#reading;
  }

  /** True while a read is under way that began before the given monotonic time. */
  isBusySince(time: number): boolean {
    return this.#reading !== undefined && this.#readingSince < time;
  }

  /** Takes the reply to the read under way. Gives true when the device was dead. */
  settle(samples: Samples, now: number): boolean {
    const set = this.#reading as DueSet;
    this.#context.stats.polls++;
    const revived = samples.answered && this.#breaker.hit();
    if (!samples.answered) this.#missed(set, silenceOf(samples), now);
    else if (revived) this.#readAll(now);
    else this.#report(set, samples, samples.at);
    // Only now: whatever is thrown above is held against this read.
    this.#reading = undefined;
    if (samples.answered) this.#answered(now);
    return revived;
  }

  /** The wire is open. `news`: it was down for a while, so whoever was dead may be back. `run` on a wire whose devices tell by themselves. */
  wireOpened(now: number, news: boolean, run: RunTurn | undefined): void {
    if (news) this.#breaker.hurry(now);
    if (run && this.#all) {
      this.#feed ??= this.#makeFeed(this.#all);
      this.#subscribing = true;
      this.#feed.open(run);
    } else this.#beginReads(now);
  }

  /** The wire is closed: what the device still tells is of no wire. */
  wireClosed(): void {
    this.#feed?.close();
  }

  /**
   * The wire broke during the read under way, if any. Gives true when this device is held to be the cause: `others` still answered.
   * @param innocent another one is known to be the cause
   */
  wireBroke(now: number, reason: string, { others, innocent }: { others: boolean; innocent: boolean }): boolean {
    const set = this.#reading;
    if (!set) return false;
    this.#reading = undefined;
    this.#context.stats.failures++;
    if (!innocent) this.#breaks++;
    if (this.#breaker.open || (others && this.#breaks >= MOST_BREAKS)) {
      this.#breaker.trip(now, Math.max(BREAK_COST, now - this.#readingSince));
      this.#again = undefined;
      this.goOffline(reason);
      this.#context.trouble.failed(`reading it breaks the connection: ${reason}`);
      return others;
    }
    this.#again = set;
    this.#againAt = this.#context.tally.devices > 1 ? now + STEP_BACK : now;
    return false;
  }

  /** Takes the device off the wire. A read under way may still end. */
  leave(): void {
    this.left = true;
    this.#breaker.leave();
    this.#feed?.leave();
  }

  /** Monotonic time of the next probe of a dead device; undefined while it lives. */
  get probeAt(): number | undefined {
    return this.#breaker.open ? this.#breaker.probeAt : undefined;
  }

  /** Lets a dead device be probed at once. */
  hurry(now: number): void {
    this.#breaker.hurry(now);
  }

  /** None of its points can be read. They say so once, however long it lasts and however the reason changes. */
  goOffline(reason: string): void {
    const points = this.#all?.scaling.points;
    if (this.state !== 'offline' && points) this.#reporter.lose(points, reason);
    this.#setState('offline', reason);
  }

  #makeFeed(all: DueSet): Feed {
    return new Feed(this.device, all, {
      subscribed: (polled) => this.#subscribed(polled),
      told: (pushed, at) => this.#told(pushed, at),
      silent: (reason, bug) => {
        this.#context.trouble.failed(reason, bug === undefined ? {} : { err: bug });
        this.goOffline(reason);
      },
      broke: (error) => this.#context.onBreak(error),
    });
  }

  #subscribed(polled: readonly Point[]): void {
    this.#schedule = new Schedule(polled, this.#start, this.phase, this.device.points);
    this.#schedule.skip(performance.now());
    this.#subscribing = false;
    if (this.#schedule.all) this.#beginReads(performance.now());
  }

  #told(pushed: Pushed, at: number | undefined): void {
    const now = performance.now();
    this.#context.stats.pushes++;
    this.#answered(now);
    // Points that are not told yet have told that they are bad; the device is there all the same.
    if (this.state === 'offline') this.#reporter.bad.clear();
    this.#report(pushed.set, pushed.decoded, at);
  }

  #answered(now: number): void {
    this.answeredAt = now;
    this.#breaks = 0;
  }

  /** Reads everything at first, and after the device was lost. */
  #beginReads(now: number): void {
    if (this.#breaker.open || this.state === 'online' || this.state === 'degraded') return;
    if (this.#schedule.all) this.#readAll(this.#breaks === 0 ? now : now + STEP_BACK);
    else this.#setState('online', undefined);
  }

  #take(now: number): DueSet | undefined {
    if (this.#breaker.open) return this.#schedule.probe();
    if (this.#again) {
      const set = this.#again;
      this.#again = undefined;
      if (set === this.#schedule.all) this.#schedule.skip(now);
      return set;
    }
    const due = this.#schedule.take(now);
    if (due && due.missed > 0) {
      this.#context.stats.overruns += due.missed;
      this.#context.late.failed('polling falls behind: reads are left out', { device: this.device.id });
    }
    return due?.set;
  }

  #readAll(at: number): void {
    this.#again = this.#schedule.all;
    this.#againAt = at;
  }

  #report(set: DueSet, samples: Decoded, at?: number): void {
    const changed = this.#reporter.report(set, samples, at);
    if (changed || this.state === 'starting' || this.state === 'offline') this.#judge();
  }

  #missed(set: DueSet, reason: string, now: number): void {
    this.#context.stats.failures++;
    if (this.#breaker.miss(now, now - this.#readingSince)) {
      this.#again = undefined;
      this.#context.trouble.failed(`does not answer: ${reason}`);
      if (this.#feed?.live) this.#losePolled(reason);
      else this.goOffline(reason);
      return;
    }
    this.#again = set;
    this.#againAt = now;
  }

  /** What is read of a device that tells the rest by itself stays unanswered. */
  #losePolled(reason: string): void {
    const points = this.#schedule.all?.scaling.points ?? [];
    if (points.every((point) => this.#reporter.bad.has(point))) return;
    this.#reporter.lose(points, reason);
    this.#judge();
  }

  /** Online or degraded, by what is bad now. */
  #judge(): void {
    const { bad } = this.#reporter;
    if (bad.size === 0) {
      this.#context.trouble.over(this.state === 'offline' ? 'answers again' : 'all points are good again');
      this.#setState('online', undefined);
      return;
    }
    const reason = badnessOf(bad);
    this.#context.trouble.failed(reason);
    this.#setState('degraded', reason);
  }

  #setState(state: Exclude<PollState, 'starting'>, reason: string | undefined): void {
    if (state === this.state && reason === this.reason) return;
    this.state = state;
    this.reason = reason;
    this.#context.onState(this.device, state, reason);
  }
}

function silenceOf(samples: Samples): string {
  for (const { reason } of samples.flaws?.values() ?? []) return reason;
  return 'no answer';
}

/** `2 points bad: frequency (timeout), state (no value (0xFFFF))`. */
function badnessOf(bad: ReadonlyMap<Point, string>): string {
  const named = [...bad].slice(0, NAMED).map(([{ id }, reason]) => `${id} (${reason})`);
  const more = bad.size > NAMED ? ', …' : '';
  return `${bad.size} point${bad.size === 1 ? '' : 's'} bad: ${named.join(', ')}${more}`;
}
