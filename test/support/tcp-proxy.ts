/** A TCP proxy that is a bad network: it cuts connections after so many bytes, or lets bytes vanish in one direction or both. */
import { EventEmitter, once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** From the client, or to it. */
export type Way = 'up' | 'down';

/** After how many bytes a connection is cut, by direction. */
export type Cut = { readonly [way in Way]?: number };

/** Stands between a client and a server of the loopback. */
export class TcpProxy extends EventEmitter {
  /** Counts connections. */
  connections = 0;
  readonly #server: Server;
  /** Each pair of sockets, and the ways that are dead in it. */
  readonly #pairs = new Map<Socket, Set<Way>>();
  readonly #cut: (connection: number) => Cut;

  private constructor(server: Server, target: number, cut: (connection: number) => Cut) {
    super();
    this.#server = server;
    this.#cut = cut;
    server.on('connection', (client) => this.#join(client, connect(target, '127.0.0.1')));
  }

  /** @param cut says of each connection, counted from 1, after how many bytes it breaks */
  static async to(target: number, cut: (connection: number) => Cut = () => ({})): Promise<TcpProxy> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new TcpProxy(server, target, cut);
  }

  get url(): string {
    return `mqtt://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** From now on nothing passes these ways of the connections that there are; nobody is told. New connections are whole. */
  swallow(...ways: Way[]): void {
    for (const dead of this.#pairs.values()) for (const way of ways) dead.add(way);
  }

  stop(): void {
    this.#server.close();
    for (const client of this.#pairs.keys()) client.destroy();
  }

  #join(client: Socket, server: Socket): void {
    const cut = this.#cut(++this.connections);
    const dead = new Set<Way>();
    this.#pairs.set(client, dead);
    this.emit('connection');
    const carry = (way: Way, from: Socket, to: Socket): void => {
      let left = cut[way] ?? Number.POSITIVE_INFINITY;
      from.on('data', (chunk) => {
        if (dead.has(way) || left <= 0) return;
        to.write(chunk.subarray(0, left));
        left -= chunk.length;
        // Ended, not destroyed: what was let through arrives.
        if (left <= 0) for (const socket of [from, to]) socket.end();
      });
      from.on('error', () => undefined);
      from.on('close', () => {
        this.#pairs.delete(client);
        if (!dead.has(way)) to.destroy();
      });
    };
    carry('up', client, server);
    carry('down', server, client);
  }
}
