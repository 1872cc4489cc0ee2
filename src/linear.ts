/** `raw × scale + offset` without binary dust: 2301 × 0.1 gives 230.1, not 230.10000000000002. */

/** 10^0 to 10^22: the powers of ten that a double holds exactly. */
const POWERS = Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`));

/** A compiled line. While |raw| ≤ `safe` and whole, `(raw × multiply + add) / divide` has one rounding only: its result is the exact decimal. */
export interface Linear {
  readonly scale: number;
  readonly offset: number;
  readonly multiply: number;
  readonly add: number;
  readonly divide: number;
  /** -1 when the three numbers above do not fit into whole numbers. */
  readonly safe: number;
}

/** Compiles `raw × scale × 10^exponent + offset`. */
export function compileLinear(scale: number, offset: number, exponent = 0): Linear {
  const factor = decimal(scale);
  const shift = decimal(offset);
  const factorPlaces = factor.places - exponent;
  const places = Math.max(factorPlaces, shift.places, 0);
  const divide = POWERS[places] ?? Number.NaN;
  const multiply = factor.digits * (POWERS[places - factorPlaces] ?? Number.NaN);
  const add = shift.digits * (POWERS[places - shift.places] ?? Number.NaN);
  const exact = Number.isSafeInteger(multiply) && Number.isSafeInteger(add) && !Number.isNaN(divide);
  return {
    scale: exponent === 0 ? scale : Number(`${factor.digits}e${-factorPlaces}`),
    offset,
    multiply,
    add,
    divide,
    safe: exact ? Math.floor((Number.MAX_SAFE_INTEGER - Math.abs(add)) / Math.max(1, Math.abs(multiply))) : -1,
  };
}

/** Raw number to value. */
export function forward(line: Linear, raw: number): number {
  if (raw <= line.safe && raw >= -line.safe && Number.isInteger(raw)) {
    return (raw * line.multiply + line.add) / line.divide;
  }
  return tidy(line.safe >= 0 ? (raw * line.multiply + line.add) / line.divide : raw * line.scale + line.offset);
}

/** Raw 64-bit integer to value: a number, or still a bigint where a whole result would lose digits. */
export function forwardBig(line: Linear, raw: bigint): number | bigint {
  const near = Number(raw);
  if (line.divide === 1 && line.safe >= 0 && Math.abs(near) > line.safe) {
    return raw * BigInt(line.multiply) + BigInt(line.add);
  }
  return forward(line, near);
}

/** Rounds to 15 significant digits, which is what a double holds of any decimal; very small and very large numbers stay as they are. */
function tidy(value: number): number {
  const size = Math.abs(value);
  if (!(size >= 1e-7 && size < 1e15)) return value;
  const power = POWERS[14 - Math.floor(Math.log10(size))] as number;
  return Math.round(value * power) / power;
}

/** A fraction of whole numbers. */
export interface Fraction {
  readonly over: bigint;
  readonly under: bigint;
}

/** Value to raw, without any rounding: `(value − offset) / (scale × 10^exponent)`, each number taken as its shortest decimal. */
export function backward(scale: number, offset: number, exponent: number, value: number | bigint): Fraction {
  const factor = digitsOf(scale);
  const shift = digitsOf(offset);
  const given = digitsOf(value);
  const places = Math.max(given.places, shift.places);
  const over = given.digits * power(places - given.places) - shift.digits * power(places - shift.places);
  // over / 10^places divided by digits / 10^(factor.places − exponent)
  const raise = factor.places - exponent - places;
  return { over: over * power(Math.max(raise, 0)), under: factor.digits * power(Math.max(-raise, 0)) };
}

function power(exponent: number): bigint {
  return 10n ** BigInt(exponent);
}

/** The shortest decimal of a number: `digits / 10^places`. */
function decimal(value: number): { digits: number; places: number } {
  const { digits, places } = digitsOf(value);
  return { digits: Number(digits), places };
}

function digitsOf(value: number | bigint): { digits: bigint; places: number } {
  const [mantissa = '0', exponent = '0'] = String(value).split('e');
  const [whole = '0', fraction = ''] = mantissa.split('.');
  return { digits: BigInt(whole + fraction), places: fraction.length - Number(exponent) };
}
