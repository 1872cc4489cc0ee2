/** float32 as the shortest decimal that is the same float32: 230.15, not 230.14999389648438. */

const bits = new DataView(new ArrayBuffer(4));

/** 10^0 … 10^22: the powers of ten that a double holds exactly. */
const TEN = Array.from({ length: 23 }, (_, power) => Number(`1e${power}`));

/** Biased binary exponent → decimal exponent of the smallest number of that binade, and the first power of ten above it. */
const DECADE = new Int8Array(256);
const NEXT = new Float64Array(256);
for (let exponent = 1; exponent < 255; exponent += 1) {
  const decade = Number((2 ** (exponent - 127)).toExponential(15).split('e')[1]);
  DECADE[exponent] = decade;
  NEXT[exponent] = Number(`1e${decade + 1}`);
}

/**
 * The number that IEEE 754 single-precision bits stand for, as the double nearest to its shortest decimal; null for NaN and infinities.
 *
 * A float32 is fixed by at most 9 significant digits, and a decimal of at most 6 is found again from its float32. So the first of 6, 7, 8, 9
 * digits that gives the same float32 is the shortest. Rounding to n digits is one product and one division by an exact power of ten, which
 * yields the very double that the decimal's text would.
 */
export function float32(word: number): number | null {
  const exponent = (word >>> 23) & 0xff;
  if (exponent === 0xff) return null;
  bits.setUint32(0, word);
  const exact = bits.getFloat32(0);
  if (Math.trunc(exact) === exact && exact < 16_777_216 && exact > -16_777_216) return exact;
  const size = Math.abs(exact);
  const decade = (DECADE[exponent] as number) + (size >= (NEXT[exponent] as number) ? 1 : 0);
  const short = exponent === 0 || decade < -14 || decade > 27 ? bySearch(size) : byRounding(size, decade);
  return exact < 0 ? -short : short;
}

/** The float32 nearest to a number, as its shortest decimal; what is none, or beyond its range, is not finite. */
export function asFloat32(value: number): number {
  bits.setFloat32(0, value);
  return float32(bits.getUint32(0)) ?? Math.fround(value);
}

function byRounding(size: number, decade: number): number {
  for (let places = 5 - decade; places < 8 - decade; places += 1) {
    const power = TEN[places < 0 ? -places : places] as number;
    const short = places < 0 ? Math.round(size / power) * power : Math.round(size * power) / power;
    if (Math.fround(short) === size) return short;
  }
  const places = 8 - decade;
  const power = TEN[places < 0 ? -places : places] as number;
  return places < 0 ? Math.round(size / power) * power : Math.round(size * power) / power;
}

/** The far ends of the range, where powers of ten are not exact: rare, so by way of text. */
function bySearch(size: number): number {
  for (let digits = 1; digits < 9; digits += 1) {
    const short = Number(size.toPrecision(digits));
    if (Math.fround(short) === size) return short;
  }
  return Number(size.toPrecision(9));
}
