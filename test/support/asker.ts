/** Somebody who asks a running gateway by its control socket, byte for byte. */
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';

/** Asks, and does not wait for the answer. */
export async function ask(folder: string, request: object): Promise<Socket> {
  const socket = createConnection(join(folder, 'data', 'control.sock'));
  await once(socket, 'connect');
  socket.write(`${JSON.stringify(request)}\n`);
  return socket;
}

/** Resolves when the gateway has heard: to whoever waits it gives a sign of life each second. */
export async function heard(asker: Socket): Promise<void> {
  await once(asker, 'data');
}
