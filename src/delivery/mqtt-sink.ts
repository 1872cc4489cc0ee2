/**
 * MQTT 3.1.1 and 5 as a sink, on the `mqtt` package used as a bare transport: a new client for each connection, no queue, no
 * reconnecting, no resending of its own. Birth and last will are retained on the status topic.
 */
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import type { IClientOptions, IStore, MqttClient } from 'mqtt';
import type { Logger } from 'pino';
import type { UpstreamConfig } from '../config/schema.js';
import type { ErrorCode } from '../errors.js';
import { errorText, lossText, reasonText } from '../mqtt-reasons.js';
import type { Message, Outcome, Sink, SinkEvents } from './sink.js';

type ProtocolVersion = 4 | 5;

/** CONNACK codes that say "not this protocol version": MQTT 3.1.1 §3.2.2.3 and MQTT 5 §3.2.2.2. */
const WRONG_VERSION = new Set([0x01, 0x84]);
/** A broker that keeps no retained messages refuses a last will that asks for it (MQTT 5 §3.1.2.7). */
const NO_RETAIN = 0x9a;
/** PUBACK reasons that may pass later (MQTT 5 §3.4.2.1): packet id in use, quota exceeded; and server busy. */
const LATER = new Set([0x89, 0x91, 0x97]);
/** PUBACK reasons that do not say whether they are for good: unspecified, implementation specific, not authorized. */
const UNCLEAR = new Set([0x80, 0x83, 0x87]);
/** DISCONNECT reasons that ask to come back less often: session taken over, server busy, rate and quota (MQTT 5 §3.14.2.1). */
const LESS_OFTEN = new Set([0x89, 0x8e, 0x96, 0x97, 0x9f]);
/** Those, and the others that are about no message: shutting down, keep alive, administrative, use another server, moved, maximum time. */
const ABOUT_NO_MESSAGE = new Set([...LESS_OFTEN, 0x8b, 0x8d, 0x98, 0x9c, 0x9d, 0xa0]);
/** What a broker without QoS 1 may be told, or tells (MQTT 5 §3.2.2.3.4). */
const QOS_NOT_SUPPORTED = 0x9b;
/** Most bytes of a PUBLISH beside its topic and payload. */
const LARGEST_HEAD = 10;
/** Milliseconds for a clean goodbye. */
const GOODBYE = 1_000;

/** The outbox keeps what is on its way, so that the client need not. */
const KEEPS_NOTHING: IStore = {
  put(_packet, done) {
    done();
    return this;
  },
  del(_packet, done) {
    done();
    return this;
  },
  get(_packet, done) {
    done(new Error('not kept'));
    return this;
  },
  createStream: () => Readable.from([]) as ReturnType<IStore['createStream']>,
  close: (done) => done(),
};

/** What an MQTT sink is given. */
export interface MqttSinkOptions {
  readonly config: UpstreamConfig;
  readonly clientId: string;
  /** Rendered status topic. */
  readonly statusTopic: string;
  readonly log: Logger;
}

/** Connects to one broker, and keeps trying with back-off and jitter. */
export class MqttSink implements Sink {
  #events: SinkEvents | undefined;
  #client: MqttClient | undefined;
  #retry: NodeJS.Timeout | undefined;
  #attempts = 0;
  #version: ProtocolVersion;
  /** False for a broker that keeps no retained messages. */
  #retain = true;
  #maximumPacketSize = Number.POSITIVE_INFINITY;
  #up = false;
  /** True once this connection took something: only that ends the growing of pauses. */
  #welcome = false;
  #closed = false;
  /** Why there is no connection, as the log has it. */
  #told: string | undefined;
  readonly #options: MqttSinkOptions;

  constructor(options: MqttSinkOptions) {
    this.#options = options;
    this.#version = options.config.version === '3.1.1' ? 4 : 5;
  }

  start(events: SinkEvents): void {
    this.#events = events;
    void this.#connect();
  }

