/**
 * The connection of one client, between its socket and the broker, which knows no limits of its own. It reads the fixed header of each
 * packet and no more: what is too large, too much or no MQTT never reaches the broker, and the broker never waits for
 * somebody who does not read.
 */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { type BrokerConfig, type BrokerUser, isLoopback, type Rights } from '../config/broker.js';
import { messageOf } from '../errors.js';
import { holdsFilters, Packets, TYPE } from '../mqtt-packets.js';
import { owned } from '../ops/owner.js';
import { formatSize } from '../units.js';
import { Quota } from './quota.js';
import type { RefusalKind } from './refusals.js';
import { covers } from './rights.js';

/** What a client may take. */
type Limits = Pick<BrokerConfig['limits'], 'packet' | 'publishes' | 'queue'>;

/** Who is told of a client. */
export interface WireKeeper {
  /** Something was refused. */
  tell(kind: RefusalKind, wire: Wire, message: string): void;
  /** It has signed in. */
  signedIn(): void;
}

/** The first byte of CONNECT: its type, and no flags (MQTT 3.1.1 §2.2.2). */
const CONNECT_BYTE = TYPE.connect << 4;
/** Most bytes of CONNECT: client id, will, user name and password. */
const MOST_CONNECT = 8_000;
/** Most bytes of the filters that come at once. */
const MOST_FILTERS = 64_000;
/** How often a client may ask for what is retained before it has got what it asked for at first. */
const ASKING = 1_000;
/** Bytes that may wait while retained messages are still to come. */
const MODEST = 64_000;
/** Milliseconds for the last words to a client. */
const LINGER = 1_000;

