/** The end of a route: what the rules let through for one destination becomes one event. */
import type { Batch, Flaw, TelemetryEvent, Value } from '../model.js';

/** Where events go. One object per upstream, lane and topic of a device, so that rules with the same one are joined by identity. */
export interface Destination {
  readonly upstream: string;
  readonly lane: 'alarm' | 'live';
  readonly topic: string;
}

/** Collects what goes to one destination: the union of what its rules let through, in the order of the batch. */
export class Exit {
  readonly destination: Destination;
  readonly #names: readonly string[];
  /** What passes without any step. */
  readonly #always: Uint8Array;
  readonly #passes: Uint8Array;
  readonly #fixed: number;
  #count = 0;
  /** The last choice of points, kept so that the same choice has the same array of names again. */
  #chosen: { readonly indices: readonly number[]; readonly names: readonly string[] } | undefined;

  constructor(destination: Destination, names: readonly string[], always: Uint8Array) {
    this.destination = destination;
    this.#names = names;
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
    const { lane, topic } = this.destination;
    const { at, device } = batch;
    if (count === this.#names.length) return event(device.id, at, lane, topic, this.#names, batch.values, batch.flaws);
    const indices = this.#choose(count);
    const values = new Array<Value>(count);
    for (let j = 0; j < count; j++) values[j] = batch.values[indices.indices[j] as number] as Value;
    return event(device.id, at, lane, topic, indices.names, values, batch.flaws && pick(batch.flaws, indices.indices));
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
    this.#chosen = { indices, names: indices.map((index) => this.#names[index] as string) };
    return this.#chosen;
  }
}

function event(
  device: string,
  at: number,
  lane: 'alarm' | 'live',
  topic: string,
  names: readonly string[],
  values: readonly Value[],
  flaws: ReadonlyMap<number, Flaw> | undefined,
): TelemetryEvent {
  return flaws
    ? { kind: 'telemetry', device, at, lane, topic, names, values, flaws }
    : { kind: 'telemetry', device, at, lane, topic, names, values };
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
