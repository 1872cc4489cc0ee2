/** Takes events from the outbox, window by window, and settles each by what the upstream answers. */
import type { Logger } from 'pino';
import { type ErrorCode, messageOf } from '../errors.js';
import { formatDuration } from '../units.js';
import type { Entry } from './entry.js';
import type { Outbox } from './outbox.js';
import { Probation } from './probation.js';
import type { Outcome, Sink } from './sink.js';

/** Pauses after an upstream asked to try later, milliseconds. */
const PAUSE = { first: 500, longest: 30_000 };
/** So often may a message be refused without a clear reason while others are taken. */
const DOUBTS = 5;

/** How an entry becomes a message. What it throws is a refusal for good. */
export type Encode = (entry: Entry) => string;

/** Joins one outbox to one sink. */
export class Forwarder {
  link: 'connecting' | 'online' | 'offline' = 'connecting';
  reason: string | undefined;
  /** On their way, in the order in which they were sent. */
  readonly #inFlight: Entry[] = [];
  #window = 0;
  /** How much of the window is used: one message after a "later", and slowly more while messages are taken. */
  #width = Number.POSITIVE_INFINITY;
  /** Counts connections: what an old one says is not heard. */
  #connection = 0;
  #pause = 0;
  #paused = false;
  #leaving = false;
  readonly #probation = new Probation();
  /** Since when the oldest message in flight is the oldest. */
  #oldestSince = 0;
  /** Messages taken in all, and when one was last refused without a clear reason. */
  #taken = 0;
  #takenAtDoubt = 0;
  /** How often messages were refused while others were taken; by number, since a message may go to disk and come back. */
  readonly #doubts = new Map<string, number>();
  #idle: (() => void) | undefined;
  readonly #stallCheck: NodeJS.Timeout;
  readonly #outbox: Outbox;
  readonly #sink: Sink;
  readonly #encode: Encode;
  readonly #log: Logger;
  readonly #ackTimeout: number;

  /**
   * @param ackTimeout milliseconds that the oldest message in flight may wait for its acknowledgement before the link counts as dead
   */
  constructor(outbox: Outbox, sink: Sink, encode: Encode, log: Logger, ackTimeout: number) {
    this.#outbox = outbox;
    this.#sink = sink;
    this.#encode = encode;
    this.#log = log;
    this.#ackTimeout = ackTimeout;
    this.#stallCheck = setInterval(() => this.#checkStall(), Math.max(50, ackTimeout / 4));
    this.#stallCheck.unref();
  }

