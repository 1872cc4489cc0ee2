/** Takes events from the outbox, window by window, and settles each by what the upstream answers. */
import type { Logger } from 'pino';
import type { ErrorCode } from '../errors.js';
import type { Entry } from './entry.js';
import type { Outbox } from './outbox.js';
import { Probation } from './probation.js';
import type { Outcome, Sink } from './sink.js';

/** Pauses after an upstream asked to try later, milliseconds. */
const PAUSE = { first: 500, longest: 30_000 };

/** How an entry becomes a message. */
export type Encode = (entry: Entry) => string;

/** Joins one outbox to one sink. */
export class Forwarder {
  link: 'connecting' | 'online' | 'offline' = 'connecting';
  reason: string | undefined;
  inFlight = 0;
  #window = 0;
  /** Counts connections: what an old one says is not heard. */
  #connection = 0;
  #pause = 0;
  #paused = false;
  #leaving = false;
  /** True when it was this side that gave the connection up. */
  #stalled = false;
  readonly #probation = new Probation();
  #oldestAnswer = 0;
  #idle: (() => void) | undefined;
  readonly #stallCheck: NodeJS.Timeout;
  readonly #outbox: Outbox;
  readonly #sink: Sink;
  readonly #encode: Encode;
  readonly #log: Logger;
  readonly #ackTimeout: number;

  /**
   * @param ackTimeout milliseconds without any acknowledgement, with messages in flight, after which the link counts as dead
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
    this.#sink.start({ online: (window) => this.#online(window), offline: (reason) => this.#offline(reason) });
  }

  /** Sends as much as the window allows. */
  pump(): void {
    while (
      this.link === 'online' &&
      !this.#paused &&
      !this.#leaving &&
      this.inFlight < (this.#probation.on ? 1 : this.#window)
    ) {
      const entry = this.#outbox.next();
      if (!entry) return;
      this.#send(this.#probation.holdsBack(entry) ? this.#nextInsteadOf(entry) : entry);
    }
  }

  /** Holds a suspect back for the message behind it, if there is one. */
  #nextInsteadOf(suspect: Entry): Entry {
    this.#outbox.sent(suspect);
    const next = this.#outbox.next();
    if (next) this.#probation.hold(suspect);
    else this.#outbox.waitAgain(suspect);
    return next ?? suspect;
  }

  /** Sends nothing more; resolves when nothing is in flight any more, or after `limit` milliseconds. */
  settled(limit: number): Promise<void> {
    this.#leaving = true;
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
    const connection = this.#connection;
    const sentAt = performance.now();
    if (this.inFlight === 0) this.#oldestAnswer = sentAt;
    this.inFlight++;
    this.#outbox.sent(entry);
    this.#probation.sent(entry);
    this.#sink.publish(entry.event.topic, this.#encode(entry), (outcome) => {
      if (connection !== this.#connection) return;
      this.inFlight--;
      this.#oldestAnswer = performance.now();
      this.#judge(this.#probation.taken());
      this.#settle(entry, outcome, this.#oldestAnswer - sentAt);
      this.pump();
      if (this.inFlight === 0) this.#idle?.();
    });
  }

  #settle(entry: Entry, outcome: Outcome, latency: number): void {
    if (outcome.is === 'sent') {
      this.#pause = 0;
      this.#outbox.acknowledged(entry, latency);
    } else if (outcome.is === 'rejected') this.#reject(entry, outcome.reason);
    else {
      this.#outbox.waitAgain(entry);
      this.#rest(outcome.reason);
    }
  }

  #judge({ guilty, again }: { readonly guilty?: Entry; readonly again?: Entry }): void {
    if (guilty) this.#reject(guilty, 'the connection breaks whenever it is sent');
    if (again) this.#outbox.waitAgain(again);
  }

  #reject(entry: Entry, reason: string): void {
    const code: ErrorCode = 'UPSTREAM_REJECTED';
    const { topic } = entry.event;
    this.#log.warn({ code, topic, reason }, 'the upstream refused a message for good; it is reported as a gap');
    this.#outbox.rejected(entry, reason);
  }

  /** The upstream asks for less: a pause that doubles until something is taken again. */
  #rest(reason: string): void {
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
    if (this.inFlight === 0 || this.link !== 'online' || performance.now() - this.#oldestAnswer < this.#ackTimeout)
      return;
    this.#oldestAnswer = performance.now();
    this.#stalled = true;
    this.#sink.reset(`no acknowledgement for ${Math.round(this.#ackTimeout / 1000)} s`);
  }

  #online(window: number): void {
    this.#connection++;
    this.inFlight = 0;
    this.#window = window;
    this.link = 'online';
    this.reason = undefined;
    this.pump();
  }

  #offline(reason: string): void {
    if (this.inFlight > 0 && !this.#stalled) this.#probation.broke();
    this.#stalled = false;
    this.#connection++;
    this.inFlight = 0;
    this.link = 'offline';
    this.reason = reason;
    this.#outbox.rewind();
    this.#idle?.();
  }
}
