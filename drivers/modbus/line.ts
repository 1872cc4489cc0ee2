/**
 * A wire that takes one request at a time: a serial line, the same behind a TCP gateway, or datagrams. Nothing on it tells to which
 * request a reply belongs, so one that comes late must never be taken for the answer to the next.
 */
import { TidegateError } from '../../src/errors.js';
import { Failure, judge, TIMEOUT } from './frame.js';
import { ascii, datagrams, type Framing, rtu } from './framing.js';
import { framingOf, lineOf, type ModbusConnection, serialOf } from './schema.js';
import { openSerial, openSocket, openUdp, type Transport } from './transport.js';
import { type Reply, typical, type Wire } from './wire.js';

/** How a line is used. */
export interface LineOptions {
  /** Milliseconds to wait for one reply, beside the time that its bytes take. */
  readonly timeout: number;
  /** Milliseconds between a reply and the next request. */
  readonly pause: number;
  /** Milliseconds that one byte takes; 0 where the line is not what limits. */
  readonly byteTime: number;
  /** A reply that began and went quiet for so many milliseconds is over; undefined where bytes may be held up. */
  readonly quiet: number | undefined;
  /** True where our own bytes come back. */
  readonly echo: boolean;
  /** After so many requests in a row without a reply the connection itself is suspect; infinite where there is none. */
  readonly mostSilent: number;
  /** Told of what came in and answers nothing. */
  stray(what: string): void;
}

interface Exchange {
  readonly request: Buffer;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: TidegateError) => void;
}

/** Unit id that means every device: nobody answers (Modbus over Serial Line V1.02 §2.1). */
const BROADCAST = 0;
const NOBODY = new Failure('unit 0 is everybody, and nobody answers', 0, true);
/** A serial adapter may hold bytes back for 16 ms; a device that pauses longer than this within a frame has stopped. */
const QUIET = 100;
const MOST_SILENT = 3;

/**
 * Opens a line.
 * @throws TidegateError LINK_DOWN
 */
export async function openLine(connection: ModbusConnection, stray: (what: string) => void): Promise<Wire> {
  const { tcp, udp, timeout, pause } = connection;
  const framing = framingOf(connection);
  const form = framing === 'rtu' ? rtu : framing === 'ascii' ? ascii : datagrams();
  const serial = serialOf(connection);
  const common = { timeout, pause, byteTime: 0, quiet: undefined, echo: false, mostSilent: MOST_SILENT, stray };
  if (tcp) return new Line(await openSocket(tcp, timeout), form, common);
  if (udp) return new Line(await openUdp(udp), form, { ...common, mostSilent: Number.POSITIVE_INFINITY });
  if (!serial) throw new TypeError('a connection has tcp, udp or serial');
  const { byteTime = 0, silence = 0 } = lineOf(connection) ?? {};
  return new Line(await openSerial(serial), form, {
    ...common,
    pause: Math.max(pause, silence),
    byteTime,
    quiet: QUIET,
    echo: serial.echo,
    mostSilent: Number.POSITIVE_INFINITY,
  });
}

/** One exchange after the other. */
export class Line implements Wire {
  patient = false;
  answerTime: number | undefined;
  readonly #transport: Transport;
  readonly #framing: Framing;
  readonly #options: LineOptions;
  readonly #queue: Exchange[] = [];
  readonly #heard = new Set<number>();
  /** Unit id → until when its reply to a request that was given up may still come. */
  readonly #owing = new Map<number, number>();
  #current: Exchange | undefined;
  /** False while the line is only held for the late reply of `current`. */
  #waiting = false;
  #received: Buffer = Buffer.alloc(0);
  /** Bytes of our own that have still to come back. */
  #echo = 0;
  #timer: NodeJS.Timeout | undefined;
  #quiet: NodeJS.Timeout | undefined;
  #resumeAt = 0;
  #silent = 0;
  /** The request under way: its bytes, and when it was written. */
  #sent = 0;
  #sentAt = 0;
  #broken: TidegateError | undefined;

  constructor(transport: Transport, framing: Framing, options: LineOptions) {
    this.#transport = transport;
    this.#framing = framing;
    this.#options = options;
    transport.listen(
      (chunk) => this.#take(chunk),
      (why) => this.#break(why),
    );
  }

