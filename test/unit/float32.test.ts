import { describe, expect, test } from 'vitest';
import { asFloat32, float32 } from '../../src/float32.js';
import { random as seeded } from '../support/random.js';

describe('float32 as the shortest decimal', () => {
  const view = new DataView(new ArrayBuffer(4));
  const numberOf = (word: number): number => {
    view.setUint32(0, word);
    return view.getFloat32(0);
  };
  /** The definition itself, by way of text. */
  const shortest = (exact: number): number => {
    for (let digits = 1; digits < 9; digits += 1)
      if (Math.fround(Number(exact.toPrecision(digits))) === exact) return Number(exact.toPrecision(digits));
    return Number(exact.toPrecision(9));
  };
  const check = (word: number): void => {
    const exact = numberOf(word);
    if (!Number.isFinite(exact) || exact === 0) return;
    if (float32(word) !== shortest(exact))
      expect(`${word.toString(16)} ${float32(word)}`).toBe(`${word.toString(16)} ${shortest(exact)}`);
  };

  test('for random bits, decimals of few digits, and every power of two', () => {
    const random = seeded(7);
    for (let count = 0; count < 100_000; count += 1) check(Math.floor(random() * 2 ** 32));
    for (let count = 0; count < 100_000; count += 1) {
      view.setFloat32(0, Math.floor(random() * 1e7) / 10 ** Math.floor(random() * 8));
      check(view.getUint32(0));
    }
    for (let exponent = 0; exponent < 255; exponent += 1)
      for (const mantissa of [0, 1, 0x7fffff, 0x400000]) check(((exponent << 23) | mantissa) >>> 0);
  });

  test('of any number, the nearest', () => {
    expect([0.1, -230.149_993_896_484_38, 16_777_217, -0].map(asFloat32)).toEqual([0.1, -230.15, 16_777_216, -0]);
    expect([1e39, -1e39, Number.NaN].map(asFloat32)).toEqual([Infinity, -Infinity, Number.NaN]);
  });

  test('at the ends', () => {
    expect(float32(0)).toBe(0);
    expect(float32(1)).toBe(1e-45);
    expect(float32(0x7f7fffff)).toBe(3.4028235e38);
    expect(float32(0xff7fffff)).toBe(-3.4028235e38);
    expect(float32(0x4b7fffff)).toBe(16_777_215);
    expect(float32(0x00800000)).toBe(1.1754944e-38);
  });
});
