/** Where clients come in: a TCP port, with or without TLS. What comes too often or is too much is turned away before it costs anything. */
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls';
import { placeOf, type TlsConfig } from '../config/broker.js';
import { messageOf, TidegateError } from '../errors.js';

/** An open port. */
export interface Listener {
  /** `address:port`, as configured. */
  readonly place: string;
  /** What it shows now. */
  readonly tls: TlsConfig | undefined;
  /** The port that it has. */
  readonly port: number;
  /** Takes a renewed certificate for those who connect from now on. @throws TidegateError BROKER_LISTEN */
  renew(tls: TlsConfig): void;
  /** Gives the port back at once. Connections that are there stay. */
  pause(): void;
  /** Listens again. @throws TidegateError BROKER_LISTEN */
  resume(): Promise<void>;
  /** Gives the port back, and ends all connections. */
  close(): void;
}

/** Who is told of connections. */
export interface ConnectionHandler {
  /** False turns a connection away before any handshake. */
  admits(socket: Socket): boolean;
  /** A client has connected, after its TLS handshake if there is one. */
  connected(socket: Socket): void;
  /** A connection could not be made. */
  failed(address: string, reason: string): void;
}

/** Most milliseconds for a TLS handshake. */
const HANDSHAKE = 10_000;
/** Milliseconds of silence after which the system asks whether the other side is still there. */
const KEEPALIVE = 60_000;

/**
 * Opens a port.
 * @throws TidegateError BROKER_LISTEN when the address is taken or is none of this machine, or the certificate is unfit
 */
export async function openListener(
  place: string,
  tls: TlsConfig | undefined,
  handler: ConnectionHandler,
): Promise<Listener> {
  const secure = tls && openTls(tls, handler);
  const sockets = new Set<Socket>();
  const server = createServer(
    { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEPALIVE },
    (socket) => {
      socket.on('error', () => {});
      if (!handler.admits(socket)) return void socket.destroy();
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      if (secure) secure.emit('connection', socket);
      else handler.connected(socket);
    },
  );
  let shown = tls;
  const listener = {
    place,
    get tls() {
      return shown;
    },
    get port() {
      return (server.address() as AddressInfo).port;
    },
    renew(renewed: TlsConfig) {
      const pair = read(renewed);
      fitting(() => secure?.setSecureContext(pair));
      shown = renewed;
    },
    pause: () => void server.close(),
    async resume() {
      await listening(server, place).catch((cause: unknown) => {
        throw unfit(`the local broker cannot listen on ${place}: ${reasonOf(cause)}`, cause);
      });
    },
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
  await listener.resume();
  // The system may have no room for a connection; another may find room.
  server.on('error', (error) => handler.failed('', messageOf(error)));
  return listener;
}

/** Does the handshakes; the port is the plain server's. */
function openTls(tls: TlsConfig, handler: ConnectionHandler): TlsServer {
  const options = { ...read(tls), minVersion: 'TLSv1.2', handshakeTimeout: HANDSHAKE, allowHalfOpen: true } as const;
  const server = fitting(() =>
    createTlsServer(options, (socket) => {
      socket.on('error', () => {});
      handler.connected(socket);
    }),
  );
  server.on('tlsClientError', (error, { remoteAddress = '' }) =>
    handler.failed(remoteAddress, `no TLS: ${messageOf(error)}`),
  );
  return server;
}

/** @throws TidegateError BROKER_LISTEN instead of what TLS says of a certificate or key */
function fitting<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw unfit(`the certificate of the local broker cannot be used: ${messageOf(cause)}`, cause);
  }
}

function read({ cert, key }: TlsConfig): { cert: Buffer; key: Buffer } {
  return fitting(() => ({ cert: readFileSync(cert), key: readFileSync(key) }));
}

function listening(server: Server, place: string): Promise<void> {
  const { host, port } = placeOf(place) ?? { host: place, port: 0 };
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function reasonOf(cause: unknown): string {
  switch ((cause as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return 'another program has that port';
    case 'EACCES':
      return 'this user may not open that port';
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return 'this machine has no such address';
    default:
      return messageOf(cause);
  }
}

function unfit(message: string, cause: unknown): TidegateError {
  return new TidegateError('BROKER_LISTEN', message, { cause });
}