  start(): void {
    this.#sink.start({
      online: (window) => this.#online(window),
      offline: (reason, suspicious) => this.#offline(reason, suspicious),
    });
  }

  get inFlight(): number {
    return this.#inFlight.length;
  }

  /** Sends as much as the window allows. */
  pump(): void {
    while (this.inFlight < this.#most()) {
      const entry = this.#outbox.next();
      if (!entry) return;
      this.#send(this.#probation.holdsBack(entry) ? this.#nextInsteadOf(entry) : entry);
    }
  }

  #most(): number {
    if (this.link !== 'online' || this.#paused || this.#leaving) return 0;
    return this.#probation.on ? 1 : Math.min(this.#window, Math.floor(this.#width));
  }

  /** Holds a suspect back for the message behind it, if there is one. */
  #nextInsteadOf(suspect: Entry): Entry {
    this.#outbox.sent(suspect);
    const next = this.#outbox.next();
    if (next) this.#probation.hold(suspect);
    else this.#outbox.waitAgain(suspect);
    return next ?? suspect;
  }

  /** Sends nothing more, or goes on `sending`; resolves when nothing is in flight any more, or after `limit` milliseconds. */
  settled(limit: number, { sending = false } = {}): Promise<void> {
    this.#leaving = !sending;
    this.pump();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, limit);
      this.#idle = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.inFlight === 0) this.#idle();
    });
  }

  async close(): Promise<void> {
    clearInterval(this.#stallCheck);
    await this.#sink.close();
    this.link = 'offline';
    this.#connection++;
  }

  #send(entry: Entry): void {
    let payload: string;
    try {
      payload = this.#encode(entry);
    } catch (error) {
      this.#reject(entry, `it cannot be encoded: ${messageOf(error)}`);
      return;
    }
    const connection = this.#connection;
    const sentAt = performance.now();
    if (this.inFlight === 0) this.#oldestSince = sentAt;
    this.#inFlight.push(entry);
    this.#outbox.sent(entry);
    this.#probation.sent(entry);
    const { topic, kind } = entry.event;
    // How a device stands is for those, too, who ask later.
    const message = { topic, payload, retain: kind === 'device' };
    this.#sink.publish(message, (outcome) => {
      if (connection !== this.#connection) return;
      const now = performance.now();
      const place = this.#inFlight.indexOf(entry);
      if (place === 0) this.#oldestSince = now;
      this.#inFlight.splice(place, 1);
      this.#judge(this.#probation.taken());
      this.#settle(entry, outcome, now - sentAt);
      this.pump();
      if (this.inFlight === 0) this.#idle?.();
    });
  }

  #settle(entry: Entry, outcome: Outcome, latency: number): void {
    if (outcome.is === 'sent') {
      this.#pause = 0;
      this.#taken++;
      this.#width += 1 / this.#width;
      if (this.#doubts.size > 0) this.#doubts.delete(numberOf(entry));
      this.#outbox.acknowledged(entry, latency);
    } else if (outcome.is === 'rejected') this.#reject(entry, outcome.reason);
    else if (outcome.is === 'unclear' && this.#taken > this.#takenAtDoubt) this.#doubt(entry, outcome.reason);
    else {
      this.#outbox.waitAgain(entry);
      this.#rest(outcome.reason);
    }
  }

  /** Refused while others are taken: put aside for growing pauses, and given up in the end. (While nothing is taken, nothing is given up.) */
  #doubt(entry: Entry, reason: string): void {
    this.#takenAtDoubt = this.#taken;
    const number = numberOf(entry);
    const times = (this.#doubts.get(number) ?? 0) + 1;
    this.#doubts.set(number, times);
    if (times < DOUBTS) this.#putAside(entry, PAUSE.first * 2 ** (times - 1));
    else {
      this.#doubts.delete(number);
      this.#reject(entry, reason);
    }
  }

  /** Has one message wait while others pass. */
  #putAside(entry: Entry, pause: number): void {
    const connection = this.#connection;
    setTimeout(() => {
      if (connection !== this.#connection) return;
      this.#outbox.waitAgain(entry);
      this.pump();
    }, pause).unref();
  }

  #judge({ guilty, again }: { readonly guilty?: Entry; readonly again?: Entry }): void {
    if (guilty) this.#reject(guilty, 'the connection breaks whenever it is sent');
    if (again) this.#outbox.waitAgain(again);
  }

  #reject(entry: Entry, reason: string): void {
    const code: ErrorCode = 'UPSTREAM_REJECTED';
    const { topic } = entry.event;
    this.#log.warn({ code, topic, reason }, 'a message was refused for good; it is reported as a gap');
    this.#outbox.rejected(entry, reason);
  }

  /** The upstream asks for less: a pause that doubles until something is taken again. */
  #rest(reason: string): void {
    // One at a time, so that what is refused is not overtaken when the upstream takes messages again.
    this.#width = 1;
    if (this.#paused) return;
    this.#paused = true;
    this.#pause = Math.min(PAUSE.longest, this.#pause * 2 || PAUSE.first);
    this.#log.warn({ reason, pause: this.#pause }, 'the upstream asks to send later');
    setTimeout(() => {
      this.#paused = false;
      this.pump();
    }, this.#pause).unref();
  }

  #checkStall(): void {
    if (this.inFlight === 0 || this.link !== 'online' || performance.now() - this.#oldestSince < this.#ackTimeout)
      return;
    this.#sink.reset(`no acknowledgement of the oldest message for ${formatDuration(this.#ackTimeout)}`);
  }

  #online(window: number): void {
    this.#connection++;
    this.#probation.connected();
    this.#window = window;
    this.link = 'online';
    this.reason = undefined;
    this.pump();
  }

  #offline(reason: string, suspicious: boolean): void {
    if (this.inFlight > 0 && suspicious) this.#probation.broke();
    this.#connection++;
    this.#inFlight.length = 0;
    this.link = 'offline';
    this.reason = reason;
    this.#outbox.rewind();
    this.#idle?.();
  }
}

function numberOf({ epoch, seq }: Entry): string {
  return `${epoch}:${seq}`;
}
