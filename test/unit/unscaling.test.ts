/** From values to raw values: what scaling gave is what unscaling takes. */
import { describe, expect, test } from 'vitest';
import { type Point, type PointType, Structure, type Value } from '../../src/model.js';
import { compileScaling } from '../../src/scaling.js';
import { unscale } from '../../src/unscaling.js';
import { random as seeded } from '../support/random.js';

const pointOf = (type: PointType, part: Partial<Point> = {}): Point => ({
  id: 'p',
  type,
  kind: 'gauge',
  access: 'read-write',
  every: 1000,
  scale: 1,
  offset: 0,
  address: undefined,
  ...part,
});
const modes = new Map([
  [0, 'off'],
  [4, 'heating'],
]);

test.each<[string, Point, Value, Value]>([
  ['a decimal that doubles do not hold', pointOf('uint16', { scale: 0.1 }), 230.1, 2301],
  ['another', pointOf('int16', { scale: 0.01, offset: -40 }), -38.9, 110],
  ['a step of three', pointOf('uint16', { scale: 0.3 }), 0.9, 3],
  ['a negative scale', pointOf('int16', { scale: -0.5, offset: 10 }), 7.5, 5],
  ['64 bits, every digit', pointOf('uint64'), 18_446_744_073_709_551_615n, 18_446_744_073_709_551_615n],
  ['64 bits by a factor', pointOf('int64', { scale: 1000 }), -9_007_199_254_740_993_000n, -9_007_199_254_740_993n],
  ['a whole number as 64 bits', pointOf('uint64'), 7, 7n],
  ['a small whole number that is given as bigint', pointOf('uint16'), 7n, 7],
  ['a float of any value', pointOf('float32', { scale: 0.001 }), 0.0021, 2.1],
  ['a very small float', pointOf('float64', { scale: 1e-12 }), 3e-300, 3e-288],
  [
    'a value that was rounded when it was read',
    pointOf('int64', { scale: 1000, offset: 273.15 }),
    91_434_432_256_273.2,
    91_434_432_256n,
  ],
  ['a third', pointOf('float64', { scale: 3 }), 1, 1 / 3],
  ['a name', pointOf('uint16', { states: modes }), 'heating', 4],
  ['a raw value that has a name', pointOf('uint16', { states: modes }), 4, 4],
  ['a name of a bit', pointOf('bool', { states: new Map([[1, 'on']]) }), 'on', true],
  ['a bit', pointOf('bool'), true, true],
  ['a bit as a number', pointOf('bool'), 0, false],
  ['text', pointOf('string'), 'hello', 'hello'],
  ['a limit itself', pointOf('uint16', { limits: { min: 5, max: 5 } }), 5, 5],
  ['a scale factor, as it is', pointOf('int16', { kind: 'scale', scale: 10 }), -2, -2],
])('%s', (_name, point, value, raw) => {
  expect(unscale(point, value)).toBe(raw);
});

test('a scale factor of the device', () => {
  expect(unscale(pointOf('int16', { scaleFrom: 'sf' }), 12.34, -2)).toBe(1234);
  expect(unscale(pointOf('int16', { scaleFrom: 'sf' }), 12_300, 2)).toBe(123);
});

test('a structure', () => {
  const structure = Structure.of({ a: [1] });
  expect(unscale(pointOf('json'), structure)).toBe(structure);
});

test.each<[string, Point, Value, string]>([
  ['between two steps', pointOf('uint16', { scale: 0.5 }), 21.7, '21.7 lies between two steps: write 21.5 or 22'],
  ['between two steps below zero', pointOf('int16', { scale: 0.5 }), -21.7, 'write -21.5 or -22'],
  ['above the limit', pointOf('uint16', { limits: { max: 60 } }), 60.5, '60.5 is above 60'],
  ['below the limit', pointOf('int16', { limits: { min: -5 } }), -6, '-6 is below -5'],
  ['more than the type holds', pointOf('uint16', { scale: 0.1 }), 6553.6, 'the raw value 65536 does not fit a uint16'],
  ['less than the type holds', pointOf('uint64'), -1, 'the raw value -1 does not fit a uint64'],
  ['more than a float holds', pointOf('float32'), 1e39, 'the raw value 1e+39 does not fit a float32'],
  ['infinite', pointOf('float64'), Number.POSITIVE_INFINITY, 'Infinity is not a number'],
  ['not a number', pointOf('uint16'), Number.NaN, 'NaN is not a number'],
  ['text for a number', pointOf('uint16'), '7', '"7" is not a number'],
  ['a number for text', pointOf('string'), 7, '7 is not text'],
  ['a number for a structure', pointOf('json'), 7, '7 is not a structure'],
  ['neither true nor false', pointOf('bool'), 2, '2 is neither true nor false'],
  [
    'a state that is none',
    pointOf('uint16', { states: modes }),
    'cooling',
    '"cooling" is none of its states: off, heating',
  ],
  ['a raw value without a name', pointOf('uint16', { states: modes }), 5, '5 is none of its states: off, heating'],
  ['what means no value', pointOf('int16', { invalid: [0x8000] }), -32_768, 'which means "no value"'],
  ['nothing', pointOf('uint16'), null, 'no value'],
])('%s is refused, with the reason', (_name, point, value, reason) => {
  expect(() => unscale(point, value)).toThrow(
    expect.objectContaining({ code: 'WRITE_REFUSED', message: expect.stringContaining(reason) }),
  );
});

describe('what was read can be written as it is', () => {
  const chance = seeded(7);
  test.each<PointType>(['int16', 'uint16', 'int32', 'uint32', 'int64', 'uint64'])('%s', (type) => {
    const bits = Number(/\d+/.exec(type));
    for (let count = 0; count < 2_000; count++) {
      const scale = [1, 0.1, 0.01, 0.001, 0.25, 0.3, 10, -0.1, 1000][Math.floor(chance() * 9)] as number;
      const offset = [0, -40, 273.15, 0.5][Math.floor(chance() * 4)] as number;
      const point = pointOf(type, { scale, offset });
      // Values of more than 15 digits are rounded when they are read: several raw values may then be read as one value.
      const size = Math.min(bits, 32);
      const whole = BigInt(Math.floor(chance() * 2 ** size));
      const signed = type.startsWith('u') ? whole : BigInt.asIntN(size, whole);
      const raw = bits === 64 ? signed : Number(signed);
      const [value = null] = compileScaling([point]).apply({ values: [raw] }).values;
      expect([scale, offset, unscale(point, value)]).toEqual([scale, offset, raw]);
    }
  });
});
