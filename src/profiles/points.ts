/** From what a profile writes about a point to the point itself. */
import { check } from '../config/check.js';
import { hintFor } from '../config/suggest.js';
import type { Driver } from '../driver.js';
import type { TidegateError } from '../errors.js';
import type { Point } from '../model.js';
import type { MergedPoint } from './layers.js';
import { pointSchema, type WrittenPoint } from './schema.js';
import { mismatches } from './sense.js';

const COMMON = Object.keys(pointSchema.shape);

/** The points, checked one by one and against each other; those that are wrong are left out and said in `problems`. */
export function buildPoints(merged: readonly MergedPoint[], driver: Driver, problems: TidegateError[]): Point[] {
  const points: Point[] = [];
  const places = new Map<string, MergedPoint>();
  for (const one of merged) {
    const point = buildPoint(one, driver, problems);
    if (!point) continue;
    points.push(point);
    places.set(point.id, one);
  }
  const factors = merged.filter(({ keys }) => keys.kind === 'scale').map(({ id }) => id);
  for (const { id, scaleFrom } of points) {
    if (scaleFrom === undefined || factors.includes(scaleFrom)) continue;
    const { source, path } = (places.get(id) as MergedPoint).where(['scale_from']);
    const known = merged.some((other) => other.id === scaleFrom);
    problems.push(
      known
        ? source.problem('CONFIG_CONFLICT', path, `"${scaleFrom}" is not of kind scale`, {
            hint: 'give that point kind: scale',
          })
        : source.problem('CONFIG_UNKNOWN_NAME', path, `no point is called "${scaleFrom}"`, hinted(scaleFrom, factors)),
    );
  }
  return points;
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
  for (const { key, message, hint } of mismatches(point)) {
    const at = where([key]);
    problems.push(at.source.problem('CONFIG_CONFLICT', at.path, message, { hint }));
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
    ...(invalid && { invalid }),
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

function hinted(word: string, known: readonly string[]): { hint?: string } {
  const hint = hintFor(word, known);
  return hint === undefined ? {} : { hint };
}
