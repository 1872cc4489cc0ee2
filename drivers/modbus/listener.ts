/** Where a Modbus server listens: cuts what comes in on TCP or on a serial line into requests, and sends the answers. */
import { createServer, type Server, type Socket } from 'node:net';
import { TidegateError } from '../../src/errors.js';
import { crc16 } from './checksum.js';
import type { SerialSettings } from './schema.js';
import { answer, type Unit } from './server.js';
import { openSerial } from './transport.js';

const HEADER = 7;

/**
 * Listens. Port 0 takes a free one.
 * @throws TidegateError LINK_DOWN when the address cannot be listened on
 */
export function listen(
  units: ReadonlyMap<number, Unit>,
  { host, port }: { host: string; port: number },
): Promise<{ host: string; port: number; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    serve(socket, units);
  });
  return new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new TidegateError('LINK_DOWN', `cannot listen on ${host}:${port}: ${cause.message}`, { cause })),
    );
    server.listen({ host, port }, () => resolve({ host, port: portOf(server), close: () => close(server, sockets) }));
  });
}

/**
 * Answers on a serial port, in RTU. Units that are not there stay silent, as on a bus; so do requests that are garbled.
 * @throws TidegateError LINK_DOWN when the port cannot be opened
 */
export async function listenOnSerial(
  units: ReadonlyMap<number, Unit>,
  settings: SerialSettings,
): Promise<{ close(): Promise<void> }> {
  const line = await openSerial(settings);
  let received: Buffer = Buffer.alloc(0);
  const take = (chunk: Buffer): void => {
    received = Buffer.concat([received, chunk]).subarray(-MOST_RTU);
    for (let at = 0; at + LEAST_RTU <= received.length; at += 1) {
      const end = at + requestLength(received, at);
      if (end > received.length || crc16(received, at, end - 2) !== received.readUInt16LE(end - 2)) continue;
      const unit = units.get(received[at] as number);
      if (unit) {
        const head = Buffer.concat([received.subarray(at, at + 1), answer(unit, received.subarray(at + 1, end - 2))]);
        const checksum = Buffer.alloc(2);
        checksum.writeUInt16LE(crc16(head, 0, head.length));
        line.write(Buffer.concat([head, checksum]));
      }
      received = received.subarray(end);
      at = -1;
    }
  };
  line.listen(take, () => {});
  return line;
}

const LEAST_RTU = 7;
const MOST_RTU = 256;

/** Bytes of the RTU request that begins at `at`, checksum included. */
function requestLength(bytes: Buffer, at: number): number {
  const code = bytes[at + 1] as number;
  if (code === 15 || code === 16) return 9 + (bytes[at + 6] as number);
  if (code === 43) return LEAST_RTU;
  return code === 22 ? 10 : 8;
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address ? address.port : 0;
}

function close(server: Server, sockets: Set<Socket>): Promise<void> {
  for (const socket of sockets) socket.destroy();
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}

function serve(socket: Socket, units: ReadonlyMap<number, Unit>): void {
  let received: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    while (received.length > HEADER) {
      const length = received.readUInt16BE(4);
      if (received.readUInt16BE(2) !== 0 || length < 2 || length > 254) {
        socket.destroy();
        return;
      }
      if (received.length < 6 + length) return;
      const body = answer(units.get(received[6] as number), received.subarray(HEADER, 6 + length));
      const reply = Buffer.alloc(HEADER + body.length);
      received.copy(reply, 0, 0, HEADER);
      reply.writeUInt16BE(body.length + 1, 4);
      body.copy(reply, HEADER);
      socket.write(reply);
      received = received.subarray(6 + length);
    }
  });
}
