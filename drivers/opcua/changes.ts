/**
 * Data changes (OPC UA Part 4 §7.25.2) as they come off the wire. The library makes four objects and some forty 64-bit integers of each
 * value; to clear them away again is most of what a subscription costs. They are read here instead: see docs/decisions/0050.
 */
import {
  DataChangeNotification,
  decodeDiagnosticInfo,
  Variant as LibraryVariant,
  StatusCodes,
} from 'node-opcua-client';
import type { Status } from './status.js';
import type { Variant } from './values.js';

/** One value that an item of a subscription tells. */
export interface Change {
  readonly clientHandle: number;
  readonly statusCode: Status;
  /** Of type 0 where the server tells none. */
  readonly value: Variant;
  /** Time of the source, milliseconds since 1970; undefined where the server tells none, or that its clock was not set. */
  readonly at: number | undefined;
}

/** What is read of the library's stream of bytes. */
interface Stream {
  /** Where it is read next. */
  length: number;
  checkArrayLength(length: number): void;
  readUInt8(): number;
  readInt8(): number;
  readInt16(): number;
  readUInt16(): number;
  readInteger(): number;
  readUInt32(): number;
  readFloat(): number;
  readDouble(): number;
  readString(): string | null;
}

/** Has the library make `Change`s of data changes. */
export function makeChanges(): void {
  DataChangeNotification.prototype.decode = function decode(stream) {
    const own = stream as unknown as Stream;
    this.monitoredItems = listFrom(own, changeFrom) as never;
    this.diagnosticInfos = listFrom(own, () => decodeDiagnosticInfo(stream));
  };
}

function listFrom<T>(stream: Stream, one: (stream: Stream) => T): T[] | null {
  const length = stream.readUInt32();
  if (length === 0xffff_ffff) return null;
  stream.checkArrayLength(length);
  const list: T[] = [];
  for (let index = 0; index < length; index++) list.push(one(stream));
  return list;
}

/** What the first byte of a DataValue says to follow (OPC UA Part 6 §5.2.2.17). */
const HAS = {
  value: 1,
  status: 2,
  sourceTime: 4,
  serverTime: 8,
  sourcePicoseconds: 16,
  serverPicoseconds: 32,
} as const;
const GOOD: Status = { value: 0, name: 'Good' };
const NOTHING: Variant = { dataType: 0, arrayType: 0, value: null };

/** By their values without what the lower half says of the value beside its quality (OPC UA Part 4 §7.39.1). */
const NAMES = new Map(
  Object.values(StatusCodes as unknown as Record<string, Status>).map(({ value, name }) => [value, name]),
);

/** One that the library does not know has no name, but a severity all the same. */
function statusFrom(value: number): Status {
  return value === 0 ? GOOD : { value, name: NAMES.get((value & 0xffff_0000) >>> 0) ?? '' };
}

function changeFrom(stream: Stream): Change {
  const clientHandle = stream.readUInt32();
  const has = stream.readUInt8();
  const value = has & HAS.value ? variantFrom(stream) : NOTHING;
  const statusCode = has & HAS.status ? statusFrom(stream.readUInt32()) : GOOD;
  const at = has & HAS.sourceTime ? timeFrom(stream) : undefined;
  if (has & HAS.sourcePicoseconds) stream.length += 2;
  if (has & HAS.serverTime) stream.length += 8;
  if (has & HAS.serverPicoseconds) stream.length += 2;
  return { clientHandle, statusCode, value, at };
}

/** Readers of scalars, by the number of their type; what is not here the library reads. */
const SCALARS: readonly (((stream: Stream) => unknown) | undefined)[] = [
  undefined,
  (stream) => stream.readUInt8() !== 0,
  (stream) => stream.readInt8(),
  (stream) => stream.readUInt8(),
  (stream) => stream.readInt16(),
  (stream) => stream.readUInt16(),
  (stream) => stream.readInteger(),
  (stream) => stream.readUInt32(),
  undefined,
  undefined,
  (stream) => stream.readFloat(),
  (stream) => stream.readDouble(),
  (stream) => stream.readString(),
];

function variantFrom(stream: Stream): Variant {
  const dataType = stream.readUInt8();
  const read = SCALARS[dataType];
  if (read) return { dataType, arrayType: 0, value: read(stream) };
  stream.length -= 1;
  const variant = new LibraryVariant();
  variant.decode(stream as never);
  return variant as unknown as Variant;
}

/** From 100 nanoseconds since 1601, in two halves, so that no digit is lost: 2³² is 429496 × 10000 + 7296. */
function timeFrom(stream: Stream): number | undefined {
  const low = stream.readUInt32();
  const high = stream.readUInt32();
  const time = high * 429_496 + Math.floor((high * 7_296 + low) / 10_000) - 11_644_473_600_000;
  return time > 0 ? time : undefined;
}
