/** One session with a server: services with a time limit each, a heartbeat, and one clear end. */
import { performance } from 'node:perf_hooks';
import {
  AttributeIds,
  type ClientSession,
  type DataValue,
  makeNodeId,
  ReadRequest,
  type ReadValueIdOptions,
  TimestampsToReturn,
} from 'node-opcua-client';
import type { DriverContext } from '../../src/driver.js';
import { isKind, messageOf, TidegateError } from '../../src/errors.js';
import { type Dialled, dial, warnOfEnd } from './dial.js';
import type { OpcuaConnection } from './schema.js';
import { type Status, wordsOf } from './status.js';
import { Trust } from './trust.js';

/** The server answered a whole request with a fault; the connection is as good as before. */
export class Fault extends Error {
  readonly status: Status;

  constructor(status: Status) {
    super(wordsOf(status));
    this.status = status;
  }
}

/** Most operations in one request, for each service that has such a limit. */
export type Limits = Record<'read' | 'translate' | 'monitor', number>;

/** Faults after which a session is of no more use. */
const FATAL =
  /^Bad(Session(IdInvalid|Closed|NotActivated)|SecureChannel(IdInvalid|Closed|TokenUnknown)|ConnectionClosed|ServerHalted|Shutdown|TcpSecureChannelUnknown|SecurityChecksFailed)$/;
/** Faults that say: fewer operations at once. */
const TOO_MANY = /^Bad(TooManyOperations|RequestTooLarge|ResponseTooLarge|EncodingLimitsExceeded|TcpMessageTooLarge)$/;

const DAY = 86_400_000;
const number = (value: number): ReadValueIdOptions => ({ nodeId: makeNodeId(value, 0) });
const STATE = number(2259);
const NAMESPACES = number(2255);
/** OperationLimits of the server's capabilities (OPC UA Part 5 §6.3.11). */
const LIMITS: Readonly<Record<keyof Limits, ReadValueIdOptions>> = {
  read: number(11705),
  translate: number(11712),
  monitor: number(11714),
};
const RUNNING = 0;
const STATES = [
  'Running',
  'Failed',
  'NoConfiguration',
  'Suspended',
  'Shutdown',
  'Test',
  'CommunicationFault',
  'Unknown',
];

interface Request {
  requestHeader: { authenticationToken?: unknown; timeoutHint?: number };
}
interface Reply {
  readonly responseHeader: { readonly serviceResult: Status };
}
/** What of the library's client its own types leave out. */
interface Transactor {
  performMessageTransaction(
    request: unknown,
    done: (error: (Error & { response?: Reply }) | null, reply?: Reply) => void,
  ): void;
}

/** An open session. */
export class Wire {
  /** URIs of the server's namespaces as they are numbered now. */
  namespaces: readonly string[] = [];
  readonly limits: Limits;
  readonly timeout: number;
  readonly log: DriverContext['log'];
  readonly #line: Dialled;
  readonly #trust: Trust;
  readonly #broken: Set<(error: TidegateError) => void> = new Set();
  readonly #pending: Set<(error: TidegateError) => void> = new Set();
  #heart: NodeJS.Timeout | undefined;
  #end: TidegateError | undefined;
  #closing: Promise<void> | undefined;
  #signedIn = true;
  #beating = false;
  #heardAt = performance.now();
  #warnedAt = performance.now();

  private constructor(line: Dialled, connection: OpcuaConnection, log: DriverContext['log'], trust: Trust) {
    this.#line = line;
    this.#trust = trust;
    this.log = log;
    this.timeout = connection.timeout;
    const most = connection.max_nodes;
    this.limits = { read: most, translate: most, monitor: most };
    const lost = () => this.break('the server closed the connection');
    line.client.on('connection_lost', lost).on('close', lost);
    line.session.on('session_closed', lost);
    void this.#warn();
  }

