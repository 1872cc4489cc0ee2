import { describe, expect, test } from 'vitest';
import { checkPoint } from '../../drivers/modbus/check.js';
import { codecOf } from '../../drivers/modbus/codec.js';
import type { PointType, Value } from '../../src/model.js';
import { pointOf } from '../support/modbus-points.js';

/** Bytes as the value is written on paper, most significant first; the orders below are applied by hand. */
const VALUES: [PointType, Value, string][] = [
  ['bool', true, '0001'],
  ['bool', false, '0000'],
  ['int16', -2, 'fffe'],
  ['int16', 0x1234, '1234'],
  ['uint16', 0xfffe, 'fffe'],
  ['int32', -2, 'fffffffe'],
  ['int32', 0x12345678, '12345678'],
  ['uint32', 0xfedcba98, 'fedcba98'],
  ['float32', 230.5, '43668000'],
  ['float32', 230.15, '43662666'],
  ['float32', -0.1, 'bdcccccd'],
  ['int64', -2n, 'fffffffffffffffe'],
  ['int64', 0x0123456789abcdefn, '0123456789abcdef'],
  ['uint64', 18_446_744_073_709_551_615n, 'ffffffffffffffff'],
  ['uint64', 9_007_199_254_740_993n, '0020000000000001'],
  ['float64', 230.15, '406cc4cccccccccd'],
  ['float64', -1e300, 'fe37e43c8800759c'],
];
/** Which byte of the paper form arrives at each place. */
const PERMUTATIONS: Record<string, Record<number, number[]>> = {
  ABCD: { 2: [0, 1], 4: [0, 1, 2, 3], 8: [0, 1, 2, 3, 4, 5, 6, 7] },
  CDAB: { 2: [0, 1], 4: [2, 3, 0, 1], 8: [6, 7, 4, 5, 2, 3, 0, 1] },
  BADC: { 2: [1, 0], 4: [1, 0, 3, 2], 8: [1, 0, 3, 2, 5, 4, 7, 6] },
  DCBA: { 2: [1, 0], 4: [3, 2, 1, 0], 8: [7, 6, 5, 4, 3, 2, 1, 0] },
};
const LONG: Record<string, string> = { ABCD: 'ABCDEFGH', CDAB: 'GHEFCDAB', BADC: 'BADCFEHG', DCBA: 'HGFEDCBA' };

const decode = (keys: Record<string, unknown>, type: PointType, hex: string): Value =>
  codecOf(pointOf(type, { address: 0, ...keys })).decode(Buffer.from(hex, 'hex'), 0);
const encode = (keys: Record<string, unknown>, type: PointType, raw: Value, present = ''): string => {
  const codec = codecOf(pointOf(type, { address: 0, ...keys }));
  const data = Buffer.alloc(codec.span * 2);
  data.write(present, 'hex');
  codec.encode(raw, data, 0);
  return data.toString('hex');
};

describe('numbers, in every order, both ways', () => {
  for (const [type, value, paper] of VALUES)
    for (const [order, permutations] of Object.entries(PERMUTATIONS))
      test(`${type} ${value} ${order}`, () => {
        const bytes = Buffer.from(paper, 'hex');
        const wire = Buffer.from((permutations[bytes.length] as number[]).map((at) => bytes[at] as number)).toString(
          'hex',
        );
        for (const spelling of [order, LONG[order]]) {
          expect(decode({ order: spelling }, type, wire)).toBe(value);
          expect(encode({ order: spelling }, type, value)).toBe(wire);
        }
      });

  test('are read at any place of a reply', () => {
    const data = Buffer.from('0102039999436680007777', 'hex');
    expect(codecOf(pointOf('float32', { address: 9 })).decode(data, 5)).toBe(230.5);
  });

  test('float32 and float64 that are not numbers give null', () => {
    for (const hex of ['7fc00000', 'ffc00000', '7f800000', 'ff800000']) expect(decode({}, 'float32', hex)).toBeNull();
    for (const hex of ['7ff8000000000000', 'fff0000000000000']) expect(decode({}, 'float64', hex)).toBeNull();
  });
});

describe('bits', () => {
  test('one bit of a register, the others left alone', () => {
    expect(decode({ bit: 3 }, 'bool', '0008')).toBe(true);
    expect(decode({ bit: 3 }, 'bool', 'fff7')).toBe(false);
    expect(decode({ bit: 15 }, 'bool', '8000')).toBe(true);
    expect(decode({ bit: 3, order: 'DCBA' }, 'bool', '0800')).toBe(true);
    expect(encode({ bit: 3 }, 'bool', true, 'a500')).toBe('a508');
    expect(encode({ bit: 15 }, 'bool', false, 'ffff')).toBe('7fff');
    expect(encode({ bit: 0, order: 'BADC' }, 'bool', 1, 'ff00')).toBe('ff00');
  });

  test('some bits of an integer, signed types with their sign', () => {
    expect(decode({ bits: [4, 7] }, 'uint16', 'ab5c')).toBe(5);
    expect(decode({ bits: [12, 15] }, 'int16', 'e000')).toBe(-2);
    expect(decode({ bits: [0, 31] }, 'uint32', 'fffffffe')).toBe(0xfffffffe);
    expect(decode({ bits: [0, 31] }, 'int32', 'fffffffe')).toBe(-2);
    expect(decode({ bits: [8, 23], order: 'CDAB' }, 'uint32', '56781234')).toBe(0x3456);
    expect(encode({ bits: [4, 7] }, 'uint16', 10, 'ffff')).toBe('ffaf');
    expect(encode({ bits: [12, 15] }, 'int16', -2, '0fff')).toBe('efff');
    expect(encode({ bits: [31, 31] }, 'uint32', 1, '00000000')).toBe('80000000');
    expect(encode({ bits: [0, 0] }, 'int16', -1, '0000')).toBe('0001');
    expect(() => encode({ bits: [4, 7] }, 'uint16', 16)).toThrow('16 is outside of 0 to 15');
    expect(() => encode({ bits: [4, 7] }, 'int16', 8)).toThrow('8 is outside of -8 to 7');
  });

  test('tables of bits, the lowest address in the lowest bit', () => {
    const coil = codecOf(pointOf('bool', { table: 'coil', address: 0 }));
    const data = Buffer.from([0b0000_0100, 0b1000_0000]);
    expect([1, 2, 3, 15].map((at) => coil.decode(data, at))).toEqual([false, true, false, true]);
    coil.encode(true, data, 3);
    coil.encode(false, data, 15);
    expect([...data]).toEqual([0b0000_1100, 0]);
  });
});

