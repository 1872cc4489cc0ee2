/**
 * The connection of one client, between its socket and the broker, which knows no limits of its own. It reads the fixed header of each
 * packet (MQTT 3.1.1 §2.2) and no more: what is too large, too much or no MQTT never reaches the broker, and the broker never waits for
 * somebody who does not read.
 */
import type { Socket } from 'node:net';
import { type BrokerUser, isLoopback, type Rights } from '../config/broker.js';
import { messageOf } from '../errors.js';
import { owned } from '../ops/owner.js';
import { formatSize } from '../units.js';
import type { RefusalKind } from './refusals.js';
import { covers } from './rights.js';
import { WholeDuplex } from './whole-duplex.js';

/** What a client may take. */
export interface WireLimits {
  /** Bytes of its largest packet, messages per second, and bytes that may wait for it. */
  readonly packet: number;
  readonly publishes: number;
  readonly queue: number;
}

/** Control packet types (§2.2.1). */
const CONNECT = 1;
const PUBLISH = 3;
/** The first byte of CONNECT: its type, and no flags. */
const CONNECT_BYTE = CONNECT << 4;
/** Most bytes of CONNECT: client id, will, user name and password. */
const MOST_CONNECT = 8_000;
/** Bytes that may wait while retained messages are still to come. */
const MODEST = 64_000;
/** A client that sent too much is not read until so much of a second's messages has come free. */
const REST = 0.1;
/** Milliseconds for the last words to a client. */
const LINGER = 1_000;

export class Wire extends WholeDuplex {
  readonly address: string;
  /** The client runs on this machine. */
  readonly near: boolean;
  /** Who it is, once it has signed in: a user by name, or anonymous. */
  user: { readonly name?: string; readonly account: BrokerUser | Rights } | undefined;
  /** The client id that it gave, and what it has subscribed to: the QoS by filter. */
  clientId: string | undefined;
  readonly subscriptions = new Map<string, 0 | 1 | 2>();
  readonly #socket: Socket;
  readonly #limits: WireLimits;
  readonly #tell: (kind: RefusalKind, wire: Wire, message: string) => void;
  /** `first`: CONNECT is awaited · `waiting`: it has come, and is being looked at · `open`: the client is in. */
  #state: 'first' | 'waiting' | 'open' = 'first';
  /** Where the stream of packets is: bytes of the header seen, the length it says so far, bytes of the packet that are to come. */
  #header = 0;
  #length = 0;
  #body = 0;
  #type = 0;
  /** What was received and is held back. */
  #rest: Buffer | undefined;
  #ended = false;
  #resting: NodeJS.Timeout | undefined;
  /** Messages that may come at once, and when that was reckoned. */
  #allowance: number;
  #reckoned = performance.now();
  #written: (() => void) | undefined;
  #calm: (() => void)[] = [];
  #cut = false;

  constructor(socket: Socket, limits: WireLimits, tell: (kind: RefusalKind, wire: Wire, message: string) => void) {
    super({ writableHighWaterMark: limits.queue });
    this.address = socket.remoteAddress ?? '';
    this.near = isLoopback(this.address);
    this.#socket = socket;
    this.#limits = limits;
    this.#allowance = limits.publishes;
    this.#tell = tell;
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
    this.#continue();
  }

  /** The highest QoS at which it asked for a topic (§3.3.5). */
  qosOf(topic: string): 0 | 1 | 2 {
    const granted = [...this.subscriptions].filter(([filter]) => covers(filter, topic)).map(([, qos]) => qos);
    return Math.max(0, ...granted) as 0 | 1 | 2;
  }

  /** Ends the connection, and says why. What waits for the client is dropped. */
  cut(kind: RefusalKind, message: string): void {
    if (this.destroyed) return;
    this.#tell(kind, this, message);
    this.#cut = true;
    this.destroy();
  }

  /** Resolves when little waits for the client, or it is gone. */
  async calm(): Promise<void> {
    if (this.writableLength < MODEST || this.destroyed) return;
    await new Promise<void>((resolve) => this.#calm.push(resolve));
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
    this.#settle(this.#socket.write(chunk), done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    this.#settle(this.#socket.write(Buffer.concat(chunks.map(({ chunk }) => chunk))), done);
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
    const passed = this.#held ? 0 : this.#inspect(chunk);
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

  /** Follows the packets; gives how many of the bytes may pass now. */
  #inspect(chunk: Buffer): number {
    let at = 0;
    while (at < chunk.length) {
      if (this.#body > 0) {
        const step = Math.min(this.#body, chunk.length - at);
        this.#body -= step;
        at += step;
      } else if (!this.#readHeader(chunk[at++] as number)) {
        if (this.destroyed) return 0;
        continue;
      }
      if (this.#body === 0 && !this.#complete()) return at;
    }
    return at;
  }

  /** Takes one byte of the fixed header; true when it was the last. */
  #readHeader(byte: number): boolean {
    if (this.#header++ === 0) {
      this.#type = byte >> 4;
      this.#length = 0;
      if (this.#state === 'first' && byte !== CONNECT_BYTE) this.cut('protocol', 'does not speak MQTT');
      return false;
    }
    // §2.2.3: seven bits in each of at most four bytes, the lowest first.
    this.#length |= (byte & 0x7f) << (7 * (this.#header - 2));
    const most = this.#state === 'first' ? MOST_CONNECT : this.#limits.packet;
    if (this.#length > most) this.cut('protocol', `sent a packet of more than ${formatSize(most)}`);
    else if (byte < 0x80) {
      this.#header = 0;
      this.#body = this.#length;
      return true;
    } else if (this.#header > 4) this.cut('protocol', 'sent a length that is none (MQTT 3.1.1 §2.2.3)');
    return false;
  }

  /** A packet has come whole; false when nothing more may pass now. */
  #complete(): boolean {
    if (this.#state === 'first') {
      this.#state = 'waiting';
      return false;
    }
    if (this.#type !== PUBLISH || --this.#allowance > 0) return true;
    const now = performance.now();
    const { publishes } = this.#limits;
    const earned = ((now - this.#reckoned) * publishes) / 1_000;
    this.#allowance = Math.min(this.#allowance + earned, publishes);
    this.#reckoned = now;
    if (this.#allowance > 0) return true;
    this.#tell('fast', this, `sends more than ${publishes} messages per second, and is read more slowly`);
    this.#resting = setTimeout(
      () => {
        this.#resting = undefined;
        this.#continue();
      },
      (Math.max(publishes * REST, 1) - this.#allowance) * (1_000 / publishes),
    );
    return false;
  }

  #settle(room: boolean, done: () => void): void {
    if (room || this.#socket.destroyed) {
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
