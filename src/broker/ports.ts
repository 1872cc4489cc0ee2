/** All ports of the broker, as the configuration has them. */
import { isDeepStrictEqual } from 'node:util';
import { type BrokerConfig, placeOf } from '../config/broker.js';
import { type ConnectionHandler, type Listener, openListener } from './listener.js';

/** The ports. */
export interface Ports {
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

/** @throws TidegateError BROKER_LISTEN; then none is open */
export async function openPorts(first: BrokerConfig, handler: ConnectionHandler): Promise<Ports> {
  let listeners: Listener[] = [];

  async function use({ listen, tls }: BrokerConfig): Promise<void> {
    const wanted = [{ place: listen, tls: undefined }, ...(tls ? [{ place: tls.listen, tls }] : [])];
    const open = (port: Pick<Listener, 'place' | 'tls'>): Listener | undefined =>
      listeners.find(({ place, tls }) => place === port.place && !tls === !port.tls);
    const kept = wanted.flatMap((port) => open(port) ?? []);
    const former = listeners.filter((listener) => !kept.includes(listener));
    const opened: Listener[] = [];
    const paused: Listener[] = [];
    try {
      for (const { place, tls } of wanted.filter((port) => !open(port))) {
        // A port number cannot be had at another address before it is given back.
        for (const listener of former)
          if (!paused.includes(listener) && sameNumber(listener.place, place)) {
            listener.pause();
            paused.push(listener);
          }
        opened.push(await openListener(place, tls, handler));
      }
      for (const listener of kept)
        if (tls && listener.tls && !isDeepStrictEqual(listener.tls, tls)) listener.renew(tls);
    } catch (error) {
      for (const listener of opened) listener.close();
      for (const listener of paused) await listener.resume();
      throw error;
    }
    for (const listener of former) listener.close();
    listeners = [...kept, ...opened];
  }

  await use(first);
  return {
    places: () => listeners.map(({ place, port, tls }) => `${hostOf(place)}:${port}${tls ? ' (TLS)' : ''}`),
    use,
    close() {
      for (const listener of listeners.splice(0)) listener.close();
    },
  };
}

function sameNumber(a: string, b: string): boolean {
  const number = placeOf(a)?.port;
  return number !== 0 && number === placeOf(b)?.port;
}

function hostOf(place: string): string {
  return place.slice(0, place.lastIndexOf(':'));
}
