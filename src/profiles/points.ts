/** From what a profile writes about a point to the point itself. */
import { check } from '../config/check.js';
import { hintFor } from '../config/suggest.js';
import type { Driver } from '../driver.js';
import { TidegateError } from '../errors.js';
import type { Point } from '../model.js';
import type { MergedPoint } from './layers.js';
import { pointSchema, type WrittenPoint } from './schema.js';
import { mismatches } from './sense.js';

const COMMON = Object.keys(pointSchema.shape);

/** Points that are sound, and the ids of those that are not. */
export interface BuiltPoints {
  readonly points: Point[];
  readonly leftOut: string[];
}

/** Checks the points one by one and against each other; adds what is wrong to `problems`. */
export function buildPoints(merged: readonly MergedPoint[], driver: Driver, problems: TidegateError[]): BuiltPoints {
  const points: Point[] = [];
  const leftOut: string[] = [];
  const factors = merged.filter(({ keys }) => keys.kind === 'scale').map(({ id }) => id);
  const failed = new Set<string>();
  const begun = new Set<string>();
  for (const one of merged) {
    const found: TidegateError[] = [];
    // What is wrong with a numbered block is said once, not for each of its points.
    const point = failed.has(one.block) ? undefined : buildPoint(one, driver, found);
    if (point) checkFactor(point, one, merged, factors, found);
    if (point && found.length === 0) points.push(point);
    else leftOut.push(one.id);
    if (found.length > 0) failed.add(one.block);
    problems.push(...(begun.has(one.block) ? found.map((problem) => naming(one.id, problem)) : found));
    begun.add(one.block);
  }
  return { points, leftOut };
}

/** A scale factor must be there, and be one. */
function checkFactor(
  { scaleFrom }: Point,
  { where }: MergedPoint,
  merged: readonly MergedPoint[],
  factors: readonly string[],
  problems: TidegateError[],
): void {
  if (scaleFrom === undefined || factors.includes(scaleFrom)) return;
  const { source, path } = where(['scale_from']);
  if (merged.some(({ id }) => id === scaleFrom)) {
    const hint = 'give that point kind: scale';
    problems.push(source.problem('CONFIG_CONFLICT', path, `"${scaleFrom}" is not of kind scale`, { hint }));
    return;
  }
  const hint = hintFor(scaleFrom, factors);
  const options = hint === undefined ? {} : { hint };
  problems.push(source.problem('CONFIG_UNKNOWN_NAME', path, `no point is called "${scaleFrom}"`, options));
}

/** The same problem, saying which point of a numbered block it is about. */
function naming(id: string, { code, message, place, hint }: TidegateError): TidegateError {
  return new TidegateError(code, `${id}: ${message}`, { ...(place && { place }), ...(hint !== undefined && { hint }) });
}

function buildPoint({ id, keys, where }: MergedPoint, driver: Driver, problems: TidegateError[]): Point | undefined {
  const common: Record<string, unknown> = {};
  const rest: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(keys)) (COMMON.includes(key) ? common : rest)[key] = value;
  const { source } = where([]);
  const before = problems.length;
  const written = check(pointSchema, source, common, where, problems);
  const address = check(driver.address, source, rest, where, problems, { known: COMMON });
  if (!written || address === undefined || problems.length > before) return undefined;

  const point: Point = { ...fromWritten(id, written), address };
  for (const { path, message, hint } of mismatches(point)) {
    const at = where(path);
    problems.push(at.source.problem('CONFIG_CONFLICT', at.path, message, { hint, key: path.length > 1 }));
  }
  const wrong = problems.length > before ? undefined : driver.checkPoint(point);
  if (wrong !== undefined) {
    const at = where([]);
    problems.push(at.source.problem('CONFIG_CONFLICT', at.path, `${id}: ${wrong}`, { key: true }));
  }
  return problems.length > before ? undefined : point;
}

/** Everything of a point but its address. Keys that are absent stay absent, so that all points of a profile have few shapes. */
function fromWritten(id: string, written: WrittenPoint): Omit<Point, 'address'> {
  const { type, kind, access, every, scale, offset, unit, scale_from, invalid, states, limits, deadband, description } =
    written;
  return {
    id,
    type,
    kind,
    access,
    every,
    scale,
    offset,
    ...(unit !== undefined && { unit }),
    ...(scale_from !== undefined && { scaleFrom: scale_from }),
    ...(invalid?.length && { invalid }),
    ...(states && { states: new Map(Object.entries(states).map(([raw, name]) => [Number(raw), name])) }),
    ...(limits && {
      limits: {
        ...(limits.min !== undefined && { min: limits.min }),
        ...(limits.max !== undefined && { max: limits.max }),
      },
    }),
    ...(deadband !== undefined && { deadband }),
    ...(description !== undefined && { description }),
  };
}