  /**
   * Connects, signs in, and learns the server's namespaces and limits.
   * @throws TidegateError of kind `reconnect`
   */
  static async open(connection: OpcuaConnection, context: DriverContext): Promise<Wire> {
    const trust = new Trust(context.data);
    const wire = new Wire(await dial(connection, context, trust), connection, context.log, trust);
    try {
      await wire.#learn(connection.connect_timeout);
      wire.#watch(connection.keep_alive);
      return wire;
    } catch (error) {
      await wire.close();
      throw isKind(error, 'reconnect') ? error : new TidegateError('LINK_DOWN', messageOf(error), { cause: error });
    }
  }

  /** For what of the library needs a session: decoding structures. */
  get session(): ClientSession {
    return this.#line.session;
  }

  /** Milliseconds since the server last said anything. */
  get silence(): number {
    return performance.now() - this.#heardAt;
  }

  /** Calls `told` once, when the session has ended by itself. */
  onBroken(told: (error: TidegateError) => void): void {
    if (this.#end) told(this.#end);
    else this.#broken.add(told);
  }

  /**
   * Calls a service.
   * @throws Fault when the server answers with one; TidegateError LINK_DOWN when the session has ended, DEVICE_UNAVAILABLE when there was no
   *   answer in time
   */
  call<Answer>(request: object, timeout = this.timeout): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#end) return reject(this.#end);
      const settle = (): void => {
        clearTimeout(timer);
        this.#pending.delete(reject);
      };
      const timer = setTimeout(() => {
        settle();
        reject(new TidegateError('DEVICE_UNAVAILABLE', `no answer within ${timeout / 1000} s`));
        void this.#probe();
      }, timeout);
      this.#pending.add(reject);
      const { requestHeader } = request as Request;
      requestHeader.authenticationToken = (this.session as unknown as Request['requestHeader']).authenticationToken;
      requestHeader.timeoutHint = timeout;
      (this.#line.client as unknown as Transactor).performMessageTransaction(request, (error, reply) => {
        if (!this.#pending.has(reject)) return;
        settle();
        const status = (reply ?? error?.response)?.responseHeader.serviceResult;
        if (status === undefined) return reject(this.break(error?.message ?? 'no answer'));
        this.#heardAt = performance.now();
        if (!error && status.value >>> 31 === 0) return resolve(reply as Answer);
        reject(FATAL.test(status.name) ? this.break(wordsOf(status)) : new Fault(status));
      });
    });
  }

  /**
   * Does something with many operands, as many at a time as the server takes; where it wants fewer than it said, it gets fewer.
   * @param work gives one result for each operand, in their order; those that the server left out are undefined
   */
  async inParts<Operand, Result>(
    service: keyof Limits,
    operands: readonly Operand[],
    work: (part: Operand[]) => Promise<readonly Result[]>,
  ): Promise<(Result | undefined)[]> {
    const results: (Result | undefined)[] = [];
    while (results.length < operands.length) {
      const part = operands.slice(results.length, results.length + this.limits[service]);
      try {
        const done = await work(part);
        for (let i = 0; i < part.length; i++) results.push(done[i]);
      } catch (error) {
        if (!(error instanceof Fault) || !TOO_MANY.test(error.status.name) || part.length === 1) throw error;
        this.limits[service] = Math.ceil(part.length / 2);
      }
    }
    return results;
  }

  /** Reads attributes of nodes, their values where no other is named; one result for each, undefined where the server left it out. */
  async read(
    nodes: readonly ReadValueIdOptions[],
    { times = TimestampsToReturn.Neither, timeout = this.timeout } = {},
  ): Promise<(DataValue | undefined)[]> {
    return this.inParts('read', nodes, async (part) => {
      const nodesToRead = part.map((node) => ({ attributeId: AttributeIds.Value, ...node }));
      const request = new ReadRequest({ maxAge: 0, timestampsToReturn: times, nodesToRead });
      const { results } = await this.call<{ results: DataValue[] | null }>(request, timeout);
      return results ?? [];
    });
  }

  /** Ends a session whose connection is gone, or not to be used any more. Gives the error that all calls now fail with. */
  break(reason: string): TidegateError {
    this.#signedIn = false;
    const error = this.leave(reason);
    this.#line.cut();
    return error;
  }

  /** Ends a session that is of no more use on a connection that is: `close` signs off, for servers allow few sessions. */
  leave(reason: string): TidegateError {
    if (this.#end) return this.#end;
    const error = new TidegateError('LINK_DOWN', reason);
    this.#finish(error);
    for (const told of this.#broken) told(error);
    return error;
  }

  /** Signs off, within a second. Never throws. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#finish(new TidegateError('LINK_DOWN', 'the session was closed'));
    const { client, session, cut } = this.#line;
    const goodbye = (async () => {
      if (this.#signedIn) await session.close(true);
      await client.disconnect();
    })().catch(() => {});
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([
      goodbye,
      new Promise((resolve) => {
        timer = setTimeout(resolve, 700);
      }),
    ]);
    clearTimeout(timer);
    cut();
  }

  #finish(error: TidegateError): void {
    this.#end ??= error;
    clearInterval(this.#heart);
    for (const reject of [...this.#pending]) reject(error);
    this.#pending.clear();
  }

  /** Asks for sign of life when there was none for a while; once a day looks at the calendar. */
  async #beat(keepAlive: number): Promise<void> {
    if (performance.now() - this.#warnedAt > DAY) void this.#warn();
    if (this.#line.server && !(await this.#trust.holds(this.#line.server).catch(() => true)))
      this.break("the server's certificate is no longer trusted");
    if (this.silence >= keepAlive / 2) await this.#probe();
  }

  async #probe(): Promise<void> {
    if (this.#beating || this.#end) return;
    this.#beating = true;
    try {
      const [state] = await this.read([STATE]);
      const value = state?.value?.value;
      if (typeof value === 'number' && value !== RUNNING && STATES[value] === 'Shutdown')
        this.leave('the server is shutting down');
    } catch (error) {
      if (!(error instanceof Fault)) this.break(messageOf(error));
    } finally {
      this.#beating = false;
    }
  }

  async #learn(timeout: number): Promise<void> {
    // How many nodes one request may name is not known before this one, which names one.
    const [read] = await this.read([LIMITS.read], { timeout });
    this.#limit('read', read);
    const [namespaces, translate, monitor] = await this.read([NAMESPACES, LIMITS.translate, LIMITS.monitor], {
      timeout,
    });
    const uris: unknown = namespaces?.value?.value;
    this.namespaces = Array.isArray(uris) ? uris.map(String) : [];
    this.#limit('translate', translate);
    this.#limit('monitor', monitor);
  }

  #limit(service: keyof Limits, told: DataValue | undefined): void {
    const most: unknown = told?.value?.value;
    if (typeof most === 'number' && most > 0) this.limits[service] = Math.min(this.limits[service], most);
  }

  #watch(keepAlive: number): void {
    // The server may let go of a session earlier than it was asked for.
    const silence = Math.min(keepAlive, (this.session.timeout || Number.POSITIVE_INFINITY) / 2);
    if (!this.#end) this.#heart = setInterval(() => void this.#beat(silence), silence / 2).unref();
  }

  /** Tells of what ends soon: certificates, and the list of an authority that has not made the next. */
  async #warn(): Promise<void> {
    this.#warnedAt = performance.now();
    const { server, own } = this.#line;
    warnOfEnd('our own OPC UA certificate', own, this.log);
    if (!server) return;
    warnOfEnd("the server's certificate", server[0], this.log);
    const { note } = await this.#trust.judge(server).catch(() => ({ note: undefined }));
    if (note !== undefined) this.log.warn(note);
  }
}
