/** An aedes broker on a free loopback port, as devices on site use it, and the devices' side of it without a connection. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Aedes, AedesOptions } from 'aedes';
import { createAedes } from '../../src/aedes.js';

/** A message that came from a client. */
export interface Published {
  readonly topic: string;
  readonly payload: string;
  readonly qos: number;
  readonly retain: boolean;
}

export class FieldBroker {
  readonly port: number;
  readonly aedes: Aedes;
  /** What clients published. */
  readonly published: Published[] = [];
  /** Topics that clients subscribed to, those that ended included. */
  readonly subscribed: string[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  static async start(options: AedesOptions = {}): Promise<FieldBroker> {
    const aedes = await createAedes(options);
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new FieldBroker(aedes, server);
  }

  private constructor(aedes: Aedes, server: Server) {
    this.aedes = aedes;
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket)).on('error', () => {});
      aedes.handle(socket);
    });
    aedes.on('subscribe', (subscriptions) => {
      this.subscribed.push(...subscriptions.map(({ topic }) => topic));
    });
    aedes.on('publish', ({ topic, payload, qos, retain }, client) => {
      if (client) this.published.push({ topic, payload: payload.toString(), qos, retain });
    });
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.port}`;
  }

  /** A device says something; kept by the broker unless told otherwise. */
  publish(topic: string, payload: string | Buffer | object, retain = true): void {
    const bytes = typeof payload === 'string' || Buffer.isBuffer(payload) ? payload : JSON.stringify(payload);
    this.aedes.publish({ cmd: 'publish', topic, payload: bytes, qos: 0, retain, dup: false }, () => {});
  }

  /** A device listens to orders. */
  on(topic: string, take: (payload: string) => void): Promise<void> {
    const heard = ({ payload }: { payload: Buffer | string }, done: () => void): void => {
      take(payload.toString());
      done();
    };
    return new Promise((resolve) => this.aedes.subscribe(topic, heard, () => resolve()));
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (this.#server.listening) {
      this.#server.close();
      await once(this.#server, 'close');
    }
    if (!this.aedes.closed) await new Promise<void>((resolve) => this.aedes.close(() => resolve()));
  }
}
