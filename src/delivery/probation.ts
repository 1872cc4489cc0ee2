/**
 * Finds the message that breaks the connection whenever it is sent (an MQTT 3.1.1 broker has no other way to refuse a packet), so that it
 * does not hold up its lane for ever. After some connections in a row that broke without a single acknowledgement, one message is sent at a
 * time. One that broke the connection alone, several times in a row, is held back while the next is tried. Only when that has happened several
 * times, the one always breaking and the other always taken, is the message to blame; otherwise the broker is, and nothing is given up.
 */
import type { Entry } from './entry.js';

/** So many connections in a row that take nothing begin a probation. */
const BARREN = 3;
/** So often in a row must a message break the connection alone before another may pass it. */
const ALONE = 3;
/** So often must another one pass while this one breaks the connection. */
const CHARGES = 3;

interface Suspect {
  readonly epoch: number;
  readonly seq: number;
  /** Connections that it broke as the first and only message since another one passed it. */
  breaks: number;
  charges: number;
}

export class Probation {
  #barren = 0;
  /** The first message of this connection. */
  #first: Entry | undefined;
  #suspect: Suspect | undefined;
  #held: Entry | undefined;
  /** True once something was acknowledged on this connection: what breaks it then need not be a message. */
  #takenHere = false;

  /** True while messages go one at a time. */
  get on(): boolean {
    return this.#barren >= BARREN;
  }

  /** True for the message that is to be held back while the next is tried. */
  holdsBack(entry: Entry): boolean {
    return this.#suspect !== undefined && this.#suspect.breaks >= this.#needed() && isSame(this.#suspect, entry);
  }

  /** Notes that a message is held back. */
  hold(entry: Entry): void {
    this.#held = entry;
  }

  /** A new connection. */
  connected(): void {
    this.#takenHere = false;
  }

  sent(entry: Entry): void {
    this.#first ??= entry;
  }

  /** Something was acknowledged. Gives the message that is to blame, or the one that is to be tried once more, if any. */
  taken(): { readonly guilty?: Entry; readonly again?: Entry } {
    const [held, suspect] = [this.#held, this.#suspect];
    this.#held = undefined;
    this.#first = undefined;
    this.#takenHere = true;
    if (held && suspect && ++suspect.charges < CHARGES) {
      suspect.breaks = 0;
      return { again: held };
    }
    this.#barren = 0;
    this.#suspect = undefined;
    return held ? { guilty: held } : {};
  }

  /** The connection was lost with a message in flight, and nothing had been acknowledged since the last one that was sent alone. */
  broke(): void {
    const alone = this.on && !this.#held;
    this.#barren++;
    const first = this.#first;
    if (!alone || !first) this.#suspect = undefined;
    else if (this.#suspect && isSame(this.#suspect, first)) this.#suspect.breaks += this.#takenHere ? 0 : 1;
    else this.#suspect = { epoch: first.epoch, seq: first.seq, breaks: 1, charges: 0 };
    this.#first = undefined;
    this.#held = undefined;
  }

  /** Once charged, one more break is enough. */
  #needed(): number {
    return this.#suspect?.charges ? 1 : ALONE;
  }
}

function isSame(suspect: Suspect, entry: Entry): boolean {
  return suspect.epoch === entry.epoch && suspect.seq === entry.seq;
}
