/** What an outbox counts: for each lane since its file was made, and of all since the start. Gaps are not counted. */
import { type Account, accountOf, type End, type Totals } from './counters.js';
import { type Entry, readingsOf } from './entry.js';
import { STREAMS, type StreamName } from './rows.js';
import type { Opened } from './store.js';

/** Events since the start; `readings` counts the values in those acknowledged. */
export interface Counters {
  accepted: number;
  acknowledged: number;
  dropped: number;
  rejected: number;
  /** Of those acknowledged: events of the backlog. */
  late: number;
  readings: number;
}

export class Accounts {
  readonly counters: Counters = { accepted: 0, acknowledged: 0, dropped: 0, rejected: 0, late: 0, readings: 0 };
  readonly #totals: Readonly<Record<StreamName, Totals>>;
  readonly #accepted: Record<StreamName, number> = { alarm: 0, live: 0 };

  /** Goes on from what the file tells. */
  constructor(file: Opened) {
    this.#totals = { alarm: { ...file.totals.alarm }, live: { ...file.totals.live } };
    for (const name of STREAMS) this.#accepted[name] = accountOf(file.totals[name], file[name].events).accepted;
  }

  accept(lane: StreamName, events: number): void {
    this.counters.accepted += events;
    this.#accepted[lane] += events;
  }

  acknowledge({ event, late }: Entry): void {
    if (event.kind === 'gap') return;
    this.counters.acknowledged++;
    if (late) this.counters.late++;
    this.counters.readings += readingsOf(event);
    this.#totals[event.lane].acknowledged++;
  }

  /** Events that ended otherwise. What was thinned out has left some of its values. */
  end(lane: StreamName, end: End, events: number): void {
    this.#totals[lane][end] += events;
    if (end === 'rejected') this.counters.rejected += events;
    else if (end !== 'thinned') this.counters.dropped += events;
  }

  /** The account of a lane in which so many events wait. */
  of(lane: StreamName, waiting: number): Account {
    return { accepted: this.#accepted[lane], waiting, ...this.#totals[lane] };
  }

  /** How many events of a lane ended so, since its file was made. */
  ended(lane: StreamName, end: End): number {
    return this.#totals[lane][end];
  }
}
