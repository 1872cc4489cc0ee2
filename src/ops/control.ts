/**
 * The control socket of a running gateway, `control.sock` in its data folder: whoever connects is told a snapshot at once and
 * then one per second, each one line of JSON. Only the user that runs the gateway may connect.
 */
import { chmodSync, closeSync, openSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { TidegateError } from '../errors.js';
import { toJson } from './text.js';

/** A served control socket. */
export interface Control {
  close(): Promise<void>;
}

/** A reader that lags this many bytes behind has stopped reading. */
const LAG = 4_000_000;

/**
 * Serves snapshots. The caller holds the data folder's lock, so a socket that is already there was left by a dead process.
 * @throws what the system says, when the file system knows no sockets
 */
export async function serveControl(folder: string, snapshot: () => unknown): Promise<Control> {
  const clients = new Set<Socket>();
  let timer: NodeJS.Timeout | undefined;
  const tell = () => {
    const line = `${toJson(snapshot())}\n`;
    for (const client of clients) {
      if (client.writableLength > LAG) client.destroy();
      else client.write(line);
    }
  };
  const server = createServer((client) => {
    clients.add(client);
    client.on('error', () => {});
    client.on('close', () => {
      clients.delete(client);
      if (clients.size > 0) return;
      clearInterval(timer);
      timer = undefined;
    });
    client.resume();
    client.write(`${toJson(snapshot())}\n`);
    timer ??= setInterval(tell, 1_000).unref();
  });
  rmSync(join(folder, 'control.sock'), { force: true });
  const place = shortPlace(folder);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(place.path, resolve);
    // The socket exists as soon as `listen` returns: closed to others before the event loop turns.
    chmodSync(place.path, 0o600);
  }).catch((error: unknown) => {
    place.free();
    throw error;
  });
  server.unref();
  return {
    close: () =>
      new Promise((resolve) => {
        clearInterval(timer);
        for (const client of clients) client.destroy();
        server.close(() => {
          place.free();
          resolve();
        });
      }),
  };
}

/**
 * Listens to the gateway that runs on this data folder: each snapshot, until it ends or `signal` aborts.
 * @returns undefined when none runs there
 * @throws TidegateError CONFIG_FILE when this user may not ask it
 */
export async function connectControl<T>(folder: string, signal?: AbortSignal): Promise<AsyncIterable<T> | undefined> {
  const place = shortPlace(folder);
  const socket = createConnection(place.path);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') return undefined;
    throw new TidegateError('CONFIG_FILE', `the gateway on ${folder} may not be asked by this user`, {
      hint: 'Run this as the user that runs the gateway, or as root.',
      cause: error,
    });
  } finally {
    place.free();
  }
  const stop = () => void socket.destroy();
  if (signal?.aborted) stop();
  signal?.addEventListener('abort', stop, { once: true });
  socket.on('error', () => {});
  return snapshots<T>(socket);
}

async function* snapshots<T>(socket: Socket): AsyncGenerator<T> {
  let rest = '';
  socket.setEncoding('utf8');
  try {
    for await (const chunk of socket) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) yield JSON.parse(line) as T;
    }
  } catch (error) {
    // Closed in the middle, by either side: that is an end like any other.
    if (!socket.destroyed) throw error;
  } finally {
    socket.destroy();
  }
}

/**
 * A path to the socket that fits in a socket address (108 bytes with its end mark on Linux, unix(7)). A longer one goes by
 * way of an open descriptor of the folder.
 */
function shortPlace(folder: string): { path: string; free(): void } {
  const path = join(folder, 'control.sock');
  if (Buffer.byteLength(path) < 104 || process.platform !== 'linux') return { path, free: () => {} };
  let fd: number;
  try {
    fd = openSync(folder, 'r');
  } catch {
    return { path, free: () => {} };
  }
  return { path: `/proc/self/fd/${fd}/control.sock`, free: () => closeSync(fd) };
}
