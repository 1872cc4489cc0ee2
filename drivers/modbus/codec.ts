/** The one codec: registers and bits ↔ raw values, for reading, writing, examples and the simulator. */
import { float32 } from '../../src/float32.js';
import type { Point, PointType, Value } from '../../src/model.js';
import { isBitTable, type ModbusAddress, type Order } from './schema.js';
import { isByteSwapped, unsigned16, unsigned32 } from './words.js';

/** How one point lies on the wire. */
export interface Codec {
  /** Registers that it takes, or 1 in a table of bits. */
  readonly span: number;
  /** True when it shares its registers with others, so that writing takes a read first. */
  readonly partial: boolean;
  /** Raw value at a byte offset (registers) or bit number (bits); null when the bits are not a number. */
  decode(data: Uint8Array, at: number): Value;
  /**
   * Puts a raw value in place; `partial` ones leave the other bits as they are.
   * @throws RangeError in words for people when the value does not fit
   */
  encode(raw: Value, data: Uint8Array, at: number): void;
}

type ModbusPoint = Point<ModbusAddress>;

/** The codec of a point that `checkPoint` found no fault with. */
export function codecOf(point: ModbusPoint): Codec {
  const { table, order, bit, bits, length, encoding } = point.address;
  if (isBitTable(table)) return SINGLE_BIT;
  if (point.type === 'string') return text(length ?? 1, isByteSwapped(order), encoding);
  if (bit !== undefined) return flag(order, bit);
  const whole = NUMBERS[order][point.type as NumberType];
  return bits === undefined ? whole : field(whole, point.type, order, bits);
}

const SINGLE_BIT: Codec = {
  span: 1,
  partial: false,
  decode: (data, at) => (((data[at >> 3] as number) >> (at & 7)) & 1) === 1,
  encode(raw, data, at) {
    const mask = 1 << (at & 7);
    data[at >> 3] = truth(raw) ? (data[at >> 3] as number) | mask : (data[at >> 3] as number) & ~mask;
  },
};

const scratch = new DataView(new ArrayBuffer(8));

/** Types that have a fixed number of registers. */
type NumberType = Exclude<PointType, 'string' | 'json'>;

function numbers(order: Order): Record<NumberType, Codec> {
  const word = unsigned16(order);
  const pair = unsigned32(order);
  const high = unsigned32(order, 8, 0);
  const low = unsigned32(order, 8, 4);
  const load = (data: Uint8Array, at: number): void => {
    scratch.setUint32(0, high.read(data, at));
    scratch.setUint32(4, low.read(data, at));
  };
  const store = (data: Uint8Array, at: number): void => {
    high.write(scratch.getUint32(0), data, at);
    low.write(scratch.getUint32(4), data, at);
  };
  const whole = (span: number, decode: Codec['decode'], encode: Codec['encode']): Codec => ({
    span,
    partial: false,
    decode,
    encode,
  });
  const uint16 = whole(1, word.read, (raw, data, at) => word.write(integer(raw, 0, 0xffff), data, at));
  return {
    bool: whole(
      1,
      (data, at) => word.read(data, at) !== 0,
      (raw, data, at) => word.write(truth(raw) ? 1 : 0, data, at),
    ),
    uint16,
    int16: whole(
      1,
      (data, at) => (word.read(data, at) << 16) >> 16,
      (raw, data, at) => word.write(integer(raw, -0x8000, 0x7fff) & 0xffff, data, at),
    ),
    uint32: whole(2, pair.read, (raw, data, at) => pair.write(integer(raw, 0, 0xffff_ffff), data, at)),
    int32: whole(
      2,
      (data, at) => pair.read(data, at) | 0,
      (raw, data, at) => pair.write(integer(raw, -0x8000_0000, 0x7fff_ffff) >>> 0, data, at),
    ),
    float32: whole(
      2,
      (data, at) => float32(pair.read(data, at)),
      (raw, data, at) => {
        const value = number(raw);
        if (Math.abs(Math.fround(value)) === Infinity) throw new RangeError(`${value} does not fit a float32`);
        scratch.setFloat32(0, value);
        pair.write(scratch.getUint32(0), data, at);
      },
    ),
    float64: whole(
      4,
      (data, at) => {
        load(data, at);
        const value = scratch.getFloat64(0);
        return Number.isFinite(value) ? value : null;
      },
      (raw, data, at) => {
        scratch.setFloat64(0, number(raw));
        store(data, at);
      },
    ),
    uint64: whole(
      4,
      (data, at) => {
        load(data, at);
        return scratch.getBigUint64(0);
      },
      (raw, data, at) => {
        scratch.setBigUint64(0, bigInteger(raw, 0n, 0xffff_ffff_ffff_ffffn));
        store(data, at);
      },
    ),
    int64: whole(
      4,
      (data, at) => {
        load(data, at);
        return scratch.getBigInt64(0);
      },
      (raw, data, at) => {
        scratch.setBigInt64(0, bigInteger(raw, -0x8000_0000_0000_0000n, 0x7fff_ffff_ffff_ffffn));
        store(data, at);
      },
    ),
  };
}

