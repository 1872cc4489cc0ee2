/** How many messages per second a client may send, and what its packets count for: all of them cost the broker something. */
import { holdsFilters, TYPE } from '../mqtt-packets.js';
import { Allowance } from './allowance.js';

/** A subscription counts for so many messages, or more if it is of many filters: one for so many bytes of them … */
const SUBSCRIPTION = 10;
const FILTER = 16;
/** … and so does each tenth of the retained messages that they ask for: who asks for all of it again and again sends little, and takes much. */
const RETAINED = 0.1;
/** A client that sent too much is not read until so much of a second's messages has come free. */
const REST = 0.1;

export class Quota {
  readonly #perSecond: number;
  readonly #allowance: Allowance;
  /** Acknowledgements that are to come. */
  #owed = 0;

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
    this.#allowance = new Allowance(perSecond, perSecond);
  }

  /** A packet has come; false when nothing more may come for now. */
  spend(type: number, length: number): boolean {
    if (this.#owed > 0 && (type === TYPE.puback || type === TYPE.pubrec || type === TYPE.pubcomp)) {
      this.#owed--;
      return true;
    }
    return this.#allowance.spend(holdsFilters(type) ? Math.max(SUBSCRIPTION, length / FILTER) : 1);
  }

  /** A message goes to the client: as many acknowledgements of it cost nothing as its QoS has (MQTT 3.1.1 §4.3). */
  sent({ qos, retain }: { readonly qos: number; readonly retain: boolean }): void {
    this.#owed += qos;
    if (retain) this.#allowance.spend(RETAINED);
  }

  /** Milliseconds until something may come again. */
  get rest(): number {
    return this.#allowance.until(Math.max(this.#perSecond * REST, 1));
  }
}
