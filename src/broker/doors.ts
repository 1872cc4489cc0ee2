/** All ports of the broker, and who may come in by them: not too often from one address, not too many at once. */
import type { Socket } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import type { BrokerConfig, TlsConfig } from '../config/broker.js';
import { placeOf } from '../config/broker.js';
import { type Door, type Listener, openListener } from './listener.js';
import type { Wire } from './wire.js';

/** Who is told of those that come in. */
export interface Hall {
  /** Takes over a connection. */
  enter(socket: Socket): Wire;
  /** Somebody was turned away. */
  refuse(address: string, message: string): void;
  /** How many clients have signed in. */
  signedIn(): number;
}

/** The ports. */
export interface Doors {
  /** Where they are, with the ports that they have. */
  places(): string[];
  /**
   * Goes by another configuration: a port that differs is opened, and the former one closed with its clients; a renewed certificate
   * is shown to whoever connects from now on.
   * @throws TidegateError BROKER_LISTEN; then nothing has changed
   */
  use(config: BrokerConfig): Promise<void>;
  /** Closes them, and all that came in. */
  close(): Promise<void>;
}

/** An open port, and what came in by it. */
interface Open {
  readonly listener: Listener;
  readonly sockets: Set<Socket>;
}

/** Connections that have not signed in, at once. */
const STRANGERS = 64;
/** Seconds of connections that may come at once. */
const BURST = 5;
/** How many addresses are told apart. */
const ADDRESSES = 1_000;

/** @throws TidegateError BROKER_LISTEN; then none is open */
export async function openDoors(first: BrokerConfig, hall: Hall): Promise<Doors> {
  let config = first;
  let open: Open[] = [];
  const rates = new Map<string, { left: number; at: number }>();

  function admits(socket: Socket): boolean {
    const address = socket.remoteAddress ?? '';
    const strangers = open.reduce((sum, { sockets }) => sum + sockets.size, 0) - hall.signedIn();
    const turnedAway = !isInRate(address)
      ? `connects more than ${config.limits.connects} times per second`
      : strangers >= STRANGERS
        ? `${STRANGERS} connections have not signed in yet`
        : undefined;
    if (turnedAway !== undefined) hall.refuse(address, turnedAway);
    return turnedAway === undefined;
  }

  function isInRate(address: string): boolean {
    const { connects } = config.limits;
    const most = Math.max(connects * BURST, 1);
    const now = performance.now();
    const rate = rates.get(address) ?? { left: most, at: now };
    rate.left = Math.min(rate.left + ((now - rate.at) * connects) / 1_000, most);
    rate.at = now;
    if (rates.size >= ADDRESSES && !rates.has(address)) rates.delete(rates.keys().next().value as string);
    rates.set(address, rate);
    if (rate.left < 1) return false;
    rate.left--;
    return true;
  }

  async function openOne(place: string, tls: TlsConfig | undefined): Promise<Open> {
    const sockets = new Set<Socket>();
    const door: Door = {
      admits(socket) {
        if (!admits(socket)) return false;
        sockets.add(socket);
        socket.on('close', () => sockets.delete(socket));
        return true;
      },
      enter: (socket) => void hall.enter(socket),
      failed: (socket, reason) => hall.refuse(socket.remoteAddress ?? '', `no TLS: ${reason}`),
    };
    return { listener: await openListener(place, tls, door), sockets };
  }

  async function use(next: BrokerConfig): Promise<void> {
    const wanted = [
      { place: next.listen, tls: undefined },
      ...(next.tls ? [{ place: next.tls.listen, tls: next.tls }] : []),
    ];
    const kept: Open[] = [];
    const opened: Open[] = [];
    const closed: Open[] = [];
    try {
      for (const { place, tls } of wanted) {
        const known = open.find(
          ({ listener }) => listener.place === place && (listener.tls === undefined) === (tls === undefined),
        );
        if (known) {
          if (tls && !isDeepStrictEqual(known.listener.tls, tls)) known.listener.renew(tls);
          kept.push(known);
          continue;
        }
        // The same port at another address cannot be had before the former is given back.
        for (const other of open)
          if (placeOf(other.listener.place)?.port === placeOf(place)?.port && !closed.includes(other)) {
            closed.push(other);
            await other.listener.close();
          }
        opened.push(await openOne(place, tls));
      }
    } catch (error) {
      await Promise.all(opened.map(shut));
      for (const { listener, sockets } of closed) {
        const again = await openOne(listener.place, listener.tls);
        for (const socket of sockets) again.sockets.add(socket);
        open = open.map((one) => (one.listener === listener ? again : one));
      }
      throw error;
    }
    const gone = open.filter((one) => !kept.includes(one));
    open = [...kept, ...opened];
    config = next;
    await Promise.all(gone.map(shut));
  }

  await use(first);
  return {
    places: () =>
      open.map(({ listener }) => `${placeOf(listener.place)?.host}:${listener.port}${listener.tls ? ' (TLS)' : ''}`),
    use,
    close: async () => void (await Promise.all(open.splice(0).map(shut))),
  };
}

async function shut({ listener, sockets }: Open): Promise<void> {
  const closed = listener.close();
  for (const socket of sockets) socket.destroy();
  await closed;
}
