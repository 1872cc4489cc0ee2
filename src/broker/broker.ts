/** The broker itself: aedes (MQTT 3.1.1) with users, rights and limits around it. Loaded only when `gateway.yaml` has one. */
import type { Duplex } from 'node:stream';
import { isDeepStrictEqual } from 'node:util';
import type { AuthenticateError, Client, PublishPacket, Subscription } from 'aedes';
import type { Logger } from 'pino';
import type { BrokerConfig } from '../config/broker.js';
import { messageOf } from '../errors.js';
import { loadAedes } from './aedes-library.js';
import { type Doors, openDoors } from './doors.js';
import { duplexPair } from './duplex-pair.js';
import { LiveStore } from './live-store.js';
import { openRefusals, type RefusalKind } from './refusals.js';
import { mayRead, mayWrite } from './rights.js';
import { openSignIn, userOf } from './sign-in.js';
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

/** Where messages go that their sender may not publish: no filter reaches it. */
const NOWHERE = '$refused';
/** QoS 2 messages that one client may leave unreleased. */
const UNRELEASED = 100;
/** Subscriptions that one client may have, and characters of the longest. */
const SUBSCRIPTIONS = 1_000;
const LONGEST_FILTER = 1_000;
/** Longest wait, in milliseconds, for a connection within the process that is not read. */
const DRAIN = 60_000;
/** CONNACK return codes (MQTT 3.1.1 §3.2.2.3). */
const IDENTIFIER_REJECTED = 2;
const UNAVAILABLE = 3;
const NOT_AUTHORIZED = 5;
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
  const signIn = openSignIn(() => config);
  const clients = new Set<Wire>();
  /** Ids of clients within the process. */
  const inside = new Set<string>();
  const tell = (kind: RefusalKind, wire: Wire, message: string): void =>
    refusals.tell(kind, { address: wire.address, client: wire.clientId, user: wire.user?.name }, message);

  const { Aedes } = await loadAedes();
  const aedes = new Aedes({
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
      done(null, true);
    },
    authenticate(client, name, password, done) {
      const wire = wireOf(client);
      if (wire) void enter(client, wire, name, password).then((failure) => done(failure, failure === null));
      else done(null, true);
    },
    authorizePublish(client, packet, done) {
      const wire = client && wireOf(client);
      if (wire) restrict(wire, packet);
      done(null);
    },
    authorizeSubscribe(client, subscription, done) {
      const wire = wireOf(client);
      done(null, !wire || reads(wire, subscription) ? subscription : null);
    },
  });
  aedes.on('clientReady', (client) => wireOf(client)?.admit());
  aedes.on('client', (client) => wireOf(client) ?? inside.add(client.id));
  aedes.on('clientDisconnect', (client) => wireOf(client) ?? inside.delete(client.id));
  aedes.on('subscribe', (_, client) => {
    store.reader = client;
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
  await aedes.listen();

  let doors: Doors;
  try {
    doors = await openDoors(config, {
      enter(socket) {
        const wire = new Wire(socket, config.limits, tell);
        wire.on('close', () => clients.delete(wire));
        aedes.handle(wire);
      },
      refuse: (address, message) => refusals.tell('connect', { address }, message),
      signedIn: () => clients.size,
    });
  } catch (error) {
    await closeAedes();
    throw error;
  }
  log.info({ listening: doors.places() }, 'the local broker listens');

  /** Lets a client in, or gives what to refuse it with. */
  async function enter(
    client: Client,
    wire: Wire,
    name: string | undefined,
    password: Buffer | undefined,
  ): Promise<AuthenticateError | null> {
    const verdict = await signIn.check(wire, name, password);
    const { clients: most } = config.limits;
    if ('refused' in verdict) return refuse('sign-in', NOT_AUTHORIZED, verdict.refused);
    if (clients.size >= most) return refuse('connect', UNAVAILABLE, `there are ${most} clients already`);
    // Who has the same id takes over (MQTT 3.1.1 §3.1.4-2): a user from itself, but not from others.
    wire.clientId = client.id;
    if (
      inside.has(client.id) ||
      [...clients].some((other) => other.clientId === client.id && other.user?.name !== verdict.user.name)
    )
      return refuse('sign-in', IDENTIFIER_REJECTED, 'gave the client id of another user');
    if (wire.destroyed) return Object.assign(new Error('connection closed'), { returnCode: UNAVAILABLE });
    wire.user = verdict.user;
    clients.add(wire);
    return null;

    function refuse(kind: RefusalKind, returnCode: number, message: string): AuthenticateError {
      tell(kind, wire, message);
      return Object.assign(new Error(message), { returnCode });
    }
  }

  /** A message without right to its topic goes nowhere, and is acknowledged all the same (MQTT 3.1.1 §3.3.5). */
  function restrict(wire: Wire, packet: PublishPacket): void {
    if (!wire.user || !mayWrite(wire.user.account, packet.topic)) {
      tell('write', wire, `may not publish to ${packet.topic}`);
      packet.topic = NOWHERE;
      packet.payload = '';
      packet.retain = false;
    } else if (packet.retain && !store.hasRoom(packet, config.limits.retained)) {
      tell('retained', wire, `no room to retain more topics: ${packet.topic} is passed on, not retained`);
      packet.retain = false;
    }
  }

  function reads(wire: Wire, { topic }: Subscription): boolean {
    const { subscriptions } = wire;
    const reason =
      !wire.user || !mayRead(wire.user.account, topic)
        ? `may not subscribe to ${topic}`
        : topic.length > LONGEST_FILTER
          ? `may not subscribe to a filter of more than ${LONGEST_FILTER} characters`
          : subscriptions.size >= SUBSCRIPTIONS && !subscriptions.has(topic)
            ? `has ${SUBSCRIPTIONS} subscriptions already`
            : undefined;
    if (reason === undefined) subscriptions.add(topic);
    else tell('read', wire, reason);
    return reason === undefined;
  }

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
      await doors.use(next);
      const before = config;
      config = next;
      Object.assign(aedes, { connectTimeout: next.limits.connect_within });
      for (const wire of clients) {
        const { name, account } = wire.user ?? {};
        const now = name === undefined ? next.anonymous : userOf(next, name);
        const was = name === undefined ? before.anonymous : account;
        if (now && isDeepStrictEqual(now, was))
          wire.user = name === undefined ? { account: now } : { name, account: now };
        else wire.destroy();
      }
    },
    status: () => ({
      listening: doors.places(),
      clients: clients.size,
      retained: store.retained,
      refused: refusals.counts,
    }),
    async close() {
      doors.close();
      await closeAedes();
    },
  };
}

function wireOf({ conn }: Client): Wire | undefined {
  return conn instanceof Wire ? conn : undefined;
}