export class Wire extends Duplex {
  readonly address: string;
  /** The client runs on this machine. */
  readonly near: boolean;
  /** Who it is, once it has signed in: a user by name, or anonymous. */
  user: { readonly name?: string; readonly account: BrokerUser | Rights } | undefined;
  /** The client id that it gave, and what it has subscribed to: the QoS by filter. */
  clientId: string | undefined;
  readonly subscriptions = new Map<string, 0 | 1 | 2>();
  readonly #socket: Socket;
  readonly #limits: Limits;
  readonly #keeper: WireKeeper;
  /** `first`: CONNECT is awaited · `waiting`: it has come, and is being looked at · `open`: the client is in. */
  #state: 'first' | 'waiting' | 'open' = 'first';
  readonly #packets = new Packets({
    begins: (first) => this.#most(first),
    ends: (type, length) => this.#passes(type, length),
    broken: (reason) => this.cut('protocol', reason),
  });
  /** What was received and is held back. */
  #rest: Buffer | undefined;
  #ended = false;
  #resting: NodeJS.Timeout | undefined;
  readonly #quota: Quota;
  /** What it asked for and has not got. */
  #asked = 0;
  #given: Promise<void> = Promise.resolve();
  #written: (() => void) | undefined;
  #calm: (() => void)[] = [];
  #cut = false;

  constructor(socket: Socket, limits: Limits, keeper: WireKeeper) {
    super({ writableHighWaterMark: limits.queue });
    this.address = socket.remoteAddress ?? '';
    this.near = isLoopback(this.address);
    this.#socket = socket;
    this.#limits = limits;
    this.#quota = new Quota(limits.publishes);
    this.#keeper = keeper;
    socket.on('data', (chunk) => this.own(() => this.#take(chunk)));
    socket.on('end', () => this.own(() => this.#end()));
    socket.on('drain', () => this.own(() => this.#flushed()));
    socket.on('error', () => {});
    socket.on('close', () => this.own(() => this.destroy()));
  }

  /** Does work that this client asked for: an error in it that nobody catches ends its connection, and no more. */
  own<T>(work: () => T): T {
    return owned((error) => this.cut('protocol', `the broker failed on it: ${messageOf(error)}`), work);
  }

  /** Lets the client in: what it sent after CONNECT is read from now on. */
  admit(): void {
    this.#state = 'open';
    this.#keeper.signedIn();
    this.#continue();
  }

  /** A message is about to be sent to the client: at no higher QoS than it asked for (§3.3.5). */
  expect(packet: { readonly topic: string; readonly retain: boolean; qos: 0 | 1 | 2 }): void {
    // The library looks for subscriptions to this very topic alone, and knows no QoS of those with wildcards.
    if (packet.qos === 2) packet.qos = this.#qosOf(packet.topic);
    this.#quota.sent(packet);
  }

  /** Gives the client something that it asked for, once it has all that it asked for before. */
  async *give<T>(things: AsyncIterable<T>): AsyncGenerator<T> {
    if (this.#asked >= ASKING) return this.cut('protocol', `asked ${ASKING} times for what it has not taken yet`);
    this.#asked++;
    const before = this.#given;
    let given = (): void => {};
    this.#given = new Promise((resolve) => {
      given = resolve;
    });
    await before;
    try {
      for await (const thing of things) {
        await this.#calmed();
        if (this.destroyed) return;
        yield thing;
      }
    } finally {
      this.#asked--;
      given();
    }
  }

  /** Ends the connection, and says why. What waits for the client is dropped. */
  cut(kind: RefusalKind, message: string): void {
    if (this.destroyed) return;
    this.#keeper.tell(kind, this, message);
    this.#cut = true;
    this.destroy();
  }

  override _read(): void {
    if (!this.#held) this.#socket.resume();
  }

  // biome-ignore lint/suspicious/noExplicitAny: the many forms of a stream's write
  override write(...words: any[]): boolean {
    const room = (super.write as (...words: unknown[]) => boolean).apply(this, words);
    if (!room && this.writableLength >= this.#limits.queue)
      this.cut('slow', `reads too slowly: ${formatSize(this.#limits.queue)} wait for it`);
    return room;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#send(chunk, done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    this.#send(Buffer.concat(chunks.map(({ chunk }) => chunk)), done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    clearTimeout(this.#resting);
    this.#rest = undefined;
    if (this.#cut) this.#socket.destroy();
    else {
      // A refusal (CONNACK) is still to be read.
      this.#socket.destroySoon();
      setTimeout(() => this.#socket.destroy(), LINGER).unref();
    }
    this.#becalm();
    done(error);
  }

  get #held(): boolean {
    return this.#state === 'waiting' || this.#resting !== undefined;
  }

  #take(chunk: Buffer): void {
    if (this.destroyed) return;
    const passed = this.#held ? 0 : this.#packets.follow(chunk);
    if (this.destroyed) return;
    if (passed < chunk.length) {
      const left = chunk.subarray(passed);
      this.#rest = this.#rest ? Buffer.concat([this.#rest, left]) : left;
      this.#socket.pause();
    }
    if (passed > 0 && !this.push(chunk.subarray(0, passed))) this.#socket.pause();
  }

  #continue(): void {
    const rest = this.#rest;
    this.#rest = undefined;
    if (rest) this.#take(rest);
    if (this.#held || this.destroyed) return;
    if (this.#ended) this.push(null);
    else this.#socket.resume();
  }

  #end(): void {
    this.#ended = true;
    if (!this.#rest && !this.destroyed) this.push(null);
  }

  #most(first: number): number | string {
    if (this.#state === 'first') return first === CONNECT_BYTE ? MOST_CONNECT : 'does not speak MQTT';
    const { packet } = this.#limits;
    return holdsFilters(first >> 4) ? Math.min(MOST_FILTERS, packet) : packet;
  }

  #passes(type: number, length: number): boolean {
    if (this.#state === 'first') {
      this.#state = 'waiting';
      return false;
    }
    if (this.#quota.spend(type, length)) return true;
    const { publishes } = this.#limits;
    this.#keeper.tell('fast', this, `sends more than ${publishes} messages per second, and is read more slowly`);
    this.#resting = setTimeout(() => {
      this.#resting = undefined;
      this.#continue();
    }, this.#quota.rest);
    return false;
  }

  #qosOf(topic: string): 0 | 1 | 2 {
    const granted = [...this.subscriptions].filter(([filter]) => covers(filter, topic)).map(([, qos]) => qos);
    return Math.max(0, ...granted) as 0 | 1 | 2;
  }

  /** Resolves when little waits for the client, or it is gone. */
  async #calmed(): Promise<void> {
    if (this.writableLength < MODEST || this.destroyed) return;
    await new Promise<void>((resolve) => this.#calm.push(resolve));
  }

  /** Messages of one turn of the event loop go to the system together: asking it costs more than all else. */
  #send(chunk: Buffer, done: () => void): void {
    const socket = this.#socket;
    if (socket.writableCorked === 0) {
      socket.cork();
      setImmediate(() => socket.uncork());
    }
    if (socket.write(chunk) || socket.destroyed) {
      done();
      this.#becalm();
    } else this.#written = done;
  }

  #flushed(): void {
    const written = this.#written;
    this.#written = undefined;
    written?.();
    this.#becalm();
  }

  #becalm(): void {
    if (this.#calm.length === 0 || (this.writableLength >= MODEST && !this.destroyed)) return;
    for (const resolve of this.#calm.splice(0)) resolve();
  }
}
