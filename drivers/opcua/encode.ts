/** From raw values to what a server's variable takes: as the type that it holds, or not at all. */
import { Structure, type Value } from '../../src/model.js';
import { BUILT_IN, builtInName, WHOLE } from './built-in.js';
import { builtInOf, fieldsOf, isUnion } from './structures.js';
import { Unfit, type Variant } from './values.js';

const STRUCTURE = BUILT_IN.get('ExtensionObject') as number;

const ISO = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/;
const BASE64 = /^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/**
 * A raw value as a Variant (OPC UA Part 6 §5.2.2.16) of the type, and with the fields, of what is held now. A list takes any number of
 * elements, a matrix its rows as lists; fields of a structure that are not given stay as they are.
 */
export function encode({ dataType, arrayType, value: held, dimensions: now }: Variant, raw: Value): Variant | Unfit {
  const given: unknown = raw instanceof Structure ? raw.toJSON() : raw;
  try {
    if (arrayType === 0) return { dataType, arrayType, value: one(dataType, given, held) };
    const rank = arrayType === 2 ? (now?.length ?? 2) : 1;
    const list = Array.isArray(given) ? given : wrapped(given, rank);
    const shape = arrayType === 2 && { dimensions: shapeOf(list, rank) };
    const kept = (held ?? []) as ArrayLike<unknown>;
    const value = list.flat(rank - 1).map((element, index) => one(dataType, element, kept[index] ?? kept[0]));
    return { dataType, arrayType, value, ...shape };
  } catch (error) {
    if (error instanceof Unfit) return error;
    throw error;
  }
}

/** One value as a list, or as a matrix, of nothing else. */
function wrapped(value: unknown, rank: number): unknown[] {
  return rank === 1 ? [value] : [wrapped(value, rank - 1)];
}

/** Sizes of a matrix of so many dimensions. */
function shapeOf(rows: readonly unknown[], rank: number): number[] {
  const [first] = rows;
  if (rank === 1 && !rows.some(Array.isArray)) return [rows.length];
  if (rank === 1 || !Array.isArray(first))
    throw new Unfit('is a matrix: write its rows as lists, one within the other for each dimension');
  if (rows.some((row) => !Array.isArray(row) || row.length !== first.length))
    throw new Unfit('the rows of a matrix are of one length');
  const [inner, ...others] = rows.map((row) => shapeOf(row as unknown[], rank - 1));
  if (others.some((other) => String(other) !== String(inner)))
    throw new Unfit('the rows of a matrix are of one length');
  return [rows.length, ...(inner ?? [])];
}

/** @throws Unfit */
function one(dataType: number, value: unknown, held: unknown): unknown {
  if (dataType === STRUCTURE) return structure(value, held);
  const name = builtInName(dataType);
  const encoded = scalar(name, value);
  if (encoded !== undefined) return encoded;
  throw new Unfit(`${shown(value)} does not fit ${name}`);
}

/** @throws Unfit */
function structure(given: unknown, held: unknown): unknown {
  if (typeof held !== 'object' || held === null)
    throw new Unfit('holds nothing now: its fields are not known, so it cannot be written');
  const fields = fieldsOf(held);
  if (fields === undefined) throw new Unfit('is a structure of which the server does not tell the fields');
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new Unfit(
      `${shown(given)} does not fit a structure: write its fields, as { "${fields[0]?.originalName}": … }`,
    );
  const names = fields.map(({ originalName }) => originalName);
  const stranger = Object.keys(given).find((key) => !names.includes(key));
  if (stranger !== undefined) throw new Unfit(`has no field ${stranger}; it has ${names.join(', ')}`);
  if (isUnion(fields) && Object.keys(given).length !== 1)
    throw new Unfit(`holds one field at a time: write one of its fields: ${names.join(', ')}`);
  const now = held as Readonly<Record<string, unknown>>;
  const all: Record<string, unknown> = {};
  for (const field of fields) {
    const { name, originalName, isArray } = field;
    const value = (given as Readonly<Record<string, unknown>>)[originalName];
    const dataType = builtInOf(field) ?? STRUCTURE;
    const old = now[name];
    if (value === undefined && isUnion(fields)) continue;
    all[name] =
      value === undefined
        ? old
        : within(originalName, () => (isArray ? listOf(dataType, value, old) : one(dataType, value, old)));
  }
  return new (held.constructor as new (fields: object) => object)(all);
}

/** @throws Unfit */
function listOf(dataType: number, value: unknown, held: unknown): unknown[] {
  if (!Array.isArray(value)) throw new Unfit(`${shown(value)} is no list`);
  const kept = (held ?? []) as ArrayLike<unknown>;
  return value.map((element, index) => one(dataType, element, kept[index] ?? kept[0]));
}

/** Says in which field something is wrong. */
function within<T>(field: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof Unfit)) throw error;
    throw new Unfit(/^\w+(\.\w+)*: /.test(error.reason) ? `${field}.${error.reason}` : `${field}: ${error.reason}`);
  }
}

/** Undefined when it does not fit. */
function scalar(name: string, value: unknown): unknown {
  const range = WHOLE[name];
  if (range) return whole(name, range, value);
  switch (name) {
    case 'Boolean':
      return typeof value === 'boolean' ? value : value === 0 || value === 1 ? value === 1 : undefined;
    case 'Float':
    case 'Double': {
      const number = typeof value === 'bigint' ? Number(value) : value;
      if (typeof number !== 'number' || !Number.isFinite(number)) return undefined;
      return name === 'Float' && !Number.isFinite(Math.fround(number)) ? undefined : number;
    }
    case 'String':
      return typeof value === 'string' ? value : undefined;
    case 'LocalizedText':
      return typeof value === 'string' ? { text: value, locale: null } : undefined;
    case 'DateTime':
      return timeOf(value);
    case 'ByteString':
      return typeof value === 'string' && BASE64.test(value) ? Buffer.from(value, 'base64') : undefined;
    default:
      throw new Unfit(`cannot be written: a ${name} is only read`);
  }
}

/** Milliseconds since 1970, or ISO 8601 with its zone; a date alone is its beginning in UTC. */
function timeOf(value: unknown): Date | undefined {
  const known =
    typeof value === 'number' || typeof value === 'bigint' || (typeof value === 'string' && ISO.test(value));
  const time = new Date(typeof value === 'bigint' ? Number(value) : (value as string | number));
  return known && !Number.isNaN(time.getTime()) ? time : undefined;
}

function whole(name: string, [least, most]: readonly [bigint, bigint], value: unknown): unknown {
  const given =
    typeof value === 'string' && /^-?\d+$/.test(value)
      ? BigInt(value)
      : typeof value === 'boolean'
        ? Number(value)
        : value;
  if (typeof given !== 'bigint' && !Number.isInteger(given)) return undefined;
  const number = BigInt(given as number | bigint);
  if (number < least || number > most) return undefined;
  if (!name.endsWith('64')) return Number(number);
  const bits = BigInt.asUintN(64, number);
  return [Number(bits >> 32n), Number(bits & 0xffff_ffffn)];
}

function shown(value: unknown): string {
  return (typeof value === 'object' ? JSON.stringify(value) : String(value)).slice(0, 60);
}
