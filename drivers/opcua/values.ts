/** From what a variable holds to the raw value of a point: by the point's type, never guessing. */
import { asFloat32 } from '../../src/float32.js';
import { type PointType, Structure, type Value } from '../../src/model.js';
import { BUILT_IN, builtInName } from './built-in.js';
import { builtInOf, fieldsOf } from './structures.js';

/** A Variant (OPC UA Part 6 §5.2.2.16) as the library decodes it. */
export interface Variant {
  /** Number of the built-in type. */
  readonly dataType: number;
  /** 0 a scalar, 1 an array, 2 a matrix. */
  readonly arrayType: number;
  readonly value: unknown;
  /** Sizes of a matrix. */
  readonly dimensions?: readonly number[] | null;
}

/** Why a value does not fit the point. */
export class Unfit {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

/** The end of time of OPC UA (Part 6 §5.2.2.5), by which whoever sends more means no time in particular. */
const LATEST = Date.UTC(9999, 11, 31, 23, 59, 59);

const T = Object.fromEntries(BUILT_IN) as Readonly<Record<string, number>>;

const RANGES: Partial<Record<PointType, readonly [least: number, most: number]>> = {
  int16: [-32_768, 32_767],
  uint16: [0, 65_535],
  int32: [-2_147_483_648, 2_147_483_647],
  uint32: [0, 4_294_967_295],
};

/** The raw value of a point of this type, or why there is none. An array of one element stands for that element. */
export function decode(type: PointType, variant: Variant): Value | Unfit {
  const { dataType, arrayType } = variant;
  if (type === 'json') return dataType === 0 ? new Unfit('no value') : structureOf(variant);
  if (arrayType === 0) return decodeScalar(type, dataType, variant.value);
  const elements = variant.value as ArrayLike<unknown> | null;
  if (elements?.length === 1) return decodeScalar(type, dataType, elements[0]);
  const count = elements?.length ?? 0;
  return new Unfit(`is an array of ${count}, not one ${type}: write type: json, or a range`);
}

/** Says so when there is more than a range asks for: the server takes no notice of ranges, and to write one would replace everything. */
export function unlikeRange(range: string, { arrayType, value }: Variant): Unfit | undefined {
  const count = arrayType === 0 ? 0 : ((value as ArrayLike<unknown> | null)?.length ?? 0);
  const most = range.split(',').reduce((product, part) => {
    const [first = 0, last = first] = part.split(':').map(Number);
    return product * (last - first + 1);
  }, 1);
  if (count <= most) return undefined;
  return new Unfit(`the server takes no notice of range, and tells ${count} elements: write type: json, without range`);
}

function decodeScalar(type: PointType, dataType: number, value: unknown): Value | Unfit {
  if (dataType === T.Variant) {
    const inner = value as Variant;
    return decode(type, inner);
  }
  if (value === null || value === undefined || dataType === 0) return new Unfit('no value');
  switch (type) {
    case 'bool':
      return typeof value === 'boolean' ? value : unlike(type, dataType);
    case 'string':
      return textOf(dataType, value) ?? unlike(type, dataType);
    case 'float32':
    case 'float64':
      return numberOf(dataType, value) ?? unlike(type, dataType);
    case 'int64':
    case 'uint64':
      return wide(type, dataType, value);
    default:
      return whole(type, dataType, value);
  }
}

function unlike(type: PointType, dataType: number): Unfit {
  return new Unfit(`is ${builtInName(dataType)}, not ${type}`);
}

const isWhole = (dataType: number): boolean => dataType >= 2 && dataType <= 9;
const isWide = (dataType: number): boolean => dataType === T.Int64 || dataType === T.UInt64;

function numberOf(dataType: number, value: unknown): number | undefined {
  if (dataType === T.Double) return value as number;
  if (dataType === T.Float) return asFloat32(value as number);
  if (isWide(dataType)) return Number(wideValue(dataType, value));
  if (isWhole(dataType)) return value as number;
  return dataType === T.DateTime ? timeOf(value) : undefined;
}

function whole(type: PointType, dataType: number, value: unknown): Value | Unfit {
  const number = isWide(dataType)
    ? Number(wideValue(dataType, value))
    : isWhole(dataType)
      ? (value as number)
      : undefined;
  if (number === undefined) return unlike(type, dataType);
  const [least, most] = RANGES[type] as readonly [number, number];
  return number >= least && number <= most ? number : new Unfit(`${number} is beyond ${type}`);
}

function wide(type: PointType, dataType: number, value: unknown): Value | Unfit {
  let number: bigint;
  if (isWide(dataType)) number = wideValue(dataType, value);
  else if (isWhole(dataType)) number = BigInt(value as number);
  else if (dataType === T.DateTime) number = BigInt(timeOf(value));
  else return unlike(type, dataType);
  const fits = type === 'uint64' ? number >= 0n : number <= 0x7fff_ffff_ffff_ffffn;
  return fits ? number : new Unfit(`${number} is beyond ${type}`);
}

/** A DateTime in milliseconds since 1970. */
function timeOf(value: unknown): number {
  return Math.min((value as Date).getTime(), LATEST);
}

/** The library keeps 64-bit integers as their upper and lower 32 bits. */
function wideValue(dataType: number, value: unknown): bigint {
  if (typeof value === 'bigint') return value;
  if (!Array.isArray(value) && !ArrayBuffer.isView(value)) return BigInt(value as number);
  const [high, low] = value as unknown as readonly [number, number];
  const bits = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
  return dataType === T.Int64 ? BigInt.asIntN(64, bits) : bits;
}

/** The types that have one text: texts, times, ids, bytes (as Base64). */
function textOf(dataType: number, value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  switch (dataType) {
    case T.DateTime:
      return new Date(timeOf(value)).toISOString();
    case T.ByteString:
      return Buffer.from(value as Uint8Array).toString('base64');
    case T.LocalizedText:
      return (value as { text: string | null }).text ?? '';
    case T.QualifiedName:
      return (value as { name: string | null }).name ?? '';
    case T.StatusCode:
      return (value as { name: string }).name;
    case T.NodeId:
    case T.ExpandedNodeId:
      return String(value);
    default:
      return undefined;
  }
}

// Arrays and structures, as plain values for JSON

function structureOf(variant: Variant): Structure | Unfit {
  try {
    return Structure.of(plainVariant(variant));
  } catch (error) {
    if (error instanceof Unfit) return error;
    throw error;
  }
}

function plainVariant({ dataType, arrayType, value, dimensions }: Variant): unknown {
  if (arrayType === 0) return plain(dataType, value);
  const flat = Array.from((value ?? []) as ArrayLike<unknown>, (element) => plain(dataType, element));
  return arrayType === 2 && dimensions ? shaped(flat, dimensions) : flat;
}

/** A matrix's values, which come row by row, as arrays of arrays. */
function shaped(flat: readonly unknown[], [size = 0, ...inner]: readonly number[]): unknown {
  if (inner.length === 0) return flat;
  const step = inner.reduce((product, one) => product * one, 1);
  return Array.from({ length: size }, (_, index) => shaped(flat.slice(index * step, (index + 1) * step), inner));
}

function plain(dataType: number, value: unknown): unknown {
  if (value === null || value === undefined) return null;
  if (dataType === T.Variant) return plainVariant(value as Variant);
  if (dataType === T.DataValue) return plainVariant((value as { value: Variant }).value);
  if (isWide(dataType)) return wideValue(dataType, value);
  if (dataType === T.Float) return asFloat32(value as number);
  if (dataType === T.ExtensionObject) return plainStructure(value);
  return textOf(dataType, value) ?? value;
}

/** By the names that the server gives the fields (OPC UA Part 6 §5.4.6). */
function plainStructure(value: unknown): unknown {
  const structure = value as Readonly<Record<string, unknown>>;
  const fields = fieldsOf(structure);
  if (fields === undefined) throw new Unfit('is a structure of which the server does not tell the fields');
  const told: [string, unknown][] = [];
  for (const field of fields) {
    const held = structure[field.name];
    if (held === undefined) continue;
    const dataType = builtInOf(field) ?? (T.ExtensionObject as number);
    const one = (part: unknown) => plain(dataType, part);
    told.push([field.originalName, field.isArray ? Array.from((held ?? []) as ArrayLike<unknown>, one) : one(held)]);
  }
  return Object.fromEntries(told);
}
