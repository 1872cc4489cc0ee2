/** From raw values to values: invalid raws, scale and offset, scale factors, states, limits. Drivers only decode; this is the same for all of them. */
import { asFloat32 } from './float32.js';
import { compileLinear, forward, forwardBig, type Linear } from './linear.js';
import type { Decoded, Flaw, Point, PointType, Value } from './model.js';

/** A compiled scaling of one list of points. */
export interface Scaling {
  /** The points that values are given for: the same array when it has no points of kind `scale`, else a shorter one. Compare by identity. */
  readonly points: readonly Point[];
  /** Scales one read, in place: the values given back are the array of the samples. */
  apply(samples: Decoded): Scaled;
}

/** What scaling gives: one value for each of `Scaling.points`, and by index why some are not good. */
export interface Scaled {
  readonly values: Value[];
  readonly flaws?: Map<number, Flaw>;
}

/** The widest scale factor that SunSpec allows (Device Information Model Specification, type sunssf: −10 to 10). */
const MOST_EXPONENT = 10;

/** How many bits the whole-number types have. */
export const BITS: Readonly<Partial<Record<PointType, number>>> = {
  int16: 16,
  uint16: 16,
  int32: 32,
  uint32: 32,
  int64: 64,
  uint64: 64,
};

/** What is to be done with one point; points that stay as decoded have no step. */
interface Step {
  readonly index: number;
  readonly point: Point;
  readonly float: boolean;
  readonly invalid: readonly (number | bigint)[] | undefined;
  readonly states: ReadonlyMap<number, string> | undefined;
  readonly min: number;
  readonly max: number;
  /** Undefined when the raw value is the value. */
  line: Linear | undefined;
  /** Index of the scale factor; -1 for none, -2 for one that is not among the points. */
  readonly factor: number;
  /** The factor that `line` was compiled for. */
  exponent: number;
}

/** Points together with the scale factors (of `all`) that they need and that are not yet among them. */
export function withFactors(points: readonly Point[], all: readonly Point[]): readonly Point[] {
  const needed = new Set(points.map((point) => point.scaleFrom));
  const missing = all.filter((point) => needed.has(point.id) && !points.includes(point));
  return missing.length === 0 ? points : [...points, ...missing];
}

/** Compiles the scaling of a list of points; keep it by the identity of that list. */
export function compileScaling(points: readonly Point[]): Scaling {
  const steps: Step[] = [];
  for (const [index, point] of points.entries()) {
    const step = compileStep(point, index, points);
    if (!step) continue;
    // Factors come first, so that an invalid one is known when its users are scaled.
    if (point.kind === 'scale') steps.unshift(step);
    else steps.push(step);
  }
  const kept = points.flatMap((point, index) => (point.kind === 'scale' ? [] : [index]));
  const all = kept.length === points.length;
  return {
    points: all ? points : kept.map((index) => points[index] as Point),
    apply(samples) {
      const values = samples.values;
      let flaws = samples.flaws;
      for (let i = 0; i < steps.length; i++) {
        const step = steps[i] as Step;
        const raw = values[step.index];
        if (raw === null || raw === undefined) continue;
        const flaw = settle(step, raw, values, flaws);
        if (flaw) {
          flaws ??= new Map();
          flaws.set(step.index, flaw);
        }
      }
      if (all) return { values, flaws };
      return compact(values, flaws, kept);
    },
  };
}

function compileStep(point: Point, index: number, points: readonly Point[]): Step | undefined {
  const { type, states, limits } = point;
  if (type === 'string' || type === 'json' || (type === 'bool' && !states)) return undefined;
  const float = type === 'float32' || type === 'float64';
  const factor =
    point.scaleFrom === undefined ? -1 : (points.findIndex((other) => other.id === point.scaleFrom) + 1 || -1) - 1;
  const plain = states !== undefined || point.kind === 'scale' || (point.scale === 1 && point.offset === 0);
  const invalid = point.invalid?.length ? point.invalid.map((raw) => asDecoded(raw, type)) : undefined;
  const line = plain ? undefined : compileLinear(point.scale, point.offset);
  if (!float && !invalid && !states && !limits && !line && factor === -1) return undefined;
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = limits ?? {};
  return { index, point, float, invalid, states, min, max, line, factor, exponent: 0 };
}

