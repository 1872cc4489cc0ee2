/** A stream of MQTT control packets, followed by their fixed headers (MQTT 3.1.1 §2.2), without looking at anything else. */
import { formatSize } from './units.js';

/** Control packet types (§2.2.1). */
export const TYPE = { connect: 1, puback: 4, pubrec: 5, pubcomp: 7, subscribe: 8, unsubscribe: 10 } as const;

/** Whether a packet has topic filters in it, and little else. */
export function holdsFilters(type: number): boolean {
  return type === TYPE.subscribe || type === TYPE.unsubscribe;
}

/** Who is asked about packets, and told of them. */
export interface Gatekeeper {
  /** A packet begins, with this byte: most bytes that may come after its header, or why it may not come at all. */
  begins(first: number): number | string;
  /** A packet has come whole; false when nothing more may pass now. */
  ends(type: number, length: number): boolean;
  /** Nothing more may pass for ever. */
  broken(reason: string): void;
}

/** Follows one stream. */
export class Packets {
  readonly #keeper: Gatekeeper;
  /** Bytes of the header seen, the length that it says so far, and the most that it may say. */
  #header = 0;
  #length = 0;
  #most = 0;
  #type = 0;
  /** Bytes of the packet that are to come. */
  #left = 0;

  constructor(keeper: Gatekeeper) {
    this.#keeper = keeper;
  }

  /** Follows what has come; gives how many of the bytes may pass. The others are to be given again. */
  follow(chunk: Buffer): number {
    let at = 0;
    while (at < chunk.length) {
      if (this.#left > 0) {
        const step = Math.min(this.#left, chunk.length - at);
        this.#left -= step;
        at += step;
      } else {
        const header = this.#takeHeader(chunk[at++] as number);
        if (header === 'goes on') continue;
        if (header !== 'whole') {
          this.#keeper.broken(header);
          return 0;
        }
      }
      if (this.#left === 0 && !this.#keeper.ends(this.#type, this.#length)) return at;
    }
    return at;
  }

  /** Takes one byte of the fixed header; says how the header stands, or what is wrong with it. */
  #takeHeader(byte: number): string {
    if (this.#header++ === 0) {
      this.#type = byte >> 4;
      this.#length = 0;
      const most = this.#keeper.begins(byte);
      if (typeof most === 'string') return most;
      this.#most = most;
      return 'goes on';
    }
    // §2.2.3: seven bits in each of at most four bytes, the lowest first.
    this.#length |= (byte & 0x7f) << (7 * (this.#header - 2));
    if (this.#length > this.#most) return `sent a packet of more than ${formatSize(this.#most)}`;
    if (byte < 0x80) {
      this.#header = 0;
      this.#left = this.#length;
      return 'whole';
    }
    return this.#header > 4 ? 'sent a length that is none (MQTT 3.1.1 §2.2.3)' : 'goes on';
  }
}
