/** Stands between a client and a server, passes all on, and misbehaves when told to. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A running relay. */
export interface Relay {
  readonly port: number;
  /** From now on nothing reaches the server, and nobody is told; or it does again. */
  silence(silent?: boolean): void;
  /** Breaks all connections; new ones are taken as before. */
  cut(): void;
  /** Has the next bytes from the server changed. */
  spoil(change: (chunk: Buffer) => Buffer): void;
  close(): Promise<void>;
}

/** Passes all on to a port of this machine. */
export async function startRelay(to: number): Promise<Relay> {
  const sockets = new Set<Socket>();
  let silent = false;
  let change: ((chunk: Buffer) => Buffer) | undefined;
  const server = createServer((near) => {
    const far = connect(to, '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket
        .on('error', () => {})
        .on('close', () => {
          sockets.delete(socket);
          near.destroy();
          far.destroy();
        });
    }
    near.on('data', (chunk) => silent || far.write(chunk));
    far.on('data', (chunk) => {
      near.write(change?.(chunk) ?? chunk);
      change = undefined;
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    silence: (now = true) => {
      silent = now;
    },
    cut,
    spoil: (how) => {
      change = how;
    },
    close: async () => {
      cut();
      if (!server.listening) return;
      server.close();
      await once(server, 'close');
    },
  };
}
