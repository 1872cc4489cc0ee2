/** Keys of a point that cannot mean anything together, in any driver. */
import type { Point, PointType } from '../model.js';

/** A key that does not fit the others of its point. */
export interface Mismatch {
  /** Below the point, as written in the profile. */
  readonly path: readonly string[];
  readonly message: string;
  readonly hint: string;
}

/** Least and most raw value of the integer types. */
const RANGES: Partial<Record<PointType, readonly [bigint, bigint]>> = {
  bool: [0n, 1n],
  int16: [-(2n ** 15n), 2n ** 15n - 1n],
  uint16: [0n, 2n ** 16n - 1n],
  int32: [-(2n ** 31n), 2n ** 31n - 1n],
  uint32: [0n, 2n ** 32n - 1n],
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
  uint64: [0n, 2n ** 64n - 1n],
};

/** What of a point contradicts its type or kind. */
export function mismatches(point: Point): Mismatch[] {
  return [...aboutStates(point), ...aboutNumbers(point), ...aboutRaw(point)];
}

function aboutStates({ type, states, scale, offset, scaleFrom }: Point): Mismatch[] {
  if (!states) return [];
  if (!(type in RANGES))
    return [
      {
        path: ['states'],
        message: `a ${type} has no states`,
        hint: 'states name the values of a whole number or bool',
      },
    ];
  const scaled = scale !== 1 ? 'scale' : offset !== 0 ? 'offset' : scaleFrom !== undefined ? 'scale_from' : undefined;
  return scaled === undefined
    ? []
    : [{ path: [scaled], message: `${scaled} has no use beside states`, hint: 'states name raw values' }];
}

/** Keys that only numbers can have. */
function aboutNumbers(point: Point): Mismatch[] {
  const { type, kind, states, scale, offset, scaleFrom, limits, deadband } = point;
  if (kind === 'scale' && type !== 'int16')
    return [
      {
        path: ['type'],
        message: `a scale factor is an int16, not ${type}`,
        hint: 'it holds a power of ten, from -10 to 10',
      },
    ];
  if (type !== 'bool' && type !== 'string' && type !== 'json' && !states) return [];
  const what = states ? 'a point with states' : `a ${type}`;
  const wrong: [key: string, present: boolean][] = [
    ['kind', kind === 'counter'],
    ['scale', !states && scale !== 1],
    ['offset', !states && offset !== 0],
    ['scale_from', !states && scaleFrom !== undefined],
    ['limits', limits !== undefined],
    ['deadband', deadband !== undefined],
  ];
  return wrong
    .filter(([, present]) => present)
    .map(([key]) => ({
      path: [key],
      message: `${what} has no ${key === 'kind' ? 'count' : key}`,
      hint: 'only numbers can: remove it',
    }));
}

/** Raw values that the type can never have. Those of `invalid` may also be written as bits (0x8000 of an int16). */
function aboutRaw({ type, invalid, states }: Point): Mismatch[] {
  const range = RANGES[type];
  if ((type === 'string' || type === 'json') && invalid)
    return [{ path: ['invalid'], message: `a ${type} has no invalid numbers`, hint: 'remove it' }];
  if (!range) return [];
  const [least, most] = range;
  const outside = (path: string[], raw: number | bigint, top: bigint): Mismatch[] => {
    const value = BigInt(raw);
    if (value >= least && value <= top) return [];
    const hint =
      value > most && least < 0n && value <= 2n * most + 1n
        ? `as ${type} it is ${value - 2n * (most + 1n)}`
        : undefined;
    return [
      {
        path,
        message: `the raw value of ${type} can never be ${raw}`,
        hint: hint ?? `${type} goes from ${least} to ${most}`,
      },
    ];
  };
  return [
    ...(invalid ?? []).flatMap((raw) => outside(['invalid'], raw, least < 0n ? 2n * most + 1n : most)),
    ...[...(states?.keys() ?? [])].flatMap((raw) => outside(['states', String(raw)], raw, most)),
  ];
}
