/** Reads on one session: whatever is due, longest waiting first, until the session ends. */
import type { ReadOptions, Session } from '../driver.js';
import { TidegateError } from '../errors.js';
import type { Samples } from '../model.js';
import type { DueSet } from './due-set.js';
import type { Station } from './station.js';

/** A read that takes longer than this means that the driver is stuck. */
const LONGEST_READ = 60_000;
const WATCH = 5_000;
/** A driver that answers without ever waiting must not keep timers and sockets from their turn. */
const TURNS = 64;
/** The longest that a timer can be set to, 24 days. */
const LONGEST_TIMER = 0x7fffffff;

/** What a round tells. */
export interface RoundEvents {
  /** A read came back. */
  settled(station: Station, samples: Samples): void;
  /** The session is of no use any more; the round must be ended. */
  broke(error: unknown): void;
}

export class Round {
  readonly #session: Session;
  readonly #stations: readonly Station[];
  readonly #events: RoundEvents;
  readonly #options: ReadOptions;
  readonly #watch: NodeJS.Timeout;
  /** Stations whose reads are under way. */
  readonly #active = new Set<Station>();
  #turns = 0;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #ended = false;

  /** Begins to read. @param stations may change: `pump` then sees what is new */
  constructor(session: Session, stations: readonly Station[], signal: AbortSignal, events: RoundEvents) {
    this.#session = session;
    this.#stations = stations;
    this.#options = { signal };
    this.#events = events;
    this.#watch = setInterval(() => this.#check(), WATCH);
    this.pump();
  }

  /** No read begins any more, and what is still under way is ignored. */
  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    clearInterval(this.#watch);
  }

  /** Begins reads until the wire is busy or nothing is due. */
  pump(): void {
    const most = this.#session.concurrency ?? 1;
    const now = performance.now();
    while (!this.#ended && this.#active.size < most) {
      const station = this.#first();
      if (!station) return;
      const { dueAt } = station;
      const set = dueAt <= now + 1 ? station.begin(now) : undefined;
      if (!set) {
        this.#wakeAt(dueAt, now);
        return;
      }
      this.#active.add(station);
      void this.#read(station, set);
    }
  }

  /** The station that has waited longest, or has the least to wait. */
  #first(): Station | undefined {
    let first: Station | undefined;
    let firstAt = Number.POSITIVE_INFINITY;
    for (const station of this.#stations) {
      const at = station.dueAt;
      if (at >= firstAt) continue;
      first = station;
      firstAt = at;
    }
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
    this.#timer = setTimeout(wake, Math.min(at - now, LONGEST_TIMER));
  }

  async #read(station: Station, set: DueSet): Promise<void> {
    try {
      const samples = await this.#session.read(station.device, set.points, this.#options);
      if (this.#ended) return;
      if (samples.values.length !== set.points.length) {
        throw new Error(`the driver gave ${samples.values.length} values for ${set.points.length} points`);
      }
      this.#events.settled(station, samples);
    } catch (error) {
      if (!this.#ended) this.#events.broke(error);
      return;
    }
    this.#active.delete(station);
    if (++this.#turns % TURNS === 0) setImmediate(() => this.pump());
    else this.pump();
  }

  #check(): void {
    const oldest = performance.now() - LONGEST_READ;
    if (![...this.#active].some((station) => station.isReadingSince(oldest))) return;
    this.#events.broke(new TidegateError('LINK_DOWN', `a read took over ${LONGEST_READ / 1000} s`));
  }
}
