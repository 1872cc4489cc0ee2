/** Structures (OPC UA Part 3 §8): what their fields are is told by the server, in whatever way it has. */
import { type DataValue, promoteOpaqueStructure } from 'node-opcua-client';
import { messageOf } from '../../src/errors.js';
import { BUILT_IN } from './built-in.js';
import type { Wire } from './wire.js';

const STRUCTURE = BUILT_IN.get('ExtensionObject');

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
}

/** What a structure's class says of its fields. */
interface Schema {
  readonly name: string;
  fields?: readonly Field[];
  getBaseSchema?(): Schema | null | undefined;
}

/**
 * Gives structures of the server's own types their fields: by the types' definitions, which are read when first met, or by the
 * dictionaries that servers had before OPC UA 1.04. What cannot be opened stays as it is, and is one bad point each.
 */
export async function openStructures(wire: Wire, values: readonly DataValue[]): Promise<void> {
  const closed = values.filter(({ value }) => (value?.dataType as number | undefined) === STRUCTURE);
  if (closed.length === 0) return;
  try {
    await promoteOpaqueStructure(wire.session, closed);
  } catch (error) {
    wire.log.debug(`the fields of a structure cannot be read: ${messageOf(error)}`);
  }
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
  const fields = [...inherited, ...schema.fields];
  known.set(schema, fields);
  return fields;
}

/** Number of the built-in type that a field is made of; undefined for a structure. Enumerations are Int32 (OPC UA Part 6 §5.2.4). */
export function builtInOf({ category, fieldType, basicDataType, schema }: Field): number | undefined {
  if (category === 'enumeration') return BUILT_IN.get('Int32');
  if (category === 'complex') return undefined;
  return BUILT_IN.get(fieldType) ?? (basicDataType || BUILT_IN.get(schema?.subType ?? ''));
}