/** Puts the value of one point into its place; says why when it is not good. */
function settle(step: Step, raw: Value, values: Value[], flaws: Map<number, Flaw> | undefined): Flaw | undefined {
  if (step.invalid?.includes(raw as number | bigint)) return lose(step, values, `no value (${asWritten(raw, step)})`);
  if (step.states) {
    const number = Number(raw);
    const name = step.states.get(number);
    values[step.index] = name ?? number;
    return name === undefined ? { quality: 'uncertain', reason: `unknown state ${number}` } : undefined;
  }
  if (step.factor !== -1) {
    const reason = takeFactor(step, values, flaws);
    if (reason !== undefined) return lose(step, values, reason);
  }
  let value = raw as number | bigint;
  if (step.line) value = typeof value === 'bigint' ? forwardBig(step.line, value) : forward(step.line, value);
  if (step.float && !Number.isFinite(value)) return lose(step, values, `no value (${value})`);
  values[step.index] = value;
  if (value > step.max) return { quality: 'uncertain', reason: `above ${step.max}` };
  if (value < step.min) return { quality: 'uncertain', reason: `below ${step.min}` };
  return undefined;
}

function lose(step: Step, values: Value[], reason: string): Flaw {
  values[step.index] = null;
  return { quality: 'bad', reason };
}

/** Why a raw value is of no use as a scale factor; undefined when it is. */
export function faultOfFactor(exponent: Value | undefined): string | undefined {
  if (exponent === null || exponent === undefined) return 'no value';
  if (exponent === -32768) return 'no value (0x8000)';
  if (typeof exponent === 'number' && Number.isInteger(exponent) && Math.abs(exponent) <= MOST_EXPONENT)
    return undefined;
  return `${exponent} is out of range`;
}

/** Makes the step's line fit the scale factor just read; gives the reason when that factor is of no use. */
function takeFactor(step: Step, values: Value[], flaws: Map<number, Flaw> | undefined): string | undefined {
  const exponent = values[step.factor];
  if (exponent === step.exponent) return undefined;
  const name = `scale factor ${step.point.scaleFrom}`;
  if (step.factor < 0) return `${name}: not read`;
  const fault = flaws?.get(step.factor)?.reason ?? faultOfFactor(exponent);
  if (fault !== undefined) return `${name}: ${fault}`;
  step.line = compileLinear(step.point.scale, step.point.offset, exponent as number);
  step.exponent = exponent as number;
  return undefined;
}

/** Closes the gaps that points of kind `scale` leave. */
function compact(values: Value[], flaws: Map<number, Flaw> | undefined, kept: readonly number[]): Scaled {
  let left: Map<number, Flaw> | undefined;
  for (const [to, from] of kept.entries()) {
    values[to] = values[from] as Value;
    const flaw = flaws?.get(from);
    if (flaw) {
      left ??= new Map();
      left.set(to, flaw);
    }
  }
  values.length = kept.length;
  return { values, flaws: left };
}

/** An invalid raw value as the driver decodes it: `0x8000` of an int16 is −32768, that of an int64 a bigint, that of a float32 its shortest decimal. */
export function asDecoded(raw: number | bigint, type: PointType): number | bigint {
  const bits = BITS[type];
  if (bits !== undefined && (typeof raw === 'bigint' || Number.isInteger(raw))) {
    const pattern = BigInt.asUintN(bits, BigInt(raw));
    const decoded = type.startsWith('u') ? pattern : BigInt.asIntN(bits, pattern);
    return bits === 64 ? decoded : Number(decoded);
  }
  return type === 'float32' ? asFloat32(Number(raw)) : Number(raw);
}

/** A raw value as vendors' documents write it: whole numbers in hexadecimal, as many digits as the type has. */
function asWritten(raw: Value, step: Step): string {
  const bits = BITS[step.point.type];
  if (bits === undefined || (typeof raw !== 'number' && typeof raw !== 'bigint')) return String(raw);
  return `0x${BigInt.asUintN(bits, BigInt(raw))
    .toString(16)
    .toUpperCase()
    .padStart(bits / 4, '0')}`;
}
