/** The `change` step: report by exception, with a deadband as in OPC UA Part 4 §7.22.2 and a longest silence. */
import { type Deadband, type Point, type Quality, Structure, type Value } from '../model.js';

/** What one rule sent last of each point of one device. Points are known by slot. */
export class LastSent {
  readonly #slots = new Map<string, number>();
  readonly #values: Value[] = [];
  /** Undefined: nothing was sent yet. */
  readonly #qualities: (Quality | undefined)[] = [];
  /** Monotonic times. */
  readonly #times: number[] = [];

  /** The slot of a point, a new one at the first call. */
  slotOf(point: string): number {
    let slot = this.#slots.get(point);
    if (slot === undefined) {
      slot = this.#values.length;
      this.#slots.set(point, slot);
      this.#values.push(null);
      this.#qualities.push(undefined);
      this.#times.push(0);
    }
    return slot;
  }

  /** Remembers what was sent. */
  keep(slot: number, value: Value, quality: Quality, mono: number): void {
    this.#values[slot] = value;
    this.#qualities[slot] = quality;
    this.#times[slot] = mono;
  }

  /** True for the first value, another quality, a value outside of the band, and when the silence lasted long enough. */
  isNews(slot: number, band: Band, value: Value, quality: Quality, mono: number): boolean {
    if (this.#qualities[slot] !== quality) return true;
    if (mono - (this.#times[slot] ?? 0) >= band.silence) return true;
    const last = this.#values[slot] ?? null;
    if (value === last) return false;
    if (typeof value === 'number' && typeof last === 'number') {
      const width = band.percent === 0 ? band.absolute : (Math.abs(last) * band.percent) / 100;
      // Written so that a number that became NaN, or no longer is, passes.
      return !(Math.abs(value - last) <= width) && !(Number.isNaN(value) && Number.isNaN(last));
    }
    if (typeof value === 'bigint' && typeof last === 'bigint') {
      const width = band.percent === 0 ? band.absolute : (Math.abs(Number(last)) * band.percent) / 100;
      return Math.abs(Number(value - last)) > width;
    }
    return !(value instanceof Structure && last instanceof Structure && value.text === last.text);
  }
}

/** A change step for one point, in numbers. */
export interface Band {
  readonly absolute: number;
  /** 0: `absolute` counts. */
  readonly percent: number;
  /** Milliseconds after which a value passes without a change. */
  readonly silence: number;
}

/**
 * The band of a `change` step for one point. Reads do not fall exactly on `atLeastEvery`, so half the time between two reads is
 * taken off: the read nearest to that time passes, not the one after it.
 */
export function bandFor(
  step: { deadband?: Deadband | undefined; atLeastEvery?: number | undefined },
  point: Point,
): Band {
  const deadband = step.deadband ?? point.deadband;
  return {
    absolute: deadband && 'absolute' in deadband ? deadband.absolute : 0,
    percent: deadband && 'percent' in deadband ? deadband.percent : 0,
    silence: step.atLeastEvery === undefined ? Number.POSITIVE_INFINITY : step.atLeastEvery - point.every / 2,
  };
}
