/** A Modbus TCP server: cuts the stream into requests, keeps the tables, answers (Modbus Application Protocol V1.1b3 §6). */
import { createServer, type Server, type Socket } from 'node:net';
import { TidegateError } from '../../src/errors.js';
import type { Table } from './schema.js';

/** One table of one unit: the addresses from `from` on, as bytes on the wire. */
export interface Image {
  readonly from: number;
  /** One byte for each address: 0 not there, 1 can be read, 2 can be written as well. */
  readonly access: Uint8Array;
  /** Registers high byte first; bits packed, the lowest address in the lowest bit. */
  readonly data: Buffer;
}

/** One unit id. */
export interface Unit {
  readonly images: Partial<Record<Table, Image>>;
  /** Called before a read is answered. */
  beforeRead(): void;
  /** Called after registers or bits were written. */
  written(table: Table, address: number, count: number): void;
}

const HEADER = 7;
const ILLEGAL_FUNCTION = 1;
const ILLEGAL_ADDRESS = 2;
const ILLEGAL_VALUE = 3;
const NO_SUCH_UNIT = 11;

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

const refuse = (code: number, why: number): Buffer => Buffer.from([code | 0x80, why]);

function answer(unit: Unit | undefined, pdu: Buffer): Buffer {
  const code = pdu[0] as number;
  if (!unit) return refuse(code, NO_SUCH_UNIT);
  if (![1, 2, 3, 4, 5, 6, 15, 16].includes(code)) return refuse(code, ILLEGAL_FUNCTION);
  if (pdu.length < 5) return refuse(code, ILLEGAL_VALUE);
  const address = pdu.readUInt16BE(1);
  const operand = pdu.readUInt16BE(3);
  switch (code) {
    case 1:
      return readBits(code, unit, 'coil', address, operand);
    case 2:
      return readBits(code, unit, 'discrete', address, operand);
    case 3:
      return readRegisters(code, unit, 'holding', address, operand);
    case 4:
      return readRegisters(code, unit, 'input', address, operand);
    case 5:
      if (operand !== 0 && operand !== 0xff00) return refuse(code, ILLEGAL_VALUE);
      return writeBits(pdu, unit, address, 1, Buffer.from([operand ? 1 : 0]));
    case 6:
      return writeRegisters(pdu, unit, address, 1, pdu.subarray(3, 5));
    case 15:
      return writeBits(pdu, unit, address, operand, pdu.subarray(6), Math.ceil(operand / 8), 1968);
    default:
      return writeRegisters(pdu, unit, address, operand, pdu.subarray(6), operand * 2, 123);
  }
}

/** True when every address is there, with at least the given access. */
function reaches(image: Image | undefined, address: number, count: number, access: number): image is Image {
  if (!image) return false;
  for (let at = address - image.from; at < address - image.from + count; at += 1)
    if ((image.access[at] ?? 0) < access) return false;
  return true;
}

function readRegisters(code: number, unit: Unit, table: Table, address: number, count: number): Buffer {
  if (count < 1 || count > 125) return refuse(code, ILLEGAL_VALUE);
  const image = unit.images[table];
  if (!reaches(image, address, count, 1)) return refuse(code, ILLEGAL_ADDRESS);
  unit.beforeRead();
  const reply = Buffer.alloc(2 + count * 2);
  reply[0] = code;
  reply[1] = count * 2;
  image.data.copy(reply, 2, (address - image.from) * 2);
  return reply;
}

function readBits(code: number, unit: Unit, table: Table, address: number, count: number): Buffer {
  if (count < 1 || count > 2000) return refuse(code, ILLEGAL_VALUE);
  const image = unit.images[table];
  if (!reaches(image, address, count, 1)) return refuse(code, ILLEGAL_ADDRESS);
  unit.beforeRead();
  const bytes = Math.ceil(count / 8);
  const reply = Buffer.alloc(2 + bytes);
  reply[0] = code;
  reply[1] = bytes;
  copyBits(image.data, address - image.from, reply, 16, count);
  return reply;
}

/** Functions 15 and 16 say the size of their data twice; both must agree. */
const isWhole = (pdu: Buffer, data: Buffer, bytes: number | undefined): boolean =>
  bytes === undefined || (pdu[5] === bytes && data.length === bytes);

function writeRegisters(
  pdu: Buffer,
  unit: Unit,
  address: number,
  count: number,
  data: Buffer,
  bytes?: number,
  most = 1,
): Buffer {
  const code = pdu[0] as number;
  if (count < 1 || count > most || !isWhole(pdu, data, bytes)) return refuse(code, ILLEGAL_VALUE);
  const image = unit.images.holding;
  if (!reaches(image, address, count, 2)) return refuse(code, ILLEGAL_ADDRESS);
  data.copy(image.data, (address - image.from) * 2);
  unit.written('holding', address, count);
  return pdu.subarray(0, 5);
}

function writeBits(
  pdu: Buffer,
  unit: Unit,
  address: number,
  count: number,
  data: Buffer,
  bytes?: number,
  most = 1,
): Buffer {
  const code = pdu[0] as number;
  if (count < 1 || count > most || !isWhole(pdu, data, bytes)) return refuse(code, ILLEGAL_VALUE);
  const image = unit.images.coil;
  if (!reaches(image, address, count, 2)) return refuse(code, ILLEGAL_ADDRESS);
  copyBits(data, 0, image.data, address - image.from, count);
  unit.written('coil', address, count);
  return pdu.subarray(0, 5);
}

function copyBits(source: Buffer, from: number, target: Buffer, to: number, count: number): void {
  for (let bit = 0; bit < count; bit += 1) {
    const on = ((source[(from + bit) >> 3] as number) >> ((from + bit) & 7)) & 1;
    const mask = 1 << ((to + bit) & 7);
    const byte = target[(to + bit) >> 3] as number;
    target[(to + bit) >> 3] = on ? byte | mask : byte & ~mask;
  }
}
