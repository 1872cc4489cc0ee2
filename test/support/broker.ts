/** An aedes broker on a free loopback port that records what it is sent, and that can go away and come back. */
import { EventEmitter, once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Aedes } from 'aedes';
import { createAedes } from '../../src/aedes.js';

/** One message as received. */
export interface Received {
  readonly topic: string;
  readonly payload: string;
  readonly retain: boolean;
}

/** A broker whose listener can be closed and opened again on the same port. */
export class TestBroker extends EventEmitter {
  readonly received: Received[] = [];
  port = 0;
  private broker: Aedes | undefined;
  private server: Server | undefined;
  private readonly sockets = new Set<Socket>();

  static async start(port = 0): Promise<TestBroker> {
    const broker = new TestBroker();
    await broker.up(port);
    return broker;
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.port}`;
  }

  /** Starts listening, on the port it had before if any. */
  async up(port = this.port): Promise<void> {
    const broker = await createAedes({
      // Here a message has arrived and is not yet acknowledged: aedes acknowledges before it emits `publish`, and may be closed in between.
      authorizePublish: (client, packet, done) => {
        if (client)
          this.received.push({ topic: packet.topic, payload: packet.payload.toString(), retain: packet.retain });
        done(null);
        this.emit('message');
      },
    });
    const server = createServer((socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
      broker.handle(socket);
    });
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    this.port = (server.address() as AddressInfo).port;
    this.broker = broker;
    this.server = server;
  }

  /** Stops listening and cuts every connection. */
  async down(): Promise<void> {
    const { server, broker } = this;
    if (!server || !broker) return;
    this.server = undefined;
    const closed = once(server, 'close');
    server.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
    await new Promise<void>((resolve) => broker.close(() => resolve()));
  }

  /** Messages on topics that end so, parsed. */
  json<T = Record<string, unknown>>(suffix: string): T[] {
    return this.received.filter((m) => m.topic.endsWith(suffix)).map((m) => JSON.parse(m.payload) as T);
  }

  /** Resolves as soon as the condition holds for what was received. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await once(this, 'message');
  }
}
