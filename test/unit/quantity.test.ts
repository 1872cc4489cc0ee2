import { expect, test } from 'vitest';
import { bytesText, countText, quantityText, unitText } from '../../src/cli/quantity.js';

test.each([
  ['Cel', '°C'],
  ['[degF]', '°F'],
  ['m3', 'm³'],
  ['m3/h', 'm³/h'],
  ['W/m2', 'W/m²'],
  ['kW.h', 'kWh'],
  ['kWh', 'kWh'],
  ['%', '%'],
  ['uS/cm', 'µS/cm'],
  ['Ohm', 'Ω'],
  ['{rpm}', 'rpm'],
  ['N.m', 'N·m'],
  ['1', ''],
  ['{count}', ''],
  [undefined, ''],
])('the unit %s is written %s', (unit, sign) => expect(unitText(unit)).toBe(sign));

test.each([
  [230.15, 'V', '230.15 V'],
  [0.1 + 0.2, 'A', '0.3 A'],
  [1234567.891, 'W', '1234568 W'],
  [123456789012, 'W.h', '123456789012 Wh'],
  [2n ** 63n, 'W.h', '9223372036854775808 Wh'],
  [-0.00001234, undefined, '-0.00001234'],
  [true, undefined, 'true'],
  ['run\tning', undefined, 'run·ning'],
  [null, 'V', '–'],
])('the value %s %s is written %s', (value, unit, text) => expect(quantityText(value, unit)).toBe(text));

test('counts and bytes are short', () => {
  expect([0, 999, 1_000, 1_234_567].map(countText)).toEqual(['0', '999', '1 000', '1 234 567']);
  expect([0, 999, 64_000, 2_500_000, 3e9].map(bytesText)).toEqual(['0 B', '999 B', '64 kB', '2.5 MB', '3.0 GB']);
});
