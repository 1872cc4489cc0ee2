/** From values to raw values, for writing: the inverse of scaling, exact or not at all. */
import { TidegateError } from './errors.js';
import { backward, compileLinear, forwardBig } from './linear.js';
import { type Point, Structure, type Value } from './model.js';
import { asDecoded, BITS } from './scaling.js';

/**
 * The raw value that is read as this value. `exponent` is what the point's scale factor says.
 * @throws TidegateError WRITE_REFUSED, in words for people, when the point can have no such value
 */
export function unscale(point: Point, value: Value, exponent = 0): Value {
  const { type, states } = point;
  if (value === null) throw refused(point, 'no value');
  if (states) return asType(point, stateOf(point, states, value));
  if (type === 'string') return typeof value === 'string' ? value : fail(point, `${shown(value)} is not text`);
  if (type === 'json') return value instanceof Structure ? value : fail(point, `${shown(value)} is not a structure`);
  if (type === 'bool') return asType(point, value);
  if (typeof value !== 'number' && typeof value !== 'bigint') throw refused(point, `${shown(value)} is not a number`);
  if (typeof value === 'number' && !Number.isFinite(value)) throw refused(point, `${value} is not a number`);
  const { min, max } = point.limits ?? {};
  if (max !== undefined && value > max) throw refused(point, `${value} is above ${max}`);
  if (min !== undefined && value < min) throw refused(point, `${value} is below ${min}`);
  const raw = asType(point, numberOf(point, value, exponent));
  const reserved = point.invalid?.some((invalid) => asDecoded(invalid, type) === raw);
  return reserved ? fail(point, `${value} is the raw value ${raw}, which means "no value"`) : raw;
}

/** The raw value of a state's name, or of a raw value that has one. */
function stateOf(point: Point, states: ReadonlyMap<number, string>, value: Value): number {
  for (const [raw, name] of states) if (name === value || raw === value) return raw;
  return fail(point, `${shown(value)} is none of its states: ${[...states.values()].join(', ')}`);
}

function numberOf(point: Point, value: number | bigint, exponent: number): number | bigint {
  const { scale, offset } = point.kind === 'scale' ? { scale: 1, offset: 0 } : point;
  const { over, under } = backward(scale, offset, exponent, value);
  const near = over / under;
  if (near * under === over) return near;
  if (BITS[point.type] === undefined) return Number(over) / Number(under);
  // Very long values are rounded when they are read: what is read as this value is meant.
  const line = compileLinear(scale, offset, exponent);
  const far = over < 0n === under < 0n ? near + 1n : near - 1n;
  for (const raw of [near, far]) if (forwardBig(line, raw) === value) return raw;
  const steps = `${forwardBig(line, near)} or ${forwardBig(line, far)}`;
  return fail(point, `${value} lies between two steps: write ${steps}`);
}

/** A raw value as drivers decode and encode the point's type. */
function asType(point: Point, raw: Value): Value {
  const { type } = point;
  if (type === 'bool') {
    if (raw === true || raw === 1 || raw === 1n) return true;
    if (raw === false || raw === 0 || raw === 0n) return false;
    throw refused(point, `${shown(raw)} is neither true nor false`);
  }
  const bits = BITS[type];
  if (bits === undefined) {
    const number = Number(raw);
    const fits = Number.isFinite(type === 'float32' ? Math.fround(number) : number);
    return fits ? number : fail(point, `the raw value ${number} does not fit a ${type}`);
  }
  const whole = BigInt(raw as number | bigint);
  const fits = whole === (type.startsWith('u') ? BigInt.asUintN(bits, whole) : BigInt.asIntN(bits, whole));
  if (!fits) throw refused(point, `the raw value ${whole} does not fit a ${type}`);
  return bits === 64 ? whole : Number(whole);
}

function shown(value: Value): string {
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}

function refused({ id }: Point, why: string): TidegateError {
  return new TidegateError('WRITE_REFUSED', `${id} cannot be written: ${why}`);
}

function fail(point: Point, why: string): never {
  throw refused(point, why);
}
