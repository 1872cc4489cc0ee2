/**
 * What the broker keeps: the live state, in memory. Retained messages, and which messages of QoS 2 their sender has not released yet
 * (MQTT 3.1.1 §4.3.3). No session outlives its connection, so nothing is kept for clients that are away.
 */
import { Readable } from 'node:stream';
import { setImmediate as otherWork } from 'node:timers/promises';
import type { Client } from 'aedes';
import type { BrokerConfig } from '../config/broker.js';
import { covers, SITE } from './rights.js';
import type { Wire } from './wire.js';

/** A message as the broker hands it over. */
export interface Message {
  readonly topic: string;
  readonly payload: Buffer | string;
  readonly qos: 0 | 1 | 2;
}

/** A packet by its identifier. */
interface Identified {
  readonly messageId: number;
}

/** Retained messages that are looked at before others get a turn. */
const AT_A_TIME = 500;

/** The store of aedes, as far as a broker needs one whose sessions end with their connections. */
export class LiveStore {
  /** Whoever subscribed last, if it is no connection within the process: retained messages that are asked for next are for it. */
  reader: Wire | undefined;
  readonly #retained = new Map<string, Message>();
  /** Packet identifiers. */
  readonly #unreleased = new WeakMap<Client, Set<number>>();
  /** Of clients: the gateway's own topics are as many as it has points. */
  #topics = 0;
  #bytes = 0;

  /** Retained messages, those of the gateway included. */
  get retained(): number {
    return this.#retained.size;
  }

  /** Retains a client's message; an empty one clears its topic. False when there is no room. */
  retain(message: Message, { topics, size }: BrokerConfig['limits']['retained']): boolean {
    const before = this.#retained.get(message.topic);
    const bytes = this.#bytes + sizeOf(message) - (before ? sizeOf(before) : 0);
    const fits = bytes <= size && (before !== undefined || this.#topics < topics);
    if (fits || message.payload.length === 0) this.#keep(message);
    return fits || message.payload.length === 0;
  }

  async setup(): Promise<void> {}

  async storeRetained(message: Message): Promise<void> {
    this.#keep(message);
  }

  createRetainedStreamCombi(filters: readonly string[]): Readable {
    const messages = this.#matching(filters, this.reader?.subscriptions);
    // No faster than a client reads: what it asked for at once must not cost it its connection.
    return Readable.from(this.reader ? this.reader.give(messages) : messages);
  }

  async incomingStorePacket(client: Client, { messageId }: Identified): Promise<void> {
    const own = this.#unreleased.get(client) ?? new Set();
    this.#unreleased.set(client, own.add(messageId));
  }

  async incomingGetPacket(client: Client, packet: Identified): Promise<Identified> {
    if (!this.#unreleased.get(client)?.has(packet.messageId)) throw new Error('no such packet');
    return packet;
  }

  async incomingDelPacket(client: Client, { messageId }: Identified): Promise<void> {
    this.#unreleased.get(client)?.delete(messageId);
  }

  // Wills are kept by the connection itself; there are no other brokers to tell them to.
  async putWill(): Promise<void> {}
  async delWill(): Promise<void> {}
  streamWill(): Readable {
    return Readable.from([]);
  }

  // Nothing waits for those who are away.
  async subscriptionsByTopic(): Promise<never[]> {
    return [];
  }
  async subscriptionsByClient(): Promise<never[]> {
    return [];
  }
  async cleanSubscriptions(): Promise<void> {}
  async outgoingEnqueueCombi(): Promise<void> {}
  async outgoingUpdate(): Promise<void> {}
  async outgoingClearMessageId(): Promise<void> {}
  outgoingStream(): Readable {
    return Readable.from([]);
  }

  async *#matching(
    filters: readonly string[],
    subscriptions: Wire['subscriptions'] | undefined,
  ): AsyncGenerator<Message> {
    let looked = 0;
    for (const filter of filters) {
      const exact = !/[+#]/.test(filter);
      const one = this.#retained.get(filter);
      for (const message of exact ? (one ? [one] : []) : this.#retained.values()) {
        if (++looked % AT_A_TIME === 0) await otherWork();
        if (!exact && !covers(filter, message.topic)) continue;
        const granted = subscriptions?.get(filter);
        yield granted !== undefined && granted < message.qos ? { ...message, qos: granted } : message;
      }
    }
  }

  #keep({ topic, payload, qos }: Message): void {
    const before = this.#retained.get(topic);
    if (before) this.#count(before, -1);
    if (payload.length === 0) this.#retained.delete(topic);
    else {
      const kept = { topic, payload: typeof payload === 'string' ? payload : alone(payload), qos };
      this.#retained.set(topic, kept);
      this.#count(kept, 1);
    }
  }

  #count(message: Message, sign: 1 | -1): void {
    if (message.topic.startsWith(`${SITE}/`)) return;
    this.#topics += sign;
    this.#bytes += sign * sizeOf(message);
  }
}

/** A copy: what was received is a view of all that came with it, and would keep that in memory. */
function alone(payload: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(payload.length);
  payload.copy(copy);
  return copy;
}

function sizeOf({ topic, payload }: Message): number {
  return Buffer.byteLength(topic) + payload.length;
}
