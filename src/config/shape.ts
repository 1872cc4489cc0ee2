/** What keys a zod schema knows at a path, looking through optional, default, pipes, unions and lists. */
import type { ZodType } from 'zod';
import type { Path } from './source.js';

/** The part of zod's definitions that is looked at. */
interface Def {
  readonly type: string;
  readonly shape?: Record<string, ZodType>;
  readonly innerType?: ZodType;
  readonly in?: ZodType;
  readonly options?: readonly ZodType[];
  readonly left?: ZodType;
  readonly right?: ZodType;
  readonly element?: ZodType;
  readonly valueType?: ZodType;
  readonly getter?: () => ZodType;
}

/** The keys that an object at `path` may have; empty when it is no object, or one with free keys. */
export function knownKeys(schema: ZodType, path: Path): string[] {
  let level = objectsOf(schema);
  for (const step of path) level = level.flatMap((def) => childOf(def, step)).flatMap(objectsOf);
  return [...new Set(level.flatMap((def) => Object.keys(def.shape ?? {})))];
}

/** What the schema says about the value at `path` (`.describe()`), or undefined. */
export function describedAs(schema: ZodType, path: Path): string | undefined {
  let level = [schema];
  for (const step of path) level = level.flatMap(objectsOf).flatMap((def) => childOf(def, step));
  return level.map(ownWords).find((words) => words !== undefined);
}

function ownWords(schema: ZodType): string | undefined {
  const def = schema._zod.def as unknown as Def;
  return (
    schema.description ??
    [def.innerType, def.in].flatMap((part) => (part ? [ownWords(part)] : [])).find((words) => words)
  );
}

function childOf(def: Def, step: string | number): ZodType[] {
  const child = def.shape ? def.shape[String(step)] : (def.element ?? def.valueType);
  return child ? [child] : [];
}

/** The objects, lists and records that a schema may be. */
function objectsOf(schema: ZodType): Def[] {
  const def = schema._zod.def as unknown as Def;
  const inside = [def.innerType, def.in, def.left, def.right, def.getter?.(), ...(def.options ?? [])];
  const parts = inside.filter((part) => part !== undefined);
  return parts.length > 0 ? parts.flatMap(objectsOf) : [def];
}
