/** Where a Modbus server listens: cuts what comes in on TCP or on a serial line into requests, and sends the answers. */
import { createServer, type Server, type Socket } from 'node:net';
import type { SimulatorOptions } from '../../src/driver.js';
import { TidegateError } from '../../src/errors.js';
import { crc16 } from './checksum.js';
import { makeResponder, type WayBack } from './responder.js';
import type { SerialSettings } from './schema.js';
import type { Unit } from './server.js';
import { openSerial } from './transport.js';

const HEADER = 7;

/**
 * Listens. Port 0 takes a free one.
 * @throws TidegateError LINK_DOWN when the address cannot be listened on
 */
export function listen(
  units: ReadonlyMap<number, Unit>,
  { host, port, faults }: Omit<SimulatorOptions, 'serial'>,
): Promise<{ host: string; port: number; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const respond = makeResponder(faults);
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    serve(socket, (unit, pdu, way) => respond(units.get(unit), pdu, way));
  });
  return new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new TidegateError('LINK_DOWN', `cannot listen on ${host}:${port}: ${cause.message}`, {
          cause,
          hint: 'Choose another address or port.',
        }),
      ),
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
  faults: SimulatorOptions['faults'],
): Promise<{ close(): Promise<void> }> {
  const line = await openSerial(settings);
  const respond = makeResponder(faults);
  let received: Buffer = Buffer.alloc(0);
  const take = (chunk: Buffer): void => {
    received = Buffer.concat([received, chunk]).subarray(-MOST_RTU);
    for (let at = 0; at + LEAST_RTU <= received.length; at += 1) {
      const end = at + requestLength(received, at);
      if (end > received.length || crc16(received, at, end - 2) !== received.readUInt16LE(end - 2)) continue;
      const id = received[at] as number;
      const unit = units.get(id);
      if (unit) respond(unit, received.subarray(at + 1, end - 2), rtuWay(id, line.write));
      received = received.subarray(end);
      at = -1;
    }
  };
  line.listen(take, () => {});
  return line;
}

function rtuWay(unit: number, write: (bytes: Buffer) => void): WayBack {
  return {
    write,
    frame(pdu) {
      const frame = Buffer.from([unit, ...pdu, 0, 0]);
      frame.writeUInt16LE(crc16(frame, 0, frame.length - 2), frame.length - 2);
      return frame;
    },
    // One bit is enough: the checksum is wrong.
    spoil: (frame) => Buffer.concat([frame.subarray(0, -1), Buffer.from([(frame.at(-1) as number) ^ 1])]),
    drop: () => {},
  };
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

/** Cuts what comes in into requests; each is told with its unit id. */
function serve(socket: Socket, respond: (unit: number, pdu: Buffer, way: WayBack) => void): void {
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
      respond(received[6] as number, received.subarray(HEADER, 6 + length), tcpWay(socket, received));
      received = received.subarray(6 + length);
    }
  });
}

/** The way back of the request that begins `received`. */
function tcpWay(socket: Socket, received: Buffer): WayBack {
  return {
    write: (bytes) => void socket.write(bytes),
    frame(pdu) {
      const frame = Buffer.alloc(HEADER + pdu.length);
      received.copy(frame, 0, 0, HEADER);
      frame.writeUInt16BE(pdu.length + 1, 4);
      pdu.copy(frame, HEADER);
      return frame;
    },
    // No header of Modbus is left in it.
    spoil: (frame) => frame.map((byte) => ~byte) as Buffer,
    drop: () => void socket.destroySoon(),
  };
}
