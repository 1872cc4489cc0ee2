/** When the points of one device are due. All times are monotonic milliseconds (`performance.now()`). */
import type { Point } from '../model.js';
import { DueSet } from './due-set.js';

/** Points of one device with the same interval. Slot n is due at `first + n × every`, whatever happened to the slots before. */
interface Group {
  readonly every: number;
  readonly first: number;
  readonly points: readonly Point[];
  slot: number;
  next: number;
}

/** A combination of groups, and the larger ones that begin with it. */
interface Combination {
  readonly groups: readonly Group[];
  readonly longer: Map<Group, Combination>;
  set: DueSet | undefined;
}

/** What is due now, and how many slots passed by unread. */
export interface Due {
  readonly set: DueSet;
  readonly missed: number;
}

/** How many points take turns in probing a dead device: one of them may be what the device never answers. */
const PROBES = 3;

/** Without drift: a late slot runs at once and the next ones keep their times; slots that passed completely are counted. */
export class Schedule {
  /** When something is due next; infinite for a device that has nothing to read. */
  next = Number.POSITIVE_INFINITY;
  readonly #groups: Group[] = [];
  readonly #device: readonly Point[];
  readonly #none: Combination = { groups: [], longer: new Map(), set: undefined };
  readonly #probes: DueSet[] = [];
  #probe = 0;

  /**
   * `phase` (0 to 1) shifts the device against its neighbours on the wire: by that part of its shortest interval, so that its slower points fall
   * together with faster ones and share their requests; slower points also spread over the slots that their own interval leaves them.
   * `device` are all points of the device, among which scale factors are looked for.
   */
  constructor(points: readonly Point[], start: number, phase: number, device = points) {
    this.#device = device;
    const readable = points.filter((point) => point.access !== 'write' && point.kind !== 'scale');
    const intervals = [...new Set(readable.map((point) => point.every))].sort((a, b) => a - b);
    const [shortest = 0] = intervals;
    for (const every of intervals) {
      const first = start + (phase + Math.floor((phase * every) / shortest)) * shortest;
      const due = readable.filter((point) => point.every === every);
      this.#groups.push({ every, first, points: due, slot: 0, next: first });
    }
    this.#findNext();
  }

  /** When the first of what is due at `now` should be read at the latest: half an interval before it is due again. */
  deadline(now: number): number {
    let deadline = Number.POSITIVE_INFINITY;
    for (const { next, every } of this.#groups) if (next <= now + 1) deadline = Math.min(deadline, next + every / 2);
    return deadline;
  }

  /** How long a read beside the schedule may wait: half the shortest interval; infinite for a device that has nothing to read. */
  get patience(): number {
    return (this.#groups[0]?.every ?? Number.POSITIVE_INFINITY) / 2;
  }

  /** Everything there is to read; undefined when there is nothing. */
  get all(): DueSet | undefined {
    return this.#groups.length === 0 ? undefined : this.#setOf(this.#groups.reduce(longer, this.#none));
  }

  /** One point, to see whether the device answers. Each call may give another. */
  probe(): DueSet | undefined {
    const points = this.#groups[0]?.points.slice(0, PROBES) ?? [];
    if (points.length === 0) return undefined;
    const turn = this.#probe++ % points.length;
    this.#probes[turn] ??= new DueSet([points[turn] as Point], this.#device);
    return this.#probes[turn];
  }

  /** Takes what is due at `now`, give or take a millisecond of the timer; undefined when nothing is. */
  take(now: number): Due | undefined {
    let combination = this.#none;
    let missed = 0;
    for (const group of this.#groups) {
      if (group.next > now + 1) continue;
      combination = longer(combination, group);
      missed += advance(group, now);
    }
    if (combination === this.#none) return undefined;
    this.#findNext();
    return { set: this.#setOf(combination), missed };
  }

  /** Lets go of all slots up to now, without counting them: while a device is offline, or when everything was read anyway. */
  skip(now: number): void {
    for (const group of this.#groups) if (group.next <= now + 1) advance(group, now);
    this.#findNext();
  }

  #findNext(): void {
    let next = Number.POSITIVE_INFINITY;
    for (const group of this.#groups) if (group.next < next) next = group.next;
    this.next = next;
  }

  #setOf(combination: Combination): DueSet {
    if (!combination.set) {
      const due = new Set(combination.groups.flatMap((group) => group.points));
      combination.set = new DueSet(
        this.#device.filter((point) => due.has(point)),
        this.#device,
      );
    }
    return combination.set;
  }
}

/** Moves a group to its first slot after now; gives how many slots it missed completely. */
function advance(group: Group, now: number): number {
  const missed = Math.max(0, Math.floor((now - group.next) / group.every));
  group.slot += missed + 1;
  group.next = group.first + group.slot * group.every;
  return missed;
}

function longer(combination: Combination, group: Group): Combination {
  let found = combination.longer.get(group);
  if (!found) {
    found = { groups: [...combination.groups, group], longer: new Map(), set: undefined };
    combination.longer.set(group, found);
  }
  return found;
}
