/** Binary payloads: numbers and text as bytes, in the orders that profiles draw. */
import { isUtf8 } from 'node:buffer';
import { asFloat32 } from '../../src/float32.js';
import type { PointType, Value } from '../../src/model.js';
import { Unfit } from './payload.js';
import type { Binary } from './schema.js';

/** Bytes of the types that have a fixed number. */
const SIZES: Readonly<Partial<Record<PointType, number>>> = {
  bool: 1,
  int16: 2,
  uint16: 2,
  int32: 4,
  uint32: 4,
  float32: 4,
  int64: 8,
  uint64: 8,
  float64: 8,
};

/** Bytes that a value takes; undefined for a type that has no binary form. */
export function sizeOf(type: PointType, { length }: Binary): number | undefined {
  return type === 'string' ? length : SIZES[type];
}

/** The value that the bytes hold. */
export function decodeBytes(type: PointType, binary: Binary, bytes: Buffer): Value | Unfit {
  const size = sizeOf(type, binary) ?? 0;
  const { at } = binary;
  if (bytes.length < at + size) return new Unfit(`the payload has ${bytes.length} bytes, not ${at + size}`);
  const part = bytes.subarray(at, at + size);
  if (type === 'string') {
    const end = part.indexOf(0);
    const text = end < 0 ? part : part.subarray(0, end);
    return isUtf8(text) ? text.toString().trim() : new Unfit('the payload is not UTF-8 text');
  }
  return numberIn(type, ordered(part, binary.order));
}

/** Bytes, the most significant first. */
function ordered(bytes: Buffer, order: Binary['order']): Buffer {
  if (order === 'ABCD' || bytes.length === 1) return bytes;
  const copy = Buffer.from(bytes);
  if (order !== 'CDAB') copy.swap16();
  if (order === 'BADC') return copy;
  const words = Buffer.alloc(copy.length);
  for (let at = 0; at < copy.length; at += 2) copy.copy(words, copy.length - at - 2, at, at + 2);
  return words;
}

function numberIn(type: PointType, bytes: Buffer): Value | Unfit {
  switch (type) {
    case 'bool':
      return bytes[0] !== 0;
    case 'int16':
      return bytes.readInt16BE();
    case 'uint16':
      return bytes.readUInt16BE();
    case 'int32':
      return bytes.readInt32BE();
    case 'uint32':
      return bytes.readUInt32BE();
    case 'int64':
      return bytes.readBigInt64BE();
    case 'uint64':
      return bytes.readBigUInt64BE();
    case 'float32':
      return finite(asFloat32(bytes.readFloatBE()));
    case 'float64':
      return finite(bytes.readDoubleBE());
    default:
      return new Unfit(`a ${type} has no binary form`);
  }
}

function finite(value: number): number | Unfit {
  return Number.isFinite(value) ? value : new Unfit('not a number');
}

/** Puts a value into the bytes, for the simulator. */
export function encodeBytes(type: PointType, binary: Binary, value: Value, bytes: Buffer): void {
  const size = sizeOf(type, binary) ?? 0;
  const part = Buffer.alloc(size);
  if (type === 'string') part.write(String(value));
  else writeNumber(type, value, part);
  // Each order is its own inverse.
  ordered(part, type === 'string' ? 'ABCD' : binary.order).copy(bytes, binary.at);
}

function writeNumber(type: PointType, value: Value, part: Buffer): void {
  if (type === 'bool') part[0] = value ? 1 : 0;
  else if (type === 'float32') part.writeFloatBE(Number(value));
  else if (type === 'float64') part.writeDoubleBE(Number(value));
  else if (part.length === 8) part.writeBigUInt64BE(BigInt.asUintN(64, BigInt(Math.round(Number(value)))));
  else part.writeUIntBE(Number(BigInt.asUintN(part.length * 8, BigInt(Math.round(Number(value))))), 0, part.length);
}
