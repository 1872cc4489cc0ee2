/** The broker itself: aedes (MQTT 3.1.1) with users, rights and limits around it. Loaded only when `gateway.yaml` has one. */
import type { Duplex } from 'node:stream';
import type { Client } from 'aedes';
import type { Logger } from 'pino';
import { createAedes } from '../aedes.js';
import type { BrokerConfig } from '../config/broker.js';
import { messageOf } from '../errors.js';
import { openAccess } from './access.js';
import { openAdmission } from './admission.js';
import { duplexPair } from './duplex-pair.js';
import { LiveStore } from './live-store.js';
import { openPorts, type Ports } from './ports.js';
import { openRefusals, type RefusalKind } from './refusals.js';
import { isTopic } from './rights.js';
import { Wire } from './wire.js';

/** How the broker stands. */
export interface BrokerStatus {
  /** Where it listens. */
  readonly listening: readonly string[];
  /** Clients that have signed in. */
  readonly clients: number;
  /** Retained messages, those of the gateway included. */
  readonly retained: number;
  /** What was refused or cut since the start, by kind; see docs/broker.md. */
  readonly refused: Readonly<Partial<Record<RefusalKind, number>>>;
}

/** A running broker. */
export interface Broker {
  /** A connection within the process, with all rights. */
  connect(): Duplex;
  /** Publishes a retained message; an empty payload clears the topic. */
  retain(topic: string, payload: string): void;
  /**
   * Goes by another configuration. Clients whose user is gone or differs are cut, and those of a port that is closed.
   * @throws TidegateError BROKER_LISTEN; then nothing has changed
   */
  use(config: BrokerConfig): Promise<void>;
  status(): BrokerStatus;
  /** Cuts all clients, closes the ports. Never rejects. */
  close(): Promise<void>;
}

/** QoS 2 messages that one client may leave unreleased. */
const UNRELEASED = 100;
/** Longest wait, in milliseconds, for a connection within the process that is not read. */
const DRAIN = 60_000;
/** What a network does by itself. */
const ORDINARY = /^(connection closed|read ECONNRESET|write EPIPE|premature close)$/i;

/**
 * Opens the broker.
 * @throws TidegateError BROKER_LISTEN
 */
export async function openBroker(first: BrokerConfig, log: Logger): Promise<Broker> {
  let config = first;
  const refusals = openRefusals(log);
  const store = new LiveStore();
  /** Ids of clients within the process. */
  const inside = new Set<string>();
  const tell = (kind: RefusalKind, wire: Wire, message: string): void =>
    refusals.tell(kind, { address: wire.address, client: wire.clientId, user: wire.user?.name }, message);
  const access = openAccess({ config: () => config, store, tell, isInside: (id) => inside.has(id) });

  const aedes = await createAedes({
    // Without a limit here nobody waits for anybody: each connection has its own.
    concurrency: 0,
    connectTimeout: first.limits.connect_within,
    drainTimeout: DRAIN,
    maxInflightInbound: UNRELEASED,
    persistence: store,
    preConnect(client, packet, done) {
      const wire = wireOf(client);
      if (wire) {
        wire.clientId = packet.clientId;
        if (Number(packet.protocolVersion) > 4)
          tell('protocol', wire, `speaks MQTT ${packet.protocolVersion}; this broker speaks 3.1.1`);
      }
      // No session outlives its connection: CONNACK says that there is none (§3.2.2.2).
      packet.clean = true;
      const { will } = packet;
      const fit = will === undefined || (isTopic(will.topic) && (will.qos ?? 0) <= 2);
      done(fit ? null : new Error('has a last will of no topic, or no QoS (MQTT 3.1.1 §3.1.3.2)'), fit);
    },
    authenticate(client, name, password, done) {
      const wire = wireOf(client);
      if (!wire) done(null, true);
      // A promise that fails is nobody's but the client's: see Wire.own.
      else void access.enter(client, wire, name, password).then((failure) => done(failure, failure === null));
    },
    authorizePublish(client, packet, done) {
      const wire = client && wireOf(client);
      const fit = isTopic(packet.topic);
      if (wire && fit) access.restrict(wire, packet);
      done(fit ? null : new Error('sent a topic that is none (MQTT 3.1.1 §4.7)'));
    },
    authorizeSubscribe(client, subscription, done) {
      const wire = wireOf(client);
      done(null, !wire || access.reads(wire, subscription) ? subscription : null);
    },
    authorizeForward(client, packet) {
      wireOf(client)?.expect(packet);
      return packet;
    },
  });
  aedes.on('clientReady', (client) => wireOf(client)?.admit());
  aedes.on('client', (client) => wireOf(client) ?? inside.add(client.id));
  aedes.on('clientDisconnect', (client) => wireOf(client) ?? inside.delete(client.id));
  aedes.on('subscribe', (_, client) => {
    store.reader = wireOf(client);
  });
  aedes.on('unsubscribe', (filters, client) => {
    for (const filter of filters) wireOf(client)?.subscriptions.delete(filter);
  });
  const failed = (client: Client, error: Error): void => {
    const wire = wireOf(client);
    const reason = messageOf(error);
    if (wire && !('errorCode' in error) && !ORDINARY.test(reason)) tell('protocol', wire, reason);
  };
  aedes.on('clientError', failed);
  aedes.on('connectionError', failed);

  const refuse = (address: string, message: string): void => refusals.tell('connect', { address }, message);
  const admission = openAdmission(() => config, refuse);
  let ports: Ports;
  try {
    ports = await openPorts(config, {
      admits: admission.admits,
      connected(socket) {
        const wire = new Wire(socket, config.limits, { tell, signedIn: () => admission.signedIn(socket) });
        wire.own(() => aedes.handle(wire));
      },
      failed: refuse,
    });
  } catch (error) {
    await closeAedes();
    throw error;
  }
  log.info({ listening: ports.places() }, 'the local broker listens');

  function closeAedes(): Promise<void> {
    return new Promise((resolve) => aedes.close(() => resolve()));
  }

  return {
    connect() {
      const [ours, theirs] = duplexPair();
      aedes.handle(ours);
      return theirs;
    },
    retain(topic, payload) {
      aedes.publish({ cmd: 'publish', topic, payload, qos: 0, retain: true, dup: false }, () => {});
    },
    async use(next) {
      await ports.use(next);
      config = next;
      Object.assign(aedes, { connectTimeout: next.limits.connect_within });
      admission.review();
      access.review();
    },
    status: () => ({
      listening: ports.places(),
      clients: access.clients.size,
      retained: store.retained,
      refused: refusals.counts,
    }),
    async close() {
      ports.close();
      await closeAedes();
    },
  };
}

function wireOf({ conn }: Client): Wire | undefined {
  return conn instanceof Wire ? conn : undefined;
}
