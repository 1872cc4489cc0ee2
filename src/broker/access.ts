/** Who is in, and what each of them may do. Clients within the process may do everything. */
import { isDeepStrictEqual } from 'node:util';
import type { AuthenticateError, Client, PublishPacket, Subscription } from 'aedes';
import { type BrokerConfig, isTopicFilter } from '../config/broker.js';
import type { LiveStore } from './live-store.js';
import type { RefusalKind } from './refusals.js';
import { mayRead, mayWrite } from './rights.js';
import { openSignIn, userOf } from './sign-in.js';
import type { Wire } from './wire.js';

/** What decisions are taken from. */
export interface AccessOptions {
  /** What is configured now. */
  config(): BrokerConfig;
  readonly store: LiveStore;
  tell(kind: RefusalKind, wire: Wire, message: string): void;
  /** Whether a client within the process has this id. */
  isInside(clientId: string): boolean;
}

/** Takes decisions, and tells of those that refuse. */
export interface Access {
  /** Clients that have signed in. */
  readonly clients: ReadonlySet<Wire>;
  /** Lets a client in, or gives what to refuse it with. */
  enter(client: Client, wire: Wire, name?: string, password?: Buffer): Promise<AuthenticateError | null>;
  /** Whether a client may subscribe. */
  reads(wire: Wire, subscription: Subscription): boolean;
  /** Changes a message into what a client may publish: the message, the message not retained, or nothing at all. */
  restrict(wire: Wire, packet: PublishPacket): void;
  /** Goes by what is configured now: clients whose user is gone or differs are cut. */
  review(): void;
}

/** Where messages go that their sender may not publish: no filter of a client reaches it. */
const NOWHERE = '$refused';
/** Subscriptions that one client may have, and characters of the longest. */
const SUBSCRIPTIONS = 1_000;
const LONGEST_FILTER = 1_000;
/** CONNACK return codes (MQTT 3.1.1 §3.2.2.3). */
const IDENTIFIER_REJECTED = 2;
const UNAVAILABLE = 3;
const NOT_AUTHORIZED = 5;

/** Starts with nobody in. */
export function openAccess({ config, store, tell, isInside }: AccessOptions): Access {
  const clients = new Set<Wire>();
  const signIn = openSignIn(config);

  return {
    clients,
    async enter(client, wire, name, password) {
      const refuse = (kind: RefusalKind, returnCode: number, message: string): AuthenticateError => {
        tell(kind, wire, message);
        return Object.assign(new Error(message), { returnCode });
      };
      const verdict = await signIn.check(wire, name, password);
      if ('refused' in verdict) return refuse('sign-in', NOT_AUTHORIZED, verdict.refused);
      // Who has the same id is replaced (MQTT 3.1.1 §3.1.4): a user by itself, but not by others.
      const former = [...clients].find(({ clientId }) => clientId === client.id);
      if (isInside(client.id) || (former && former.user?.name !== verdict.user.name))
        return refuse('sign-in', IDENTIFIER_REJECTED, 'gave the client id of another user');
      const { clients: most } = config().limits;
      if (!former && clients.size >= most) return refuse('connect', UNAVAILABLE, `there are ${most} clients already`);
      wire.clientId = client.id;
      wire.user = verdict.user;
      if (!wire.destroyed) {
        clients.add(wire);
        wire.on('close', () => clients.delete(wire));
      }
      return null;
    },
    reads(wire, { topic: filter, qos }) {
      const reason = whyNotRead(wire, filter);
      if (reason === undefined) wire.subscriptions.set(filter, qos);
      else tell('read', wire, reason);
      return reason === undefined;
    },
    restrict(wire, packet) {
      if (!wire.user || !mayWrite(wire.user.account, packet.topic)) {
        tell('write', wire, `may not publish to ${packet.topic}`);
        // It is acknowledged all the same (MQTT 3.1.1 §3.3.5).
        Object.assign(packet, { topic: NOWHERE, payload: '', retain: false });
      } else if (packet.retain) {
        // Now, and not when the library comes to it: it lets all that comes at once through to here before.
        if (!store.retain(packet, config().limits.retained))
          tell('retained', wire, `no room to retain more topics: ${packet.topic} is passed on, not retained`);
        packet.retain = false;
      }
    },
    review() {
      for (const wire of clients) {
        const { name, account: before } = wire.user ?? {};
        const account = name === undefined ? config().anonymous : userOf(config(), name);
        const same = account !== undefined && isDeepStrictEqual(account, before);
        // Without a user not even its last will is published.
        wire.user = same ? { ...wire.user, account } : undefined;
        if (!same) wire.destroy();
      }
    },
  };
}

function whyNotRead({ user, subscriptions }: Wire, filter: string): string | undefined {
  if (!user || !mayRead(user.account, filter)) return `may not subscribe to ${filter}`;
  if (!isTopicFilter(filter)) return `may not subscribe to ${filter}, which is no topic filter`;
  if (filter.length > LONGEST_FILTER) return `may not subscribe to more than ${LONGEST_FILTER} characters`;
  if (subscriptions.size >= SUBSCRIPTIONS && !subscriptions.has(filter))
    return `has ${SUBSCRIPTIONS} subscriptions already`;
  return undefined;
}
