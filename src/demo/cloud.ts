/** The stand-in for the cloud: an MQTT broker in this process that can be cut off, and counts what reaches it. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createAedes } from '../aedes.js';
import { type Count, startTally } from './tally.js';

/** A stand-in cloud on a loopback port. */
export interface Cloud {
  readonly port: number;
  /** Compares what arrived with the events 1 to `sent`, and stops counting. */
  count(sent: number): Count;
  /** Takes the uplink away: connections break, new ones are refused. */
  cut(): Promise<void>;
  /** Gives it back, on the same port. */
  mend(): Promise<void>;
  close(): Promise<void>;
}

/** Starts the broker on a free loopback port. */
export async function startCloud(): Promise<Cloud> {
  const broker = await createAedes({ drainTimeout: 2_000 });
  const tally = startTally();
  let counted = false;
  // Readings, and news of devices.
  const topic = 'tidegate/+/+/+';
  await new Promise<void>((resolve) => {
    const take = (packet: { payload: Buffer | string }, done: () => void) => {
      if (!counted) tally.take(JSON.parse(packet.payload.toString()) as { id: string; late?: boolean });
      done();
    };
    broker.subscribe(topic, take, resolve);
  });
  const sockets = new Set<Socket>();
  const accept = (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    broker.handle(socket);
  };
  let server = await listen(accept, 0);
  const { port } = server.address() as AddressInfo;

  async function cut(): Promise<void> {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  }
  return {
    port,
    count(sent) {
      counted = true;
      return tally.count(sent);
    },
    cut,
    async mend() {
      server = await listen(accept, port);
    },
    async close() {
      await cut();
      await new Promise<void>((resolve) => broker.close(resolve));
    },
  };
}

async function listen(accept: (socket: Socket) => void, port: number): Promise<Server> {
  const server = createServer(accept);
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
