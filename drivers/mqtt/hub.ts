/** Messages to whoever listens, by exact topic: one look in a map for each message, however many devices there are. */
import { Payload, Unfit } from './payload.js';
import type { Wire } from './wire.js';

/** One message as it came. Shared by all that listen: its JSON is parsed once. */
export interface Message {
  readonly topic: string;
  readonly payload: Payload;
  /** True when the broker had kept it: nobody knows since when. */
  readonly retained: boolean;
  /** Why it is not to be looked into. */
  readonly unfit?: Unfit;
}

/** Hears messages. Must not throw. */
export type Sink = (message: Message) => void;

/** Topics that somebody listens to. */
export interface Listening {
  /** Why the broker refuses some of them. */
  readonly refused: ReadonlyMap<string, string>;
  /** Ends it. Never throws. */
  close(): Promise<void>;
}

interface Entry {
  readonly sinks: Set<Sink>;
  last: Message | undefined;
  /** The subscription: settles with why the broker refuses some of its topics. */
  readonly ready: Promise<ReadonlyMap<string, string>>;
}

/** The subscriptions of one wire. */
export class Hub {
  readonly #wire: Wire;
  readonly #mostBytes: number;
  readonly #entries = new Map<string, Entry>();
  /** The ends of subscriptions that the broker has not confirmed. */
  #leaving: Promise<unknown> = Promise.resolve();

  constructor(wire: Wire, mostBytes: number) {
    this.#wire = wire;
    this.#mostBytes = mostBytes;
    wire.onMessage = (topic, payload, retained) => this.#take(topic, payload, retained);
  }

  /** What was said last on a topic that somebody listens to. */
  last(topic: string): Message | undefined {
    return this.#entries.get(topic)?.last;
  }

  /**
   * Listens to topics, in their order. What was said last on those that others listen to already is told again, as retained; resolves
   * when the broker has confirmed all of them.
   * @throws TidegateError LINK_DOWN
   */
  async listen(topics: readonly string[], sink: Sink): Promise<Listening> {
    const unique = [...new Set(topics)];
    const fresh = unique.filter((topic) => !this.#entries.has(topic));
    if (fresh.length > 0) {
      // Not before: aedes takes a subscription that follows its own end too closely for ended.
      const ready = this.#leaving.then(() => this.#wire.subscribe(fresh));
      for (const topic of fresh) this.#entries.set(topic, { sinks: new Set(), last: undefined, ready });
    }
    for (const topic of unique) this.#entries.get(topic)?.sinks.add(sink);
    for (const topic of unique) {
      const last = fresh.includes(topic) ? undefined : this.last(topic);
      if (last) sink({ ...last, retained: true });
    }
    const close = (): Promise<void> => this.#leave(unique, sink);
    const refused = new Map<string, string>();
    try {
      for (const topic of unique) {
        const reason = (await this.#entries.get(topic)?.ready)?.get(topic);
        if (reason !== undefined) refused.set(topic, reason);
      }
      if (fresh.length === 0) await this.#wire.ping();
    } catch (error) {
      await close();
      throw error;
    }
    return { refused, close };
  }

  async #leave(topics: readonly string[], sink: Sink): Promise<void> {
    const ready: Promise<unknown>[] = [];
    const lonely = topics.filter((topic) => {
      const entry = this.#entries.get(topic);
      if (!entry?.sinks.delete(sink) || entry.sinks.size > 0) return false;
      ready.push(entry.ready);
      return this.#entries.delete(topic);
    });
    if (lonely.length === 0) return;
    const left = Promise.all(ready)
      .then(() => this.#wire.unsubscribe(lonely))
      .catch(() => {});
    this.#leaving = Promise.all([this.#leaving, left]);
    await left;
  }

  #take(topic: string, bytes: Buffer, retained: boolean): void {
    const entry = this.#entries.get(topic);
    if (!entry) return;
    const { length } = bytes;
    const tooLarge = length > this.#mostBytes;
    // A copy of its own, as it is kept: a piece of what came from the socket, or of Node's pool, would keep all of that.
    const copy = Buffer.allocUnsafeSlow(tooLarge ? 0 : length);
    bytes.copy(copy);
    const payload = new Payload(copy);
    const message: Message = {
      topic,
      payload,
      retained,
      ...(tooLarge && { unfit: new Unfit(`a payload of ${length} bytes; max_payload is ${this.#mostBytes}`) }),
    };
    entry.last = message;
    for (const sink of entry.sinks) sink(message);
    payload.forget();
  }
}
