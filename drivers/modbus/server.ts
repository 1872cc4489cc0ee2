/** A Modbus server's tables, and its answers to requests (Modbus Application Protocol V1.1b3 §6). Knows no wire. */
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
  /** Vendor, product and revision: what function 43/14 tells. */
  readonly identity: readonly [string, string, string];
  /** Called before a read is answered. */
  beforeRead(): void;
  /** Called after registers or bits were written. */
  written(table: Table, address: number, count: number): void;
}

const ILLEGAL_FUNCTION = 1;
const ILLEGAL_ADDRESS = 2;
const ILLEGAL_VALUE = 3;
const NO_SUCH_UNIT = 11;

const refuse = (code: number, why: number): Buffer => Buffer.from([code | 0x80, why]);

/** The answer to a request, both without unit id. */
export function answer(unit: Unit | undefined, pdu: Buffer): Buffer {
  const code = pdu[0] as number;
  if (!unit) return refuse(code, NO_SUCH_UNIT);
  if (code === 43) return identify(unit, pdu);
  if (![1, 2, 3, 4, 5, 6, 15, 16, 22].includes(code)) return refuse(code, ILLEGAL_FUNCTION);
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
    case 22:
      return maskWrite(pdu, unit, address);
    case 15:
      return writeBits(pdu, unit, address, operand, pdu.subarray(6), Math.ceil(operand / 8), 1968);
    default:
      return writeRegisters(pdu, unit, address, operand, pdu.subarray(6), operand * 2, 123);
  }
}

/** Function 43/14: the basic objects, as a stream or from one on (V1.1b3 §6.21). */
function identify(unit: Unit, pdu: Buffer): Buffer {
  const [code = 0, mei, kind, from = 0] = pdu;
  if (mei !== 14) return refuse(code, ILLEGAL_FUNCTION);
  if (kind !== 1 || from >= unit.identity.length) return refuse(code, ILLEGAL_VALUE);
  const objects = unit.identity.slice(from).map((text, index) => {
    const bytes = Buffer.from(text, 'latin1').subarray(0, 60);
    return Buffer.concat([Buffer.from([from + index, bytes.length]), bytes]);
  });
  return Buffer.concat([Buffer.from([code, 14, 1, 1, 0, 0, objects.length]), ...objects]);
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

/** Function 22 (V1.1b3 §6.16). */
function maskWrite(pdu: Buffer, unit: Unit, address: number): Buffer {
  const image = unit.images.holding;
  if (pdu.length !== 7) return refuse(22, ILLEGAL_VALUE);
  if (!reaches(image, address, 1, 2)) return refuse(22, ILLEGAL_ADDRESS);
  const [and, or] = [pdu.readUInt16BE(3), pdu.readUInt16BE(5)];
  const at = (address - image.from) * 2;
  image.data.writeUInt16BE((image.data.readUInt16BE(at) & and) | (or & ~and & 0xffff), at);
  unit.written('holding', address, 1);
  return pdu;
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
