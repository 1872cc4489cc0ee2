/** The end of a route: what the rules let through for one destination becomes one event. */
import type { Batch, Flaw, Point, TelemetryEvent, Value } from '../model.js';

/** Where events go. One object per upstream, lane and topic of a device, so that rules with the same one are joined by identity. */
export interface Destination {
  readonly upstream: string;
  readonly lane: 'alarm' | 'live';
  readonly topic: string;
}

/** What events of the same choice of points share. */
interface Columns {
  readonly names: readonly string[];
  /** Indices of counters; absent when there are none. */
  readonly counters?: readonly number[];
}

/** Collects what goes to one destination: the union of what its rules let through, in the order of the batch. */
export class Exit {
  readonly destination: Destination;
  readonly #points: readonly Point[];
  readonly #all: Columns;
  /** What passes without any step. */
  readonly #always: Uint8Array;
  readonly #passes: Uint8Array;
  readonly #fixed: number;
  #count = 0;
  /** The last choice of points, kept so that the same choice has the same array of names again. */
  #chosen: { readonly indices: readonly number[]; readonly columns: Columns } | undefined;

  constructor(destination: Destination, points: readonly Point[], names: readonly string[], always: Uint8Array) {
    this.destination = destination;
    this.#points = points;
    this.#all = columnsOf(points, names);
    this.#always = always;
    this.#passes = new Uint8Array(always);
    this.#fixed = always.reduce((sum, one) => sum + one, 0);
    this.#count = this.#fixed;
  }

  /** Lets one more reading of this batch through. */
  add(index: number): void {
    if (this.#passes[index] === 1) return;
    this.#passes[index] = 1;
    this.#count++;
  }

  /** The event for what passed, or undefined when nothing did. A whole batch is passed on without copying. */
  take(batch: Batch): TelemetryEvent | undefined {
    const count = this.#count;
    if (count === 0) return undefined;
    if (count === this.#points.length) return this.#event(batch, this.#all, batch.values, batch.flaws);
    const { indices, columns } = this.#choose(count);
    const values = new Array<Value>(count);
    for (let j = 0; j < count; j++) values[j] = batch.values[indices[j] as number] as Value;
    return this.#event(batch, columns, values, batch.flaws && pick(batch.flaws, indices));
  }

  /** Makes ready for the next batch. */
  clear(): void {
    if (this.#count === this.#fixed) return;
    this.#passes.set(this.#always);
    this.#count = this.#fixed;
  }

  #choose(count: number) {
    const passes = this.#passes;
    const chosen = this.#chosen;
    if (chosen?.indices.length === count && chosen.indices.every((index) => passes[index] === 1)) return chosen;
    const indices: number[] = [];
    for (let index = 0; index < passes.length; index++) if (passes[index] === 1) indices.push(index);
    const points = indices.map((index) => this.#points[index] as Point);
    this.#chosen = {
      indices,
      columns: columnsOf(
        points,
        points.map(({ id }) => id),
      ),
    };
    return this.#chosen;
  }

  #event(batch: Batch, columns: Columns, values: readonly Value[], flaws: Batch['flaws']): TelemetryEvent {
    const { lane, topic } = this.destination;
    const { device, at } = batch;
    const event = { kind: 'telemetry', device: device.id, at, lane, topic, ...columns, values } as const;
    return flaws ? { ...event, flaws } : event;
  }
}

function columnsOf(points: readonly Point[], names: readonly string[]): Columns {
  const counters = [...points.keys()].filter((index) => points[index]?.kind === 'counter');
  return counters.length > 0 ? { names, counters } : { names };
}

/** The flaws of the chosen points, by their new indices. */
function pick(flaws: ReadonlyMap<number, Flaw>, indices: readonly number[]): ReadonlyMap<number, Flaw> | undefined {
  const picked = new Map<number, Flaw>();
  for (const [to, from] of indices.entries()) {
    const flaw = flaws.get(from);
    if (flaw) picked.set(to, flaw);
  }
  return picked.size > 0 ? picked : undefined;
}
