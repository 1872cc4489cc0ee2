/**
 * One TCP connection, by modbus-serial's TcpPort, and everything that TcpPort leaves open: time limits, an end for every request, replies that
 * are late, foreign, cut short or garbage. The only file that touches modbus-serial.
 */
import type { Socket } from 'node:net';
import type TcpPort from 'modbus-serial/ports/tcpport.js';
import { messageOf, TidegateError } from '../../src/errors.js';
import { dial } from './dial.js';
import { isWellFormed, judge, TIMEOUT } from './frame.js';
import { hangUp } from './transport.js';
import { type Reply, typical, type Wire } from './wire.js';

/** Where to connect, and how long to wait. */
export interface TcpOptions {
  readonly host: string;
  readonly port: number;
  /** Milliseconds to wait for one reply. */
  readonly timeout: number;
  /** Requests on the wire at once; the others wait here. */
  readonly inFlight: number;
  /** Milliseconds between a reply and the next request. */
  readonly pause: number;
  /** Told of replies that nobody waits for. */
  stray?(what: string): void;
}

interface Exchange {
  readonly request: Buffer;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: TidegateError) => void;
  /** Transaction id, once it is sent. */
  id: number;
  sentAt: number;
  timer: NodeJS.Timeout | undefined;
}

/** So long a transaction id is not used again after its request was given up: its reply may still come. */
const QUARANTINE = 60_000;
/** After so many requests in a row without a reply the connection itself is suspect. */
const MOST_SILENT = 3;
const HEADER_LENGTH = 6;
const LEAST_LENGTH = 3;
const MOST_LENGTH = 254;

/**
 * Connects.
 * @throws TidegateError LINK_DOWN when the other side cannot be reached in time
 */
export async function openTcpWire(options: TcpOptions): Promise<Wire> {
  const { default: Port } = await import('modbus-serial/ports/tcpport.js');
  const socket = await dial(options);
  return new TcpWire(socket, new Port({ socket }), options);
}

/** Sends requests, and settles each of them: with its own reply, with a failure, or by rejecting when the connection is gone. */
class TcpWire implements Wire {
  patient = false;
  answerTime: number | undefined;
  readonly #socket: Socket;
  readonly #port: TcpPort;
  readonly #options: TcpOptions;
  readonly #queue: Exchange[] = [];
  /** On the wire. Few, and changed with each request: a list, since a map would cost the garbage collector more. */
  readonly #waiting: Exchange[] = [];
  /** Given up, by transaction id, the oldest first: a late reply is known for what it is. */
  readonly #givenUp = new Map<number, { readonly request: Buffer; readonly until: number }>();
  /** Replies of the chunk that is being taken apart: exchange, frame, exchange, frame, … */
  readonly #arrived: (Exchange | Buffer)[] = [];
  readonly #heard = new Set<number>();
  #lastId = 0;
  #silent = 0;
  #resumeAt = 0;
  #pausing: NodeJS.Timeout | undefined;
  #broken: TidegateError | undefined;

