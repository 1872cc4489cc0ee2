/** The turns of one session, until it ends: what was asked for goes next, then the reads that are due, earliest deadline first. */
import type { ReadOptions, Session } from '../driver.js';
import { TidegateError } from '../errors.js';
import type { Turn } from '../field/turn.js';
import type { Samples } from '../model.js';
import { checkSamples, type DueSet } from './due-set.js';
import { Job } from './job.js';
import type { Station } from './station.js';
import type { Usage } from './usage.js';

/** A turn that takes longer than this means that the driver is stuck. */
const LONGEST_TURN = 60_000;
const WATCH = 5_000;
/** The longest that a timer can be set to, 24 days. */
const LONGEST_TIMER = 0x7fffffff;

/** What a round tells. */
export interface RoundEvents {
  /** A read came back. */
  settled(station: Station, samples: Samples): void;
  /** The session is of no use any more; the round must be ended. `culprit`: the one whose samples cannot be used. */
  broke(error: unknown, culprit?: Station): void;
}

export class Round {
  readonly #session: Session;
  readonly #stations: readonly Station[];
  readonly #events: RoundEvents;
  readonly #options: ReadOptions;
  readonly #usage: Usage;
  readonly #watch: NodeJS.Timeout;
  /** Jobs that wait for their turn, and all that is under way. (No sets: one that is changed at every turn costs the garbage collector much.) */
  readonly #jobs: Job<unknown>[] = [];
  readonly #active: (Station | Job<unknown>)[] = [];
  /** Came in, and is not worked on yet: the wires first, since samples can wait, but while a request waits a wire stands still. */
  readonly #answers: { readonly station: Station; readonly set: DueSet; readonly samples: Samples }[] = [];
  /** The last turn was a job's: a read that is due comes before another job, so that jobs in a row do not stop the polling. */
  #readsTurn = false;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #ended = false;

  /** Begins with the first `pump`. @param stations may change: `pump` then sees what is new */
  constructor(
    session: Session,
    stations: readonly Station[],
    { signal, usage }: { readonly signal: AbortSignal; readonly usage: Usage },
    events: RoundEvents,
  ) {
    this.#session = session;
    this.#stations = stations;
    this.#options = { signal };
    this.#events = events;
    this.#usage = usage;
    usage.open(session.concurrency ?? 1);
    this.#watch = setInterval(() => this.#check(), WATCH);
  }

  /** True while there is nothing to read, now or later, until something is pushed or asked for. */
  get idle(): boolean {
    return this.#stations.every(
      (station) => !this.#active.includes(station) && station.dueAt === Number.POSITIVE_INFINITY,
    );
  }

  /** Does the work in the next turn; see `RunTurn`. */
  async run<T>(work: (turn: Turn) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const job = new Job(work, signal);
    this.#jobs.push(job as Job<unknown>);
    this.pump();
    return job.result;
  }

  /** No turn begins any more; what still waits or is under way is told why, and what it brings is ignored. */
  end(reason: string): void {
    this.#ended = true;
    this.#usage.close(performance.now());
    clearTimeout(this.#timer);
    clearInterval(this.#watch);
    for (const each of [...this.#jobs, ...this.#active])
      if (each instanceof Job) each.drop(new TidegateError('LINK_DOWN', reason));
  }

  /** Begins turns until the wire is busy or nothing is due. */
  pump(): void {
    const most = this.#session.concurrency ?? 1;
    const now = performance.now();
    while (!this.#ended && this.#active.length < most) {
      while (this.#jobs[0]?.over) this.#jobs.shift();
      const station = this.#readsTurn || this.#jobs.length === 0 ? this.#first(now) : undefined;
      const set = station?.begin(now);
      this.#readsTurn = false;
      if (station && set) {
        this.#begin(station, now);
        void this.#read(station, set);
        continue;
      }
      const job = this.#jobs.shift();
      if (!job) return;
      this.#readsTurn = true;
      this.#begin(job, now);
      void this.#work(job);
    }
  }

  /** The station whose due read has the earliest deadline. When none is due, the timer is set. */
  #first(now: number): Station | undefined {
    let first: Station | undefined;
    let earliest = Number.POSITIVE_INFINITY;
    let wake = Number.POSITIVE_INFINITY;
    for (const station of this.#stations) {
      const { dueAt } = station;
      if (dueAt > now + 1) {
        if (dueAt < wake) wake = dueAt;
        continue;
      }
      const deadline = station.deadline(now);
      if (deadline >= earliest) continue;
      first = station;
      earliest = deadline;
    }
    if (!first) this.#wakeAt(wake, now);
    return first;
  }

  #wakeAt(at: number, now: number): void {
    if (at >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    const wake = (): void => {
      this.#timerAt = Number.POSITIVE_INFINITY;
      this.pump();
    };
    // Timers cut off parts of a millisecond: rounded down, it would wake too early, and once more.
    this.#timer = setTimeout(wake, Math.min(Math.ceil(at - now), LONGEST_TIMER));
  }

  async #read(station: Station, set: DueSet): Promise<void> {
    try {
      const samples = await this.#session.read(station.device, set.points, this.#options);
      if (this.#ended) return;
      if (this.#answers.push({ station, set, samples }) === 1) setImmediate(() => this.#settleSoon());
    } catch (error) {
      if (!this.#ended) this.#events.broke(error);
      return;
    }
    this.#next(station);
  }

  #settleSoon(): void {
    if (this.#ended) return;
    this.settle();
    this.pump();
  }

  /** Works on what came in so far. */
  settle(): void {
    for (let answer = this.#answers.shift(); answer; answer = this.#answers.shift()) {
      const { station, set, samples } = answer;
      try {
        checkSamples(samples, set.points.length);
        this.#events.settled(station, samples);
      } catch (error) {
        this.#events.broke(error, station);
      }
    }
  }

  async #work(job: Job<unknown>): Promise<void> {
    const broken = await job.run(this.#session);
    if (this.#ended) return;
    if (broken === undefined) this.#next(job);
    else this.#events.broke(broken);
  }

  #begin(turn: Station | Job<unknown>, now: number): void {
    this.#active.push(turn);
    this.#usage.begin(now);
  }

  #next(done: Station | Job<unknown>): void {
    this.#active.splice(this.#active.indexOf(done), 1);
    this.#usage.end(performance.now());
    this.pump();
  }

  #check(): void {
    const oldest = performance.now() - LONGEST_TURN;
    if (!this.#active.some((each) => each.isBusySince(oldest))) return;
    this.#events.broke(new TidegateError('LINK_DOWN', `the driver took over ${LONGEST_TURN / 1000} s`));
  }
}