  publish({ topic, payload, retain }: Message, settled: (outcome: Outcome) => void): void {
    const client = this.#client;
    if (!client) return;
    // 3 bytes per UTF-16 unit at most: only a message that could be too large is measured.
    if ((topic.length + payload.length) * 3 + LARGEST_HEAD > this.#maximumPacketSize) {
      const size = packetSize(topic, payload);
      if (size > this.#maximumPacketSize) {
        const reason = `packet of ${size} bytes, the broker takes ${this.#maximumPacketSize}`;
        queueMicrotask(() => settled({ is: 'rejected', reason }));
        return;
      }
    }
    client.publish(topic, payload, { qos: 1, retain: retain && this.#retain }, (error) => {
      const outcome = outcomeOf(error);
      if (outcome && client === this.#client) settled(outcome);
    });
  }

  reset(reason: string): void {
    if (this.#client) this.#lost(this.#client, reason, { suspicious: false });
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    const client = this.#client;
    this.#client = undefined;
    if (!client) return;
    if (this.#up)
      await within(GOODBYE, (done) =>
        client.publish(this.#options.statusTopic, status('offline'), { qos: 1, retain: this.#retain }, done),
      );
    await within(GOODBYE, (done) => client.end(!this.#up, {}, done));
    client.end(true);
  }

  async #connect(): Promise<void> {
    const { config, log } = this.#options;
    let client: MqttClient;
    try {
      const { connect } = await import('mqtt');
      if (this.#closed) return;
      client = connect(config.url, this.#clientOptions());
    } catch (error) {
      this.#later(errorText(error as Error), false);
      return;
    }
    this.#client = client;
    client.on('connect', ({ properties }) => {
      if (client !== this.#client) return;
      if (properties?.maximumQoS === 0) return this.#lost(client, reasonText(QOS_NOT_SUPPORTED));
      this.#told = undefined;
      this.#up = true;
      this.#welcome = false;
      this.#maximumPacketSize = properties?.maximumPacketSize ?? Number.POSITIVE_INFINITY;
      if (properties?.retainAvailable === false) this.#retain = false;
      log.info({ url: config.url, mqtt: this.#version === 5 ? '5' : '3.1.1' }, 'connected');
      client.publish(this.#options.statusTopic, status('online'), { qos: 1, retain: this.#retain }, (error) => {
        if (!error) this.#welcome = true;
      });
      this.#events?.online(Math.min(config.in_flight, properties?.receiveMaximum ?? 65_535));
    });
    client.on('disconnect', ({ reasonCode = 0, properties }) =>
      this.#lost(client, `the broker ended the connection: ${reasonText(reasonCode, properties)}`, {
        suspicious: !ABOUT_NO_MESSAGE.has(reasonCode),
        lessOften: LESS_OFTEN.has(reasonCode),
      }),
    );
    client.on('error', (error: Error & { code?: unknown }) => {
      if (this.#up || typeof error.code !== 'number') this.#broke(client, error);
      else this.#refused(client, error.code);
    });
    client.on('close', () => this.#broke(client));
  }

  #broke(client: MqttClient, error?: Error): void {
    const { config, clientId } = this.#options;
    this.#lost(client, lossText(error, { letIn: this.#up, url: config.url, clientId }));
  }

  /** The broker does not let us in. What it does not know is left out of the next attempt, at once. */
  #refused(client: MqttClient, code: number): void {
    if (client !== this.#client) return;
    const { config, log } = this.#options;
    if (config.version === 'auto' && this.#version === 5 && WRONG_VERSION.has(code)) {
      log.info('the broker does not speak MQTT 5; using 3.1.1');
      this.#version = 4;
      this.#attempts = -1;
    } else if (code === NO_RETAIN && this.#retain) {
      log.info('the broker keeps no retained messages; status messages will be seen only by those who listen');
      this.#retain = false;
      this.#attempts = -1;
    }
    this.#lost(client, `the broker refuses the connection: ${reasonText(code, client.serverProperties)}`);
  }

  #clientOptions(): IClientOptions {
    const { config, clientId, statusTopic } = this.#options;
    const file = (path: string | undefined): Buffer | undefined =>
      path === undefined ? undefined : readFileSync(path);
    return {
      clientId,
      protocolVersion: this.#version,
      clean: true,
      username: config.username,
      password: config.password,
      ca: file(config.ca),
      cert: file(config.cert),
      key: file(config.key),
      rejectUnauthorized: true,
      keepalive: Math.max(1, Math.round(config.keepalive / 1000)),
      connectTimeout: config.connect_timeout,
      // Else the first packet makes a buffer for each number up to 65,535, and keeps them: 8 MB.
      writeCache: false,
      outgoingStore: KEEPS_NOTHING,
      // Else what it would say to a debugger is put together for nobody.
      log: () => {},
      reconnectPeriod: 0,
      queueQoSZero: false,
      resubscribe: false,
      will: { topic: statusTopic, payload: Buffer.from(status('offline')), qos: 1, retain: this.#retain },
    };
  }

  /** Ends one connection, once, and plans the next. */
  #lost(client: MqttClient, reason: string, { suspicious = true, lessOften = false } = {}): void {
    if (client !== this.#client) return;
    if (this.#up && this.#welcome && !lessOften) this.#attempts = 0;
    this.#client = undefined;
    this.#up = false;
    client.end(true);
    this.#later(reason, suspicious);
  }

  #later(reason: string, suspicious: boolean): void {
    const { config, log } = this.#options;
    if (this.#closed) return;
    const ceiling = Math.min(config.reconnect.max, config.reconnect.min * 2 ** Math.max(0, this.#attempts));
    const pause = this.#attempts < 0 ? 0 : ceiling * (0.5 + Math.random() / 2);
    this.#attempts++;
    // What the next attempt will leave out is no trouble.
    if (reason !== this.#told && pause > 0) {
      this.#told = reason;
      const code: ErrorCode = 'UPSTREAM_DOWN';
      log.warn({ code, reason }, 'not connected; events are kept, and Tidegate keeps trying');
    }
    this.#events?.offline(reason, suspicious);
    this.#retry = setTimeout(() => void this.#connect(), pause);
  }
}

/** Waits for a callback, but not longer than `limit` milliseconds: neither `publish` nor `end` is sure to call back. */
function within(limit: number, start: (done: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, limit);
    start(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function status(state: 'online' | 'offline'): string {
  return JSON.stringify({ state, ts: Date.now() });
}

/** What a PUBACK says; an error without a code is the connection going, which voids the message anyway. */
function outcomeOf(error: (Error & { code?: number | string }) | undefined | null): Outcome | undefined {
  if (!error) return { is: 'sent' };
  if (typeof error.code !== 'number') return undefined;
  const reason = reasonText(error.code);
  if (LATER.has(error.code)) return { is: 'retry', reason };
  return { is: UNCLEAR.has(error.code) ? 'unclear' : 'rejected', reason };
}

/** Bytes of a PUBLISH at QoS 1 without properties (MQTT 5 §3.3): topic with its length, packet id, no properties, payload, behind a head. */
function packetSize(topic: string, payload: string): number {
  const rest = 2 + Buffer.byteLength(topic) + 2 + 1 + Buffer.byteLength(payload);
  const lengthBytes = rest < 128 ? 1 : rest < 16_384 ? 2 : rest < 2_097_152 ? 3 : 4;
  return 1 + lengthBytes + rest;
}
