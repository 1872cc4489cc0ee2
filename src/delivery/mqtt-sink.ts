/**
 * MQTT 3.1.1 and 5 as a sink, on the `mqtt` package used as a bare transport: a new client for each connection, no queue, no
 * reconnecting, no resending of its own. Birth and last will are retained on the status topic.
 */
import { readFileSync } from 'node:fs';
import type { IClientOptions, MqttClient } from 'mqtt';
import type { Logger } from 'pino';
import type { UpstreamConfig } from '../config/schema.js';
import type { ErrorCode } from '../errors.js';
import { loadMqtt } from './mqtt-library.js';
import type { Outcome, Sink, SinkEvents } from './sink.js';

type ProtocolVersion = 4 | 5;

/** CONNACK codes that say "not this protocol version": MQTT 3.1.1 §3.2.2.3 and MQTT 5 §3.2.2.2. */
const WRONG_VERSION = new Set([0x01, 0x84]);
/** PUBACK reasons that may pass later (MQTT 5 §3.4.2.1): implementation specific, packet id in use, quota exceeded; and server busy. */
const LATER = new Set([0x83, 0x89, 0x91, 0x97]);
/** Milliseconds for a clean goodbye. */
const GOODBYE = 1_000;

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
  #maximumPacketSize = Number.POSITIVE_INFINITY;
  #up = false;
  #closed = false;
  #failures = 0;
  readonly #options: MqttSinkOptions;

  constructor(options: MqttSinkOptions) {
    this.#options = options;
    this.#version = options.config.version === '3.1.1' ? 4 : 5;
  }

  start(events: SinkEvents): void {
    this.#events = events;
    void this.#connect();
  }

  publish(topic: string, payload: string, settled: (outcome: Outcome) => void): void {
    const client = this.#client;
    if (!client) return;
    // 3 bytes per UTF-16 unit at most: only a message that could be too large is measured.
    if (payload.length * 3 > this.#maximumPacketSize) {
      const size = Buffer.byteLength(payload) + Buffer.byteLength(topic) + 16;
      if (size > this.#maximumPacketSize) {
        const reason = `packet of ${size} bytes, the broker takes ${this.#maximumPacketSize}`;
        queueMicrotask(() => settled({ is: 'rejected', reason }));
        return;
      }
    }
    client.publish(topic, payload, { qos: 1 }, (error) => {
      const outcome = outcomeOf(error);
      if (outcome && client === this.#client) settled(outcome);
    });
  }

  reset(reason: string): void {
    if (this.#client) this.#lost(this.#client, reason);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    const client = this.#client;
    this.#client = undefined;
    if (!client) return;
    if (this.#up)
      await within(GOODBYE, (done) =>
        client.publish(this.#options.statusTopic, status('offline'), { qos: 1, retain: true }, done),
      );
    await within(GOODBYE, (done) => client.end(!this.#up, {}, done));
    client.end(true);
  }

  async #connect(): Promise<void> {
    const { config, log } = this.#options;
    let client: MqttClient;
    try {
      const { connect } = await loadMqtt();
      if (this.#closed) return;
      client = connect(config.url, this.#clientOptions());
    } catch (error) {
      this.#later((error as Error).message);
      return;
    }
    this.#client = client;
    let reason = 'the broker closed the connection';
    client.on('connect', ({ properties }) => {
      if (client !== this.#client) return;
      this.#failures = 0;
      this.#up = true;
      this.#maximumPacketSize = properties?.maximumPacketSize ?? Number.POSITIVE_INFINITY;
      log.info({ url: config.url, mqtt: this.#version === 5 ? '5' : '3.1.1' }, 'connected');
      // Only a broker that also takes something ends the growing of pauses.
      client.publish(this.#options.statusTopic, status('online'), { qos: 1, retain: true }, (error) => {
        if (!error) this.#attempts = 0;
      });
      this.#events?.online(Math.min(config.in_flight, properties?.receiveMaximum ?? 65_535));
    });
    client.on('disconnect', (packet) => {
      reason = `the broker disconnected: reason 0x${(packet.reasonCode ?? 0).toString(16)}`;
    });
    client.on('error', (error) => {
      reason = wordsOf(error);
      if (
        config.version === 'auto' &&
        this.#version === 5 &&
        WRONG_VERSION.has((error as { code?: number }).code ?? -1)
      ) {
        log.info('the broker does not speak MQTT 5; using 3.1.1');
        this.#version = 4;
        this.#attempts = -1;
      }
      this.#lost(client, reason);
    });
    client.on('close', () => this.#lost(client, reason));
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
      reconnectPeriod: 0,
      queueQoSZero: false,
      resubscribe: false,
      will: { topic: statusTopic, payload: Buffer.from(status('offline')), qos: 1, retain: true },
    };
  }

  /** Ends one connection, once, and plans the next. */
  #lost(client: MqttClient, reason: string): void {
    if (client !== this.#client) return;
    this.#client = undefined;
    this.#up = false;
    client.end(true);
    this.#later(reason);
  }

  #later(reason: string): void {
    const { config, log } = this.#options;
    if (this.#closed) return;
    const ceiling = Math.min(config.reconnect.max, config.reconnect.min * 2 ** Math.max(0, this.#attempts));
    const pause = this.#attempts < 0 ? 0 : ceiling * (0.5 + Math.random() / 2);
    this.#attempts++;
    if (this.#failures++ === 0) {
      const code: ErrorCode = 'UPSTREAM_DOWN';
      log.warn({ code, reason }, 'not connected; events are kept, and Tidegate keeps trying');
    }
    this.#events?.offline(reason);
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
  const words = wordsOf(error).replace('Publish error: ', '').toLowerCase();
  return { is: LATER.has(error.code) ? 'retry' : 'rejected', reason: `reason code ${error.code}, ${words}` };
}

/** An error's words; connection errors of several addresses carry theirs inside. */
function wordsOf(error: Error): string {
  const inner = error instanceof AggregateError ? (error.errors as Error[]).map((e) => e.message).join('; ') : '';
  return error.message || inner || (error as { code?: string }).code || error.name;
}