describe('text', () => {
  test('is cut at the first NUL and trimmed', () => {
    expect(decode({ length: 4 }, 'string', Buffer.from(' AB C\0xy').toString('hex'))).toBe('AB C');
    expect(decode({ length: 2 }, 'string', Buffer.from('ABCD').toString('hex'))).toBe('ABCD');
    expect(decode({ length: 2 }, 'string', '00000000')).toBe('');
  });

  test('has its bytes swapped within registers, never its registers', () => {
    const swapped = Buffer.from('BADC').toString('hex');
    for (const order of ['BADC', 'DCBA']) expect(decode({ length: 2, order }, 'string', swapped)).toBe('ABCD');
    expect(decode({ length: 2, order: 'CDAB' }, 'string', Buffer.from('ABCD').toString('hex'))).toBe('ABCD');
    expect(encode({ length: 2, order: 'BADC' }, 'string', 'ABC')).toBe(Buffer.from('BA\0C').toString('hex'));
  });

  test('comes in UTF-8 or Latin-1', () => {
    expect(decode({ length: 1 }, 'string', 'c2b0')).toBe('°');
    expect(decode({ length: 1, encoding: 'latin1' }, 'string', 'b043')).toBe('°C');
    expect(encode({ length: 2, encoding: 'latin1' }, 'string', '°C')).toBe('b0430000');
    expect(() => encode({ length: 1 }, 'string', '°C')).toThrow('"°C" is longer than 2 bytes');
  });
});

test('what does not fit is refused in words', () => {
  expect(() => encode({}, 'uint16', 65_536)).toThrow('65536 is outside of 0 to 65535');
  expect(() => encode({}, 'int16', -32_769)).toThrow('-32769 is outside of -32768 to 32767');
  expect(() => encode({}, 'uint32', 1.5)).toThrow('1.5 is not a whole number');
  expect(() => encode({}, 'uint64', -1n)).toThrow('-1 is outside of 0 to 18446744073709551615');
  expect(() => encode({}, 'int64', 0.5)).toThrow('0.5 is not a whole number');
  expect(() => encode({}, 'float32', 1e39)).toThrow('1e+39 does not fit a float32');
  expect(() => encode({}, 'float64', Number.NaN)).toThrow('NaN is not a number');
  expect(() => encode({}, 'int16', 'hot')).toThrow('"hot" is not a number');
  expect(() => encode({}, 'bool', 2)).toThrow('2 is neither true nor false');
  expect(() => encode({ length: 2 }, 'string', 7)).toThrow('7 is not text');
});

test('a 64-bit integer may be written from a whole number', () => {
  expect(encode({}, 'uint64', 258)).toBe('0000000000000102');
});

describe('points that cannot be', () => {
  const cases: [PointType, Record<string, unknown>, string | undefined][] = [
    ['uint16', { table: 'coil' }, 'a coil is a single bit: write type: bool'],
    ['bool', { table: 'discrete', bit: 1 }, 'a discrete is a single bit: leave out bit and bits'],
    [
      'float32',
      { table: 'input', access: 'read-write' },
      'table input cannot be written: write access: read, or another table',
    ],
    ['string', {}, 'a string needs its length in registers'],
    ['uint16', { length: 2 }, 'only a string has a length'],
    ['bool', { bit: 1, bits: [1, 2] }, 'write bit or bits, not both'],
    ['uint16', { bit: 1 }, 'bit makes a bool: write type: bool, or bits: [n, n] for a number'],
    ['float32', { bits: [0, 1] }, 'bits are taken from int16, uint16, int32, uint32, not from float32'],
    ['uint16', { bits: [8, 16] }, 'a uint16 has bits 0 to 15'],
    ['float64', { address: 65_533 }, 'a float64 at 65533 reaches beyond the last address, 65535'],
    ['float64', { address: 65_532 }, undefined],
    ['bool', { table: 'coil', access: 'read-write', order: 'DCBA' }, undefined],
    ['uint32', { bits: [16, 31] }, undefined],
  ];
  for (const [type, keys, problem] of cases)
    test(problem ?? `${type} ${JSON.stringify(keys)} can`, () => {
      expect(checkPoint(pointOf(type, { address: 0, ...keys }))).toBe(problem);
    });
});
