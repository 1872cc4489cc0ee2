/**
 * One connection to a broker, on the `mqtt` package used as a bare transport: it connects once, queues nothing and sends nothing again.
 * Whatever ends it ends it for good; another one is the runtime's.
 */
import { randomBytes } from 'node:crypto';
import type { IClientOptions, IPublishPacket, MqttClient } from 'mqtt';
import type { DriverContext } from '../../src/driver.js';
import { TidegateError } from '../../src/errors.js';
import { Packets } from '../../src/mqtt-packets.js';
import { errorText, reasonText } from '../../src/mqtt-reasons.js';
import { type Coded, lossOf, ours, refusalOf } from './refusal.js';
import { LARGEST, LOCAL, type MqttConnection } from './schema.js';

type ProtocolVersion = 4 | 5;

/** CONNACK codes that say "not this protocol version" (MQTT 3.1.1 §3.2.2.3, MQTT 5 §3.2.2.2). */
const WRONG_VERSION = new Set<unknown>([0x01, 0x84]);
/** PUBACK reasons that may pass later (MQTT 5 §3.4.2.1): unspecified, implementation specific, packet id in use, quota exceeded. */
const LATER = new Set([0x80, 0x83, 0x91, 0x97]);
/** Milliseconds for a clean goodbye. */
const GOODBYE = 500;

/** Hears each message. Must not throw. */
export type OnMessage = (topic: string, payload: Buffer, retained: boolean) => void;

/** Hears of the end of a wire: that it broke, or was closed. */
export type OnEnd = (error: TidegateError, closed: boolean) => void;

/** An open connection. */
export class Wire {
  readonly timeout: number;
  /** Why it is gone, once it is. */
  error: TidegateError | undefined;
  onMessage: OnMessage = () => {};
  readonly #client: MqttClient;
  readonly #broker: string;
  readonly #onEnd = new Set<OnEnd>();
  readonly #pending = new Set<(error: TidegateError) => void>();

  /**
   * Connects.
   * @param role makes another client id of it, for a second connection
   * @throws TidegateError LINK_DOWN, or LINK_REFUSED when the broker does not let us in
   */
  static async open(connection: MqttConnection, context: DriverContext, role?: string): Promise<Wire> {
    const { version, broker } = connection;
    if (version === '3.1.1' || broker === LOCAL) return Wire.#dial(connection, context, 4, role);
    try {
      return await Wire.#dial(connection, context, 5, role);
    } catch (error) {
      const { cause } = error as TidegateError;
      // Old brokers end the connection without a word.
      const maybeOld = cause === undefined || WRONG_VERSION.has((cause as Coded).code);
      if (version === '5' || !(error instanceof TidegateError) || !maybeOld) throw error;
      context.log.debug('the broker does not speak MQTT 5; using 3.1.1');
      return Wire.#dial(connection, context, 4, role);
    }
  }