  constructor(socket: Socket, port: TcpPort, options: TcpOptions) {
    this.#socket = socket;
    this.#port = port;
    this.#options = options;
    port.on('data', (frame: Buffer) => this.#take(frame));
    // TcpPort's own listener stands before this one, so here the chunk has been taken apart and only an incomplete frame is left.
    socket.on('data', () => this.#settle());
    socket.on('error', (error) => this.#break(messageOf(error)));
    socket.on('close', () => this.#break('closed by the other side'));
    if (socket.destroyed) this.#break('closed by the other side');
  }

  request(request: Buffer): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.#broken) return reject(this.#broken);
      this.#queue.push({ request, resolve, reject, id: 0, sentAt: 0, timer: undefined });
      this.#pump();
    });
  }

  close(): Promise<void> {
    this.#break('closed');
    return hangUp(this.#socket);
  }

  #pump(): void {
    while (this.#waiting.length < this.#options.inFlight && this.#queue.length > 0 && !this.#broken) {
      if (this.#options.pause > 0 && this.#mustPause()) return;
      this.#send(this.#queue.shift() as Exchange);
    }
  }

  #mustPause(): boolean {
    const left = this.#resumeAt - performance.now();
    if (left <= 0) return false;
    this.#pausing ??= setTimeout(() => {
      this.#pausing = undefined;
      this.#resumeAt = 0;
      this.#pump();
    }, left);
    return true;
  }

  #send(exchange: Exchange): void {
    exchange.id = this.#freeId();
    exchange.sentAt = performance.now();
    // One turn more, so that a stall of this process is not taken for silence of the other: the reply may wait in the socket.
    exchange.timer = setTimeout(() => setImmediate(() => this.#giveUp(exchange)), this.#options.timeout);
    this.#waiting.push(exchange);
    this.#port._transactionIdWrite = exchange.id;
    this.#port.write(exchange.request);
  }

  /** TcpPort by itself wraps at 256 ids; all 65,536 are used, and none that may still be answered. */
  #freeId(): number {
    for (const [id, { until }] of this.#givenUp) {
      if (until > performance.now()) break;
      this.#givenUp.delete(id);
    }
    do this.#lastId = (this.#lastId + 1) & 0xffff;
    while (this.#givenUp.has(this.#lastId) || this.#waitingAs(this.#lastId));
    return this.#lastId;
  }

  #waitingAs(id: number): Exchange | undefined {
    return this.#waiting.find((exchange) => exchange.id === id);
  }

  /** One complete frame, as TcpPort cuts the stream. Nothing is handed out before the rest of the chunk was looked at. */
  #take(frame: Buffer): void {
    if (this.#broken) return;
    const header = this.#port._clientRcvData;
    const id = header.readUInt16BE(0);
    const exchange = this.#waitingAs(id);
    const late = this.#givenUp.get(id);
    if (!isHeader(header) || !isWellFormed(frame, (exchange ?? late)?.request)) {
      this.#break('garbage instead of a Modbus reply');
      return;
    }
    if (!exchange) {
      if (late) this.#silent = 0;
      this.#options.stray?.(`${late ? 'late' : 'unasked'} reply of unit ${frame[0]}, transaction ${id}, dropped`);
      return;
    }
    this.#leave(exchange);
    this.#arrived.push(exchange, frame);
  }

  /** The chunk has been taken apart: if what is left could begin a frame, hand out its replies. */
  #settle(): void {
    const rest = this.#port._clientRcvData;
    if (rest.length >= HEADER_LENGTH && !isHeader(rest)) this.#break('garbage instead of a Modbus reply');
    if (this.#broken || this.#arrived.length === 0) return;
    this.#silent = 0;
    for (let index = 0; index < this.#arrived.length; index += 2) {
      const exchange = this.#arrived[index] as Exchange;
      const frame = this.#arrived[index + 1] as Buffer;
      this.answerTime = typical(this.answerTime, performance.now() - exchange.sentAt);
      const failure = judge(exchange.request, frame);
      if (!failure?.silent) this.#heard.add(exchange.request[0] as number);
      exchange.resolve(failure ?? frame);
    }
    this.#arrived.length = 0;
    this.#next();
  }

  #next(): void {
    if (this.#options.pause > 0) this.#resumeAt = performance.now() + this.#options.pause;
    this.#pump();
  }

  /** Takes an exchange off the wire. */
  #leave(exchange: Exchange): void {
    clearTimeout(exchange.timer);
    this.#waiting.splice(this.#waiting.indexOf(exchange), 1);
  }

  #giveUp(exchange: Exchange): void {
    if (!this.#waiting.includes(exchange)) return;
    this.#leave(exchange);
    const { id, request } = exchange;
    this.#givenUp.set(id, { request, until: performance.now() + QUARANTINE });
    const unit = request[0] as number;
    // A unit that never answered says nothing about the connection, as long as others do answer.
    if (!this.patient && (this.#heard.size === 0 || this.#heard.has(unit))) this.#silent += 1;
    exchange.resolve(TIMEOUT);
    if (this.#isCutShort(id)) this.#break('a reply stopped halfway');
    else if (this.#silent >= MOST_SILENT) this.#break(`${MOST_SILENT} requests in a row without a reply`);
    else this.#next();
  }

  /** True when an incomplete frame is left that belongs to no request still waited for: it would swallow the next reply. */
  #isCutShort(id: number): boolean {
    const rest = this.#port._clientRcvData;
    if (rest.length < 2) return rest.length > 0;
    const owner = rest.readUInt16BE(0);
    return owner === id || !this.#waitingAs(owner);
  }

  #break(why: string): void {
    if (this.#broken) return;
    const { host, port } = this.#options;
    const error = new TidegateError('LINK_DOWN', `connection to ${host}:${port} lost: ${why}`);
    this.#broken = error;
    clearTimeout(this.#pausing);
    this.#socket.destroy();
    const pending = [...this.#waiting, ...this.#queue, ...this.#arrived.filter((item) => 'request' in item)];
    this.#waiting.length = 0;
    this.#queue.length = 0;
    this.#arrived.length = 0;
    for (const exchange of pending) {
      clearTimeout(exchange.timer);
      exchange.reject(error);
    }
  }
}

/** Protocol id 0 and a length that a Modbus frame can have (Modbus Messaging on TCP/IP Implementation Guide V1.0b §3.1.3). */
function isHeader(bytes: Buffer): boolean {
  const length = bytes.readUInt16BE(4);
  return bytes.readUInt16BE(2) === 0 && length >= LEAST_LENGTH && length <= MOST_LENGTH;
}
