/** Opens a TCP connection, or says in time why not. */
import { connect, type Socket } from 'node:net';
import { messageOf, TidegateError } from '../../src/errors.js';

/** A network may need a few seconds for what a device answers in one. */
const LEAST_TIMEOUT = 5_000;

/**
 * Connects, with TCP_NODELAY and keep-alive.
 * @param options.timeout milliseconds; at least five seconds are allowed
 * @throws TidegateError LINK_DOWN
 */
export function dial({ host, port, timeout }: { host: string; port: number; timeout: number }): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 });
    const limit = Math.max(timeout, LEAST_TIMEOUT);
    const fail = (cause: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      const why = messageOf(cause) || (cause as NodeJS.ErrnoException).code;
      reject(new TidegateError('LINK_DOWN', `cannot connect to ${host}:${port}: ${why}`, { cause }));
    };
    const timer = setTimeout(() => fail(new Error(`no answer within ${limit} ms`)), limit);
    socket.once('error', fail);
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.off('error', fail);
      resolve(socket);
    });
  });
}
