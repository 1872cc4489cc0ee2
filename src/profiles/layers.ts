/** The points of a profile as though all were written out: `extends`, `defaults` and `repeat` resolved, each key still knowing where it was written. */
import { check, type Where } from '../config/check.js';
import type { Path, Source } from '../config/source.js';
import type { TidegateError } from '../errors.js';
import { pointId, repeatSchema, type WrittenProfile } from './schema.js';

/** A profile file as read. */
export interface ProfileFile {
  readonly source: Source;
  readonly written: WrittenProfile;
}

/** One point, all its keys together. */
export interface MergedPoint {
  readonly id: string;
  /** The id as written: `voltage_l{n}` for each point of a numbered block. */
  readonly block: string;
  readonly keys: Readonly<Record<string, unknown>>;
  readonly where: Where;
}

type Keys = Readonly<Record<string, unknown>>;

/** One place that gives keys to a point. */
interface Layer {
  readonly keys: Keys;
  readonly source: Source;
  readonly path: Path;
}

/** All points of `own`, which may extend `parent`: as though the parent's text stood above. */
export function mergePoints(
  own: ProfileFile,
  parent: ProfileFile | undefined,
  problems: TidegateError[],
): MergedPoint[] {
  const defaults = [...(parent ? [layerOf(parent, ['defaults'])] : []), layerOf(own, ['defaults'])];
  const points: MergedPoint[] = [];
  for (const id of new Set([...Object.keys(parent?.written.points ?? {}), ...Object.keys(own.written.points)])) {
    const mine = own.written.points[id];
    const theirs = parent?.written.points[id];
    if (mine === null) {
      if (!theirs) problems.push(nothingToRemove(own, parent, id));
      continue;
    }
    const layers = [...defaults];
    if (parent && theirs) layers.push(layerOf(parent, ['points', id]));
    if (mine) layers.push(layerOf(own, ['points', id]));
    points.push(...repeated(id, layers, problems));
  }
  reportTwins(points, problems);
  return points;
}

function layerOf({ source, written }: ProfileFile, path: readonly ['defaults'] | readonly ['points', string]): Layer {
  const keys = path[0] === 'defaults' ? written.defaults : (written.points[path[1]] ?? {});
  return { keys, source, path };
}

function nothingToRemove(own: ProfileFile, parent: ProfileFile | undefined, id: string): TidegateError {
  const message = parent
    ? `there is no point "${id}" to remove in ${parent.written.profile}`
    : `the point "${id}" is empty`;
  const hint = parent
    ? 'null removes a point of the profile that is extended'
    : 'write its keys: null only removes a point with `extends`';
  return own.source.problem('CONFIG_UNKNOWN_NAME', ['points', id], message, { hint, key: true });
}

/** The point itself, or the points that its `repeat` makes. */
function repeated(id: string, layers: Layer[], problems: TidegateError[]): MergedPoint[] {
  const { repeat: written, ...keys } = stacked(layers);
  const top = layers.at(-1) as Layer;
  const where: Where = (path) => {
    const owner = layers.findLast((layer) => path[0] !== undefined && path[0] in layer.keys) ?? top;
    return { source: owner.source, path: [...owner.path, ...path] };
  };
  const say = (message: string, hint: string, key?: string) => {
    const { source, path } = where(key === undefined ? [] : [key]);
    problems.push(source.problem('CONFIG_CONFLICT', path, message, { hint, key: true }));
    return [];
  };

  const numbered = id.includes('{n}');
  if (written === undefined && numbered)
    return say(`"${id}" has {n}, but no repeat`, 'write repeat: { count: 3, step: 2 }');
  if (!pointId.safeParse(id.replaceAll('{n}', '1')).success) {
    const hint = pointId.safeParse(id).error?.issues[0]?.message ?? '';
    problems.push(top.source.problem('CONFIG_VALUE', top.path, `"${id}" cannot be a point id`, { hint, key: true }));
    return [];
  }
  if (written === undefined) return [{ id, block: id, keys, where }];
  if (!numbered)
    return say(`repeat needs a number in the id "${id}"`, `write {n} where it stands: "${id}_{n}"`, 'repeat');

  const block = check(repeatSchema, top.source, written, (path) => where(['repeat', ...path]), problems);
  if (!block) return [];
  const { address } = keys;
  if (typeof address === 'number' && block.step === undefined && block.count > 1)
    return say('repeat has no step', 'write by how much the address grows, such as step: 2', 'repeat');
  return Array.from({ length: block.count }, (_, index) => {
    const fill = (value: unknown) =>
      typeof value === 'string' ? value.replaceAll('{n}', String(block.from + index)) : value;
    const filled = Object.fromEntries(Object.entries(keys).map(([key, value]) => [key, fill(value)]));
    if (typeof address === 'number') filled.address = address + (block.step ?? 0) * index;
    return { id: String(fill(id)), block: id, keys: filled, where };
  });
}

/** All keys, the upper layers' above the lower ones'. Null takes away what a lower layer gives; where there is nothing to take away it stays, a mistake. */
function stacked(layers: readonly Layer[]): Keys {
  const keys: Record<string, unknown> = {};
  for (const layer of layers)
    for (const [key, value] of Object.entries(layer.keys)) {
      if (value === null && key in keys) delete keys[key];
      else keys[key] = value;
    }
  return keys;
}

function reportTwins(points: readonly MergedPoint[], problems: TidegateError[]): void {
  const seen = new Set<string>();
  for (const { id, where } of points) {
    const { source, path } = where([]);
    const hint = 'a numbered block (repeat) makes a point that is also written out';
    if (seen.has(id))
      problems.push(source.problem('CONFIG_CONFLICT', path, `the point "${id}" is there twice`, { hint, key: true }));
    seen.add(id);
  }
}