const NUMBERS: Record<Order, Record<NumberType, Codec>> = {
  ABCD: numbers('ABCD'),
  CDAB: numbers('CDAB'),
  BADC: numbers('BADC'),
  DCBA: numbers('DCBA'),
  ABCDEFGH: numbers('ABCDEFGH'),
  GHEFCDAB: numbers('GHEFCDAB'),
  BADCFEHG: numbers('BADCFEHG'),
  HGFEDCBA: numbers('HGFEDCBA'),
};

/** One bit of a register. */
function flag(order: Order, bit: number): Codec {
  const word = unsigned16(order);
  const mask = 1 << bit;
  return {
    span: 1,
    partial: true,
    decode: (data, at) => (word.read(data, at) & mask) !== 0,
    encode(raw, data, at) {
      const rest = word.read(data, at) & ~mask;
      word.write(truth(raw) ? rest | mask : rest, data, at);
    },
  };
}

/** Some bits of an integer. */
function field(whole: Codec, type: PointType, order: Order, [lowest, highest]: readonly [number, number]): Codec {
  const base = whole.span === 1 ? unsigned16(order) : unsigned32(order);
  const unused = 31 - highest + lowest;
  const mask = (0xffff_ffff >>> unused) << lowest;
  const signed = type === 'int16' || type === 'int32';
  const most = 2 ** (highest - lowest + (signed ? 0 : 1)) - 1;
  const least = signed ? -most - 1 : 0;
  return {
    span: whole.span,
    partial: true,
    decode(data, at) {
      const aligned = base.read(data, at) << (31 - highest);
      return signed ? aligned >> unused : aligned >>> unused;
    },
    encode(raw, data, at) {
      const value = (integer(raw, least, most) << lowest) & mask;
      base.write(((base.read(data, at) & ~mask) | value) >>> 0, data, at);
    },
  };
}

/** Text: two characters to a register, cut at the first NUL, spaces around it removed. */
function text(registers: number, swapped: boolean, encoding: 'utf8' | 'latin1'): Codec {
  const size = registers * 2;
  return {
    span: registers,
    partial: false,
    decode(data, at) {
      const bytes = Buffer.from(data.subarray(at, at + size));
      if (swapped) bytes.swap16();
      const end = bytes.indexOf(0);
      return bytes.toString(encoding, 0, end < 0 ? size : end).trim();
    },
    encode(raw, data, at) {
      if (typeof raw !== 'string') throw new RangeError(`${show(raw)} is not text`);
      const bytes = Buffer.from(raw, encoding);
      if (bytes.length > size) throw new RangeError(`${show(raw)} is longer than ${size} bytes`);
      const padded = Buffer.alloc(size);
      bytes.copy(padded);
      if (swapped) padded.swap16();
      data.set(padded, at);
    },
  };
}

const show = (raw: Value): string => (typeof raw === 'string' ? JSON.stringify(raw) : String(raw));

function truth(raw: Value): boolean {
  if (raw === true || raw === 1 || raw === 1n) return true;
  if (raw === false || raw === 0 || raw === 0n) return false;
  throw new RangeError(`${show(raw)} is neither true nor false`);
}

function number(raw: Value): number {
  if (typeof raw === 'number' && Number.isFinite(raw)) return raw;
  if (typeof raw === 'bigint') return Number(raw);
  throw new RangeError(`${show(raw)} is not a number`);
}

function integer(raw: Value, least: number, most: number): number {
  const value = number(raw);
  if (!Number.isInteger(value)) throw new RangeError(`${value} is not a whole number`);
  if (value < least || value > most) throw new RangeError(`${value} is outside of ${least} to ${most}`);
  return value;
}

function bigInteger(raw: Value, least: bigint, most: bigint): bigint {
  if (typeof raw !== 'bigint' && !Number.isInteger(raw)) throw new RangeError(`${show(raw)} is not a whole number`);
  const value = BigInt(raw as bigint | number);
  if (value < least || value > most) throw new RangeError(`${value} is outside of ${least} to ${most}`);
  return value;
}
