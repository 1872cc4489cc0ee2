/** Structures (OPC UA Part 3 §8) as the library hands them over: objects whose class says what their fields are. */
import { BUILT_IN } from './built-in.js';

/** One field, as the library describes it. */
export interface Field {
  /** What it is called in the library's object. */
  readonly name: string;
  /** What the server calls it. */
  readonly originalName: string;
  readonly category: 'basic' | 'enumeration' | 'complex';
  readonly fieldType: string;
  readonly isArray?: boolean;
  /** Number of the built-in type that a type of the server is made of. */
  readonly basicDataType?: number;
  readonly schema?: { readonly subType?: string };
  /** Of a union: the number that says that it holds this field. */
  readonly switchValue?: number;
}

/** What a structure's class says of its fields. */
interface Schema {
  readonly name: string;
  fields?: readonly Field[];
  getBaseSchema?(): Schema | null | undefined;
}

/** The fields of a structure, those of the types that it extends first; undefined when they are not known. */
export function fieldsOf(structure: object): readonly Field[] | undefined {
  const { schema, buffer } = structure as { schema?: Schema; buffer?: unknown };
  return schema === undefined || buffer instanceof Uint8Array ? undefined : fieldsIn(schema);
}

const known = new WeakMap<Schema, readonly Field[]>();

function fieldsIn(schema: Schema): readonly Field[] {
  const seen = known.get(schema);
  if (seen) return seen;
  const base = schema.getBaseSchema?.();
  const inherited = base && base !== schema ? fieldsIn(base) : [];
  // A definition lists the fields of the types that it extends once more; the library, which knows them from there, would write them twice.
  schema.fields = (schema.fields ?? []).filter(({ name }) => !inherited.some((field) => field.name === name));
  const all = [...inherited, ...schema.fields];
  // What says which field a union holds is none itself.
  const fields = isUnion(all) ? all.filter(({ switchValue }) => switchValue !== undefined) : all;
  known.set(schema, fields);
  return fields;
}

/** Whether only one of the fields is held. */
export function isUnion(fields: readonly Field[]): boolean {
  return fields.some(({ switchValue }) => switchValue !== undefined);
}

/** Number of the built-in type that a field is made of; undefined for a structure. Enumerations are Int32 (OPC UA Part 6 §5.2.4). */
export function builtInOf({ category, fieldType, basicDataType, schema }: Field): number | undefined {
  if (category === 'enumeration') return BUILT_IN.get('Int32');
  if (category === 'complex') return undefined;
  return BUILT_IN.get(fieldType) ?? (basicDataType || BUILT_IN.get(schema?.subType ?? ''));
}
