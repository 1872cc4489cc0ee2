/** All ports of the broker, and who may come in by them: not too often from one address, not too many at once. */
import type { Socket } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import { type BrokerConfig, placeOf, type TlsConfig } from '../config/broker.js';
import { Allowance } from './allowance.js';
import { type Door, type Listener, openListener } from './listener.js';

/** Who is told of those that come in. */
export interface Hall {
  /** Takes over a connection. `admitted` is to be called when its client has signed in. */
  enter(socket: Socket, admitted: () => void): void;
  /** Somebody was turned away. */
  refuse(address: string, message: string): void;
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
  close(): void;
}

/** An open port, and what came in by it. */
interface Port {
  readonly place: string;
  readonly door: Door;
  readonly sockets: Set<Socket>;
  listener: Listener;
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
  let ports: Port[] = [];
  const rates = new Map<string, Allowance>();
  /** Connections that have not signed in, the first to come first. */
  const strangers = new Map<string, { readonly address: string; readonly socket: Socket }>();

  function admits(socket: Socket): boolean {
    const address = socket.remoteAddress ?? '';
    if (!isInRate(address)) hall.refuse(address, `connects more than ${config.limits.connects} times per second`);
    else if (makesRoom(address)) {
      const name = nameOf(socket);
      strangers.set(name, { address, socket });
      socket.on('close', () => strangers.delete(name));
      return true;
    }
    return false;
  }

  /** Makes room for another stranger: who lets its connections hang keeps nobody else out. */
  function makesRoom(address: string): boolean {
    if (strangers.size < STRANGERS) return true;
    const crowds = new Map<string, string[]>();
    for (const [name, stranger] of strangers) {
      const crowd = crowds.get(stranger.address) ?? [];
      crowds.set(stranger.address, crowd);
      crowd.push(name);
    }
    const [crowd = []] = [...crowds.values()].sort((a, b) => b.length - a.length);
    const [oldest = ''] = crowd;
    const evicted = crowd.length > (crowds.get(address)?.length ?? 0) + 1 ? strangers.get(oldest) : undefined;
    hall.refuse(evicted?.address ?? address, `${STRANGERS} connections have not signed in yet`);
    if (!evicted) return false;
    evicted.socket.destroy();
    return strangers.delete(oldest);
  }

  function isInRate(address: string): boolean {
    const { connects } = config.limits;
    let rate = rates.get(address);
    if (!rate) {
      if (rates.size >= ADDRESSES) rates.delete(rates.keys().next().value as string);
      rate = new Allowance(connects, Math.max(connects * BURST, 1));
      rates.set(address, rate);
    }
    if (rate.left < 1) return false;
    rate.spend(1);
    return true;
  }

  async function openPort(place: string, tls: TlsConfig | undefined): Promise<Port> {
    const sockets = new Set<Socket>();
    const door: Door = {
      admits(socket) {
        if (!admits(socket)) return false;
        sockets.add(socket);
        socket.on('close', () => sockets.delete(socket));
        return true;
      },
      enter(socket) {
        const name = nameOf(socket);
        hall.enter(socket, () => strangers.delete(name));
      },
      failed: (socket, reason) => hall.refuse(socket.remoteAddress ?? '', `no TLS: ${reason}`),
    };
    return { place, door, sockets, listener: await openListener(place, tls, door) };
  }

  async function use(next: BrokerConfig): Promise<void> {
    const wanted = [
      { place: next.listen, tls: undefined },
      ...(next.tls ? [{ place: next.tls.listen, tls: next.tls }] : []),
    ];
    const open = ({ place, tls }: Pick<Listener, 'tls'> & { place: string }): Port | undefined =>
      ports.find((port) => port.place === place && !port.listener.tls === !tls);
    const kept = wanted.flatMap((port) => open(port) ?? []);
    const opened: Port[] = [];
    const lent: Port[] = [];
    try {
      for (const { place, tls } of wanted.filter((port) => !open(port))) {
        // A port number cannot be had at another address before the former is given back.
        const former = ports.filter((port) => ![...kept, ...lent].includes(port) && sameNumber(port.place, place));
        for (const { listener } of former) listener.close();
        lent.push(...former);
        opened.push(await openPort(place, tls));
      }
      for (const { listener } of kept)
        if (next.tls && listener.tls && !isDeepStrictEqual(listener.tls, next.tls)) listener.renew(next.tls);
    } catch (error) {
      opened.forEach(shut);
      for (const port of lent) port.listener = await openListener(port.place, port.listener.tls, port.door);
      throw error;
    }
    for (const port of ports) if (!kept.includes(port)) shut(port);
    ports = [...kept, ...opened];
    config = next;
    rates.clear();
  }

  await use(first);
  return {
    places: () =>
      ports.map(({ place, listener }) => `${hostOf(place)}:${listener.port}${listener.tls ? ' (TLS)' : ''}`),
    use,
    close: () => ports.splice(0).forEach(shut),
  };
}

/** What tells a connection from all others, also when there is TLS around it. */
function nameOf({ remoteAddress, remotePort, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localPort}`;
}

function sameNumber(a: string, b: string): boolean {
  const number = placeOf(a)?.port;
  return number !== 0 && number === placeOf(b)?.port;
}

function hostOf(place: string): string {
  return place.slice(0, place.lastIndexOf(':'));
}

function shut({ listener, sockets }: Port): void {
  listener.close();
  for (const socket of sockets) socket.destroy();
}
