/**
 * Takes a device that does not answer off the schedule, and asks it so seldom that its neighbours do not notice: all dead devices
 * of a wire together take at most a twenty-fifth of its time, however many they are and however long each holds it.
 */

/** Unanswered reads in a row that make a device dead. */
const MOST_MISSED = 2;
/** All probes together may take one part in so many of the wire's time while others need it … */
const SHARE = 25;
/** … and one in so many when nobody else is alive. */
const SHARE_ALONE = 2;
const SHORTEST = 2_000;

/** The devices of one wire, kept by their breakers. */
export interface Tally {
  devices: number;
  dead: number;
}

/** Milliseconds from one probe of a dead device to the next, when a probe holds the wire for `cost` milliseconds. */
export function probeSpacing(cost: number, { devices, dead }: Tally): number {
  const share = dead < devices ? SHARE : SHARE_ALONE;
  return Math.max(SHORTEST, cost * share * dead);
}

/** One device's breaker. Open means dead: only probes are sent, at `probeAt` (monotonic milliseconds). */
export class Breaker {
  open = false;
  probeAt = Number.POSITIVE_INFINITY;
  /** When the probe should be sent at the latest. */
  deadline = Number.POSITIVE_INFINITY;
  readonly #tally: Tally;
  #missed = 0;

  constructor(tally: Tally) {
    this.#tally = tally;
    tally.devices++;
  }

  /** The device answered. Gives true when it was dead; then one unanswered read is enough until it has answered again. */
  hit(): boolean {
    this.#missed = this.open ? MOST_MISSED - 1 : 0;
    if (!this.open) return false;
    this.open = false;
    this.probeAt = Number.POSITIVE_INFINITY;
    this.#tally.dead--;
    return true;
  }

  /** A read held the wire for `cost` milliseconds and stayed without answer. Gives true when the device is dead. */
  miss(now: number, cost: number): boolean {
    this.#missed++;
    if (!this.open && this.#missed < MOST_MISSED) return false;
    this.trip(now, cost);
    return true;
  }

  /** Takes the device for dead (or still dead), and sets the time of the next probe. */
  trip(now: number, cost: number): void {
    if (!this.open) this.#tally.dead++;
    this.open = true;
    const spacing = probeSpacing(cost, this.#tally);
    this.probeAt = now + spacing;
    this.deadline = this.probeAt + spacing / 2;
  }

  /** The device is no longer on the wire. */
  leave(): void {
    this.#tally.devices--;
    if (this.open) this.#tally.dead--;
  }

  /** Lets a dead device be probed at once: something changed on the wire. */
  hurry(now: number): void {
    if (this.open) this.probeAt = Math.min(this.probeAt, now);
  }
}
