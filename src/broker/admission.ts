/** Who may connect: not too often from one address, and not too many at once that have not signed in yet. */
import type { Socket } from 'node:net';
import type { BrokerConfig } from '../config/broker.js';
import { Allowance } from './allowance.js';

/** Keeps account of connections. */
export interface Admission {
  /** Whether a connection may stay; if not, it was told why. */
  admits(socket: Socket): boolean;
  /** The client of a connection has signed in. */
  signedIn(socket: Socket): void;
  /** Goes by what is configured now. */
  review(): void;
}

/** Connections that have not signed in, at once. */
const STRANGERS = 64;
/** Seconds of connections that may come at once. */
const BURST = 5;
/** How many addresses are told apart. */
const ADDRESSES = 1_000;

/** Starts with nobody there. */
export function openAdmission(
  config: () => BrokerConfig,
  refuse: (address: string, message: string) => void,
): Admission {
  const rates = new Map<string, Allowance>();
  /** Connections that have not signed in, the first to come first. */
  const strangers = new Map<string, { readonly address: string; readonly socket: Socket }>();

  function isInRate(address: string): boolean {
    const { connects } = config().limits;
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

  /** Makes room for another stranger: who lets its connections hang keeps nobody else out. */
  function makesRoom(address: string): boolean {
    if (strangers.size < STRANGERS) return true;
    const crowds = new Map<string, string[]>();
    for (const [name, stranger] of strangers)
      crowds.set(stranger.address, [...(crowds.get(stranger.address) ?? []), name]);
    const [crowd = []] = [...crowds.values()].sort((a, b) => b.length - a.length);
    const [oldest = ''] = crowd;
    const evicted = crowd.length > (crowds.get(address)?.length ?? 0) + 1 ? strangers.get(oldest) : undefined;
    refuse(evicted?.address ?? address, `${STRANGERS} connections have not signed in yet`);
    if (!evicted) return false;
    evicted.socket.destroy();
    return strangers.delete(oldest);
  }

  return {
    admits(socket) {
      const address = socket.remoteAddress ?? '';
      if (!isInRate(address)) refuse(address, `connects more than ${config().limits.connects} times per second`);
      else if (makesRoom(address)) {
        const name = nameOf(socket);
        strangers.set(name, { address, socket });
        socket.on('close', () => strangers.delete(name));
        return true;
      }
      return false;
    },
    signedIn: (socket) => void strangers.delete(nameOf(socket)),
    review: () => rates.clear(),
  };
}

/** What tells a connection from all others, also when there is TLS around it. */
function nameOf({ remoteAddress, remotePort, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localPort}`;
}
