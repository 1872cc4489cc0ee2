/**
 * What the broker keeps: the live state, in memory. Retained messages, and messages of QoS 2 until their sender has released them
 * (MQTT 3.1.1 §4.3.3). No session outlives its connection, so nothing is kept for clients that are away.
 */
import { Readable } from 'node:stream';
import { setImmediate as otherWork } from 'node:timers/promises';
import type { Client } from 'aedes';
import type { BrokerConfig } from '../config/broker.js';
import { covers, SITE } from './rights.js';
import { Wire } from './wire.js';

/** A message as the broker hands it over. */
export interface Message {
  readonly topic: string;
  readonly payload: Buffer | string;
  readonly messageId?: number | undefined;
}

/** Most bytes of QoS 2 messages that one client may leave unreleased. */
const MOST_UNRELEASED = 1_000_000;

/** Retained messages that are looked at before others get a turn. */
const AT_A_TIME = 500;

/** The store of aedes, as far as a broker needs one whose sessions end with their connections. */
export class LiveStore {
  /** Whoever subscribed last: retained messages that are asked for next are for it. */
  reader: Client | undefined;
  readonly #retained = new Map<string, Message>();
  readonly #unreleased = new Map<string, Map<number, Message>>();
  /** Of clients: the gateway's own topics are as many as it has points. */
  #topics = 0;
  #bytes = 0;

  /** Retained messages, those of the gateway included. */
  get retained(): number {
    return this.#retained.size;
  }

  /** Whether a client's message can be retained. */
  hasRoom({ topic, payload }: Message, { topics, size }: BrokerConfig['limits']['retained']): boolean {
    if (payload.length === 0) return true;
    const before = this.#retained.get(topic);
    const bytes = this.#bytes + sizeOf({ topic, payload }) - (before ? sizeOf(before) : 0);
    return bytes <= size && (before !== undefined || this.#topics < topics);
  }

  async setup(): Promise<void> {}

  async storeRetained(packet: Message): Promise<void> {
    const { topic } = packet;
    const before = this.#retained.get(topic);
    if (before) this.#count(before, -1);
    if (packet.payload.length === 0) this.#retained.delete(topic);
    else {
      const kept = { ...packet };
      this.#retained.set(topic, kept);
      this.#count(kept, 1);
    }
  }

  createRetainedStreamCombi(filters: readonly string[]): Readable {
    const { conn } = this.reader ?? {};
    return Readable.from(this.#matching(filters, conn instanceof Wire ? conn : undefined));
  }

  async incomingStorePacket({ id }: Client, packet: Message): Promise<void> {
    const own = this.#unreleased.get(id) ?? new Map<number, Message>();
    this.#unreleased.set(id, own);
    own.set(packet.messageId ?? 0, { ...packet });
    const bytes = [...own.values()].reduce((sum, message) => sum + sizeOf(message), 0);
    if (bytes > MOST_UNRELEASED) throw new Error('too many bytes of QoS 2 are not released');
  }

  async incomingGetPacket({ id }: Client, { messageId = 0 }: Message): Promise<Message> {
    const message = this.#unreleased.get(id)?.get(messageId);
    if (!message) throw new Error('no such packet');
    return message;
  }

  async incomingDelPacket({ id }: Client, { messageId = 0 }: Message): Promise<void> {
    if (!this.#unreleased.get(id)?.delete(messageId)) throw new Error('no such packet');
  }

  async cleanIncoming({ id }: Client): Promise<void> {
    this.#unreleased.delete(id);
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

  /** No faster than a client reads: what it asked for at once must not cost it its connection. */
  async *#matching(filters: readonly string[], wire: Wire | undefined): AsyncGenerator<Message> {
    let looked = 0;
    for (const filter of filters) {
      const exact = !/[+#]/.test(filter);
      const one = this.#retained.get(filter);
      for (const message of exact ? (one ? [one] : []) : this.#retained.values()) {
        if (++looked % AT_A_TIME === 0) await otherWork();
        if (!exact && !covers(filter, message.topic)) continue;
        await wire?.calm();
        if (wire?.destroyed) return;
        yield message;
      }
    }
  }

  #count(message: Message, sign: 1 | -1): void {
    if (message.topic.startsWith(`${SITE}/`)) return;
    this.#topics += sign;
    this.#bytes += sign * sizeOf(message);
  }
}

function sizeOf({ topic, payload }: Message): number {
  return Buffer.byteLength(topic) + payload.length;
}