  request(request: Buffer): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.#broken) return reject(this.#broken);
      if (request[0] === BROADCAST && !this.#framing.datagrams) return resolve(NOBODY);
      this.#queue.push({ request, resolve, reject });
      if (!this.#current && this.#timer === undefined) this.#next();
    });
  }

  close(): Promise<void> {
    this.#break('closed');
    return this.#transport.close();
  }

  /** Sends what is next, once the line has rested. */
  #next(): void {
    this.#timer = undefined;
    if (this.#broken || this.#queue.length === 0) return;
    const exchange = this.#queue[0] as Exchange;
    const rest = Math.max(this.#resumeAt, this.#owedBy(exchange)) - performance.now();
    if (rest > 0) {
      this.#timer = setTimeout(() => this.#next(), rest);
      return;
    }
    this.#queue.shift();
    this.#current = exchange;
    this.#waiting = true;
    this.#received = Buffer.alloc(0);
    const bytes = this.#framing.encode(exchange.request);
    this.#echo = this.#options.echo ? bytes.length : 0;
    this.#sent = bytes.length;
    this.#sentAt = performance.now();
    this.#transport.write(bytes);
    this.#expect(bytes.length);
  }

  /** Until when this unit might answer a request of before: what it says then is no answer to this one. */
  #owedBy({ request }: Exchange): number {
    return this.#owing.get(request[0] as number) ?? 0;
  }

  /** Waits for the reply to `current`, after so many bytes were sent. */
  #expect(sent: number): void {
    const exchange = this.#current as Exchange;
    const giveUp = (): void => this.#giveUp(exchange);
    // One turn more, so that a stall of this process is not taken for silence of the other.
    this.#timer = setTimeout(() => setImmediate(giveUp), this.#limit(exchange, sent));
  }

  /** Milliseconds that a reply may take: the time limit, and the time that `sent` bytes and those of the reply take. */
  #limit({ request }: Exchange, sent: number): number {
    const { timeout, byteTime } = this.#options;
    return timeout + (sent + this.#framing.lengthOfReply(request)) * byteTime;
  }

  #take(chunk: Buffer): void {
    const dropped = Math.min(this.#echo, chunk.length);
    this.#echo -= dropped;
    const fresh = chunk.subarray(dropped);
    if (fresh.length === 0) return;
    this.#silent = 0;
    const exchange = this.#current;
    const { datagrams } = this.#framing;
    this.#received = datagrams ? fresh : Buffer.concat([this.#received, fresh]);
    const frame = exchange && this.#framing.find(exchange.request, this.#received);
    if (frame) this.#settle(frame);
    else if (!exchange || datagrams) {
      this.#received = Buffer.alloc(0);
      this.#options.stray(`${fresh.length} bytes that nobody asked for, dropped`);
    } else if (this.#options.quiet !== undefined && this.#waiting && this.#hasBegun) {
      clearTimeout(this.#quiet);
      this.#quiet = setTimeout(() => setImmediate(() => this.#giveUp(exchange)), this.#options.quiet);
    }
  }

  /** Something came in that may have been a reply. */
  get #hasBegun(): boolean {
    return this.#received.length >= this.#framing.shortest;
  }

  #settle(frame: Buffer): void {
    const { request, resolve } = this.#current as Exchange;
    this.#heard.add(request[0] as number);
    this.#owing.delete(request[0] as number);
    if (this.#waiting) {
      this.#noteAnswer();
      resolve(judge(request, frame) ?? Buffer.from(frame));
    } else this.#options.stray(`late reply of unit ${request[0]}, dropped`);
    this.#rest();
  }

  #noteAnswer(): void {
    const onWire = (this.#sent + this.#received.length) * this.#options.byteTime;
    this.answerTime = typical(this.answerTime, performance.now() - this.#sentAt - onWire);
  }

  /** The time is over, or what began to come in went quiet. */
  #giveUp(exchange: Exchange): void {
    if (exchange !== this.#current || this.#broken) return;
    clearTimeout(this.#quiet);
    clearTimeout(this.#timer);
    if (!this.#waiting) this.#rest();
    else if (this.#hasBegun) {
      exchange.resolve(new Failure(`no valid reply (${this.#received.length} bytes of noise)`, 0, true));
      this.#rest();
    } else this.#miss(exchange);
  }

  #miss(exchange: Exchange): void {
    const unit = exchange.request[0] as number;
    if (!this.patient && (this.#heard.size === 0 || this.#heard.has(unit))) this.#silent += 1;
    exchange.resolve(TIMEOUT);
    if (this.#silent >= this.#options.mostSilent) this.#break(`${this.#silent} requests in a row without a reply`);
    else if (this.#framing.datagrams) this.#rest();
    // A unit that is there may still answer: the line is its own as long again, once.
    else if (this.#heard.delete(unit)) {
      this.#waiting = false;
      this.#expect(0);
    } else {
      this.#owing.set(unit, performance.now() + this.#limit(exchange, 0));
      this.#rest();
    }
  }

  #rest(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#quiet);
    this.#current = undefined;
    this.#resumeAt = performance.now() + this.#options.pause;
    this.#next();
  }

  #break(why: string): void {
    if (this.#broken) return;
    const error = new TidegateError('LINK_DOWN', `${this.#transport.name}: connection lost: ${why}`);
    this.#broken = error;
    clearTimeout(this.#timer);
    clearTimeout(this.#quiet);
    const pending = this.#current && this.#waiting ? [this.#current, ...this.#queue] : this.#queue.slice();
    this.#queue.length = 0;
    this.#current = undefined;
    for (const exchange of pending) exchange.reject(error);
    if (why !== 'closed') void this.#transport.close();
  }
}