  static async #dial(
    connection: MqttConnection,
    context: DriverContext,
    version: ProtocolVersion,
    role: string | undefined,
  ): Promise<Wire> {
    const { connect, MqttClient: Client } = await import('mqtt');
    const options = optionsOf(connection, context, version, role);
    if (connection.broker !== LOCAL) return Wire.#ready(connect(connection.broker, options), connection, options);
    const { local } = context;
    if (!local)
      throw new TidegateError('LINK_DOWN', 'the local broker is not there', {
        hint: 'It runs with the gateway, where gateway.yaml has `broker:`.',
      });
    return Wire.#ready(new Client(() => local() as MqttClient['stream'], options), connection, options);
  }

  /** Waits until the broker has let the client in, or has not within `connectTimeout`. */
  static #ready(client: MqttClient, connection: MqttConnection, { clientId = '' }: IClientOptions): Promise<Wire> {
    const { broker } = connection;
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        client.off('error', refused).off('close', closed).off('connect', letIn);
      };
      const fail = (error: TidegateError): void => {
        settle();
        client.on('error', () => {});
        client.end(true);
        reject(error);
      };
      const refused = (error: Error): void => fail(refusalOf(error, client, broker));
      const closed = (): void => fail(lossOf(undefined, { letIn: false, url: broker, clientId }));
      const letIn = (): void => {
        settle();
        resolve(new Wire(client, connection, clientId));
      };
      client.on('error', refused).on('close', closed).on('connect', letIn);
      // Read along, so that no packet fills the memory: the library would gather up to 256 MB.
      const broken = (reason: string): void => void client.emit('error', new Error(`the broker ${reason}`));
      const packets = new Packets({ begins: () => LARGEST, ends: () => true, broken });
      client.stream.on('data', (chunk: Buffer) => void packets.follow(chunk));
    });
  }

  private constructor(client: MqttClient, { broker, timeout }: MqttConnection, clientId: string) {
    this.#client = client;
    this.#broker = broker;
    this.timeout = timeout;
    const lost = (error?: Error): void => void this.break(lossOf(error, { letIn: true, url: broker, clientId }));
    client
      .on('message', (topic: string, payload: Buffer, { retain }: IPublishPacket) =>
        this.onMessage(topic, payload, retain),
      )
      .on('disconnect', ({ reasonCode = 0, properties }) =>
        this.break(
          new TidegateError(
            'LINK_DOWN',
            `the broker ended the connection: ${ours(reasonText(reasonCode, properties))}`,
          ),
        ),
      )
      .on('error', lost)
      .on('close', () => lost());
  }

  /**
   * Subscribes at QoS 1; gives why the broker refuses some of the topics.
   * @throws TidegateError LINK_DOWN
   */
  async subscribe(topics: readonly string[]): Promise<Map<string, string>> {
    const refused = new Map<string, string>();
    await this.#request('a subscription', (done) => {
      this.#client.subscribe([...topics], { qos: 1 }, (error, _granted, packet) => {
        for (const [at, code] of packet?.granted.entries() ?? [])
          if ((code as number) >= 0x80)
            refused.set(
              topics[at] as string,
              `the broker refuses the subscription to ${topics[at]}: ${ours(reasonText(code as number))}`,
            );
        done(refused.size > 0 ? undefined : error);
      });
    });
    return refused;
  }

  /** Ends subscriptions. @throws TidegateError LINK_DOWN */
  unsubscribe(topics: readonly string[]): Promise<void> {
    return this.#request('the end of a subscription', (done) => {
      this.#client.unsubscribe([...topics], (error) => done(error));
    });
  }

  /** Resolves when the broker has answered, and so has sent whatever it sent before. @throws TidegateError LINK_DOWN */
  ping(): Promise<void> {
    // MQTT 3.1.1 §3.10.4: the end of a subscription is acknowledged, also of one that never was.
    return this.unsubscribe(['tidegate/ping']);
  }

  /**
   * Publishes at QoS 1, not retained; resolves with the broker's acknowledgement.
   * @throws TidegateError WRITE_REFUSED, DEVICE_UNAVAILABLE, LINK_DOWN
   */
  async publish(topic: string, payload: string): Promise<void> {
    try {
      await this.#request(
        'an order',
        (done) => {
          this.#client.publish(topic, payload, { qos: 1 }, (error) => done(error ?? undefined));
        },
        (message) => new TidegateError('DEVICE_UNAVAILABLE', message),
      );
    } catch (error) {
      const { code } = ((error as Error).cause ?? {}) as Coded;
      if (typeof code !== 'number') throw error;
      const message = `the broker refuses to pass on ${topic}: ${ours(reasonText(code))}`;
      throw new TidegateError(LATER.has(code) ? 'DEVICE_UNAVAILABLE' : 'WRITE_REFUSED', message);
    }
  }

  /** Tells when the wire ends; gives what ends the telling. */
  onEnd(listener: OnEnd): () => void {
    this.#onEnd.add(listener);
    return () => this.#onEnd.delete(listener);
  }

  /** Ends the wire as broken; gives the error. */
  break(error: TidegateError): TidegateError {
    if (this.error) return this.error;
    this.#end(error, false);
    this.#client.end(true);
    return error;
  }

  /** Says goodbye. Never throws. */
  async close(): Promise<void> {
    if (this.error) return;
    this.#end(new TidegateError('LINK_DOWN', `the connection to ${this.#broker} was closed`), true);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, GOODBYE);
      this.#client.end(false, {}, () => {
        clearTimeout(timer);
        resolve();
      });
    });
    this.#client.end(true);
  }

  #end(error: TidegateError, closed: boolean): void {
    this.error = error;
    this.onMessage = () => {};
    this.#client.on('error', () => {});
    for (const reject of [...this.#pending]) reject(error);
    const listeners = [...this.#onEnd];
    this.#onEnd.clear();
    for (const listener of listeners) listener(error, closed);
  }

  /** One request and its answer; a broker that does not answer in time is gone, unless `late` says otherwise. */
  #request(
    what: string,
    send: (done: (error?: Error | null) => void) => void,
    late: (message: string) => TidegateError = (message) => this.break(new TidegateError('LINK_DOWN', message)),
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.error) return reject(this.error);
      const settle = (error?: Error): void => {
        clearTimeout(timer);
        this.#pending.delete(settle);
        if (error) reject(error);
        else resolve();
      };
      const silent = `the broker did not confirm ${what} within ${this.timeout / 1_000} s`;
      const timer = setTimeout(() => settle(late(silent)), this.timeout);
      this.#pending.add(settle);
      send((error) => settle(error ? new TidegateError('LINK_DOWN', errorText(error), { cause: error }) : undefined));
    });
  }
}

function optionsOf(
  connection: MqttConnection,
  { gateway, connection: id }: DriverContext,
  protocolVersion: ProtocolVersion,
  role: string | undefined,
): IClientOptions {
  // By default another one each time: whoever has the same (a command beside the gateway) would be cut off.
  const {
    client_id = `tidegate-${gateway}-${id}-${randomBytes(4).toString('hex')}`,
    username,
    password,
    ca,
    cert,
    key,
    keepalive,
    timeout,
  } = connection;
  return {
    clientId: role === undefined ? client_id : `${client_id}-${role}`,
    protocolVersion,
    clean: true,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert, key }),
    rejectUnauthorized: true,
    keepalive: Math.max(1, Math.round(keepalive / 1_000)),
    connectTimeout: timeout,
    // Else the first packet makes a buffer for each number up to 65,535, and keeps them: 8 MB.
    writeCache: false,
    reconnectPeriod: 0,
    queueQoSZero: false,
    resubscribe: false,
    ...(protocolVersion === 5 && { properties: { maximumPacketSize: LARGEST } }),
  };
}
