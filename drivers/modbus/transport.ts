/** What a line is made of: a serial port, a TCP connection to a gateway, or a UDP socket. Moves bytes, knows no Modbus. */
import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import type { Socket } from 'node:net';
import { messageOf, TidegateError } from '../../src/errors.js';
import { dial } from './dial.js';
import type { SerialSettings } from './schema.js';

/** An open line. */
export interface Transport {
  /** Where it leads, for people. */
  readonly name: string;
  write(bytes: Buffer): void;
  /** Sets who hears what comes in, and why the line ended. Nothing comes before it was called. */
  listen(onData: (chunk: Buffer) => void, onEnd: (why: string) => void): void;
  /** Never throws; resolves within half a second. */
  close(): Promise<void>;
}

/** Milliseconds to wait for a close. */
const CLOSING = 500;

/**
 * A TCP connection to a gateway that passes bytes on.
 * @throws TidegateError LINK_DOWN
 */
export async function openSocket(place: { host: string; port: number }, timeout: number): Promise<Transport> {
  const socket = await dial({ ...place, timeout });
  return {
    name: nameOf(place),
    write: (bytes) => void socket.write(bytes),
    listen(onData, onEnd) {
      socket.on('data', onData);
      socket.on('error', (error) => onEnd(messageOf(error)));
      socket.on('close', () => onEnd('closed by the other side'));
      if (socket.destroyed) onEnd('closed by the other side');
    },
    close: () => hangUp(socket),
  };
}

/** Ends a TCP connection. Never throws; resolves within half a second. */
export function hangUp(socket: Socket): Promise<void> {
  socket.destroy();
  return socket.closed ? Promise.resolve() : inTime((done) => socket.once('close', done));
}

/**
 * A UDP socket that hears one address only.
 * @throws TidegateError LINK_DOWN when the name cannot be resolved
 */
export async function openUdp(place: { host: string; port: number }): Promise<Transport> {
  const { address, family } = await lookup(place.host).catch((cause: Error) => {
    throw new TidegateError('LINK_DOWN', `cannot reach ${nameOf(place)}: ${messageOf(cause)}`, { cause });
  });
  const socket = createSocket(family === 6 ? 'udp6' : 'udp4');
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.connect(place.port, address, (cause?: Error) => (cause ? reject(cause) : resolve()));
  }).catch((cause: Error) => {
    socket.close();
    throw new TidegateError('LINK_DOWN', `cannot reach ${nameOf(place)}: ${messageOf(cause)}`, { cause });
  });
  let open = true;
  return {
    name: nameOf(place),
    write: (bytes) => socket.send(bytes),
    listen(onData, onEnd) {
      socket.on('message', onData);
      socket.on('error', (error) => onEnd(messageOf(error)));
    },
    async close() {
      if (open) socket.close();
      open = false;
    },
  };
}

/**
 * A serial port. No other program may have it open.
 * @throws TidegateError LINK_DOWN, naming the ports that there are
 */
export async function openSerial(settings: SerialSettings): Promise<Transport> {
  const { SerialPort } = await import('serialport').catch((cause: Error) => {
    const hint = 'It is an optional package: install Tidegate without --omit=optional.';
    throw new TidegateError('LINK_DOWN', `serial ports need the package serialport: ${cause.message}`, { cause, hint });
  });
  const { path, baud, dataBits, parity, stopBits } = settings;
  const port = new SerialPort({ path, baudRate: baud, dataBits, parity, stopBits, autoOpen: false });
  const cause = await new Promise<Error | null | undefined>((resolve) => port.open(resolve));
  if (cause) {
    const hint = await adviceFor(cause.message, () => SerialPort.list());
    const options = { cause, ...(hint !== undefined && { hint }) };
    throw new TidegateError('LINK_DOWN', `cannot open ${path}: ${cause.message.replace(/^Error: /, '')}`, options);
  }
  return {
    name: path,
    write: (bytes) => void port.write(bytes),
    listen(onData, onEnd) {
      port.on('data', onData);
      port.on('error', (error) => onEnd(messageOf(error)));
      port.on('close', () => onEnd('the port is gone (unplugged?)'));
    },
    close: () => (port.isOpen ? inTime((done) => port.close(done)) : Promise.resolve()),
  };
}

/** What to do about a port that cannot be opened. */
async function adviceFor(message: string, list: () => Promise<{ path: string }[]>): Promise<string | undefined> {
  if (/permission denied/i.test(message))
    return 'The user that runs Tidegate must be in the group that owns the port, mostly dialout.';
  if (/cannot lock|temporarily unavailable|busy/i.test(message)) return 'Another program has the port open.';
  if (!/no such file|not found/i.test(message)) return undefined;
  const ports = await list().catch(() => []);
  const there = ports.map(({ path }) => path).join(', ');
  return there === '' ? 'This machine shows no serial port at all.' : `There is: ${there}`;
}

function nameOf({ host, port }: { host: string; port: number }): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function inTime(work: (done: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, CLOSING);
    work(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
