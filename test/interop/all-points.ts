/**
 * One device with a point of every type and order. Words were worked out with Python's struct module, so that neither our codec
 * nor pymodbus proves itself.
 */
import type { Registers } from './modbus-server.js';

const FLOAT = [0x4366, 0x2666]; // struct.pack('>f', 230.15)
const DOUBLE = [0xc132, 0xd687, 0xe418, 0x9375]; // struct.pack('>d', -1234567.891)
const LONG = [0xf8a4, 0x32eb]; // struct.pack('>i', -123456789)
const BIG = [0x0123, 0x4567, 0x89ab, 0xcdef]; // struct.pack('>q', 81985529216486895)

const swapWords = (words: number[]): number[] => [...words].reverse();
const swapBytes = (words: number[]): number[] => words.map((word) => ((word & 0xff) << 8) | (word >> 8));

/** Id of the point, its keys in the profile, what lies in its registers, and what must arrive at the broker. */
type Row = readonly [id: string, keys: string, words: readonly number[], gives: unknown];

const HOLDING: readonly Row[] = [
  ['float_abcd', 'type: float32', FLOAT, 230.15],
  ['float_cdab', 'type: float32, order: CDAB', swapWords(FLOAT), 230.15],
  ['float_badc', 'type: float32, order: BADC', swapBytes(FLOAT), 230.15],
  ['float_dcba', 'type: float32, order: DCBA', swapBytes(swapWords(FLOAT)), 230.15],
  ['double_abcd', 'type: float64, order: ABCDEFGH', DOUBLE, -1234567.891],
  ['double_cdab', 'type: float64, order: GHEFCDAB', swapWords(DOUBLE), -1234567.891],
  ['double_badc', 'type: float64, order: BADCFEHG', swapBytes(DOUBLE), -1234567.891],
  ['double_dcba', 'type: float64, order: HGFEDCBA', swapBytes(swapWords(DOUBLE)), -1234567.891],
  ['long_abcd', 'type: int32', LONG, -123456789],
  ['long_cdab', 'type: int32, order: CDAB', swapWords(LONG), -123456789],
  ['long_badc', 'type: int32, order: BADC', swapBytes(LONG), -123456789],
  ['long_dcba', 'type: int32, order: DCBA', swapBytes(swapWords(LONG)), -123456789],
  ['big_abcd', 'type: int64, order: ABCDEFGH', BIG, '81985529216486895'],
  ['big_cdab', 'type: int64, order: GHEFCDAB', swapWords(BIG), '81985529216486895'],
  ['big_badc', 'type: uint64, order: BADCFEHG', swapBytes(BIG), '81985529216486895'],
  ['big_dcba', 'type: uint64, order: HGFEDCBA', swapBytes(swapWords(BIG)), '81985529216486895'],
  ['big_negative', 'type: int64', [0xffdf, 0xffff, 0xffff, 0xffff], '-9007199254740993'],
  ['big_unsigned', 'type: uint64', [0xffff, 0xffff, 0xffff, 0xfffe], '18446744073709551614'],
  ['big_exact', 'type: int64', [0x0000, 0x011f, 0x71fb, 0x04cb], 1234567890123],
  ['short', 'type: int16', [0xfffe], -2],
  ['word', 'type: uint16', [0xfffe], 65534],
  ['unsigned', 'type: uint32', [0xee6b, 0x2800], 4000000000],
  ['text', 'type: string, length: 5', [0x5ac3, 0xa468, 0x6c65, 0x7220, 0x3700], 'Zähler 7'],
  ['flag', 'type: bool, bit: 3', [0x0008], true],
  ['nibble', 'type: uint16, bits: [4, 7]', [0x00a0], 10],
  ['scaled', 'type: int16, scale: 0.1, offset: -40', [653], 25.3],
  ['state', 'type: uint16, states: { 0: idle, 3: running }', [3], 'running'],
  ['factor', 'type: int16, kind: scale', [0xfffe], undefined], // consumed by the next one
  ['factored', 'type: uint16, scale_from: factor', [12345], 123.45],
];

const ROOM = 8; // addresses between two points, so that reads are joined over gaps that the device may refuse
const addressOf = (index: number): number => 100 + index * ROOM;

/** The profile, as its author would write it. */
export const ALL_POINTS_PROFILE = `profile: interop/all-points
title: A point of every type and order
driver: modbus
defaults: { every: 100ms }
points:
${HOLDING.map(([id, keys], index) => `  ${id}: { address: ${addressOf(index)}, ${keys} }`).join('\n')}
  from_input: { table: input, address: 7, type: uint16 }
  from_coil: { table: coil, address: 3, type: bool }
  from_discrete: { table: discrete, address: 4, type: bool }
  absent: { address: 5000, type: uint16 }
  invalid: { address: 5010, type: uint16, invalid: [0xffff] }
  doubtful: { address: 5011, type: uint16, limits: { max: 100 } }
`;

/** The device's registers. Nothing lies between its points, and nothing at all at 5000. */
export const ALL_POINTS_REGISTERS: Registers[number] = {
  holding: {
    ...Object.fromEntries(HOLDING.map(([, , words], index) => [addressOf(index), words])),
    5010: [0xffff, 101],
  },
  input: { 7: [4711] },
  coil: { 3: [true] },
  discrete: { 4: [true] },
};

/** What must arrive under `values`. */
export const ALL_POINTS_VALUES: Readonly<Record<string, unknown>> = {
  ...Object.fromEntries(HOLDING.filter(([, , , gives]) => gives !== undefined).map(([id, , , gives]) => [id, gives])),
  from_input: 4711,
  from_coil: true,
  from_discrete: true,
  doubtful: 101,
};
