/** Requests and replies as bytes (Modbus Application Protocol V1.1b3 §6), and what a reply is worth. Knows no sockets. */
import type { Table } from './schema.js';

/** Function codes that read, by table. */
const READ_FUNCTION: Record<Table, number> = { coil: 1, discrete: 2, holding: 3, input: 4 };

/** Where the data of a read reply begins: after unit id, function and byte count. */
export const DATA_AT = 3;

/** Room at the end of every frame for the checksum of RTU; Modbus TCP has none, and modbus-serial cuts it off. */
export const CRC_LENGTH = 2;

/** A reply that is no good, or none at all. A value, not an error: the wire lives on. */
export class Failure {
  constructor(
    /** A few words for people. */
    readonly reason: string,
    /** Exception code, 0 for other failures. */
    readonly code: number,
    /** True when the device itself said nothing. */
    readonly silent: boolean,
  ) {}
}

/** No reply in time: the one failure that says nothing about the request. */
export const TIMEOUT = new Failure('timeout', 0, true);

/** V1.1b3 §7. */
const EXCEPTIONS: Record<number, string> = {
  1: 'illegal function',
  2: 'illegal data address',
  3: 'illegal data value',
  4: 'server device failure',
  5: 'acknowledge',
  6: 'server device busy',
  8: 'memory parity error',
  10: 'gateway path unavailable',
  11: 'gateway target device failed to respond',
};

const exceptions = new Map<number, Failure>();

/** An exception reply. 0A and 0B come from a gateway whose device said nothing. */
export function exception(code: number): Failure {
  let failure = exceptions.get(code);
  if (!failure) {
    const name = EXCEPTIONS[code];
    const digits = code.toString(16).toUpperCase().padStart(2, '0');
    failure = new Failure(`exception ${digits}${name ? ` (${name})` : ''}`, code, code === 10 || code === 11);
    exceptions.set(code, failure);
  }
  return failure;
}

/** A request to read `count` registers or bits. */
export function readRequest(unit: number, table: Table, address: number, count: number): Buffer {
  return request(unit, READ_FUNCTION[table], address, count);
}

/** Functions 05 and 06: one coil (`0xff00` or 0) or one register. */
export function writeOneRequest(unit: number, code: 5 | 6, address: number, value: number): Buffer {
  return request(unit, code, address, value);
}

/** Functions 15 and 16: `data` holds `count` bits or registers. */
export function writeManyRequest(
  unit: number,
  code: 15 | 16,
  address: number,
  count: number,
  data: Uint8Array,
): Buffer {
  const frame = Buffer.alloc(7 + data.length + CRC_LENGTH);
  request(unit, code, address, count).copy(frame, 0, 0, 6);
  frame[6] = data.length;
  frame.set(data, 7);
  return frame;
}

/** Read device identification: function 43 with MEI type 14, the basic objects as a stream (V1.1b3 §6.21). */
const IDENTITY = [43, 14, 1] as const;
/** Where the objects of such a reply begin: after unit id, function, MEI type, code, conformity, more follows, next object and their number. */
export const IDENTITY_AT = 8;

/** A request for the basic objects of a device's identification from `object` on. */
export function identityRequest(unit: number, object: number): Buffer {
  return Buffer.from([unit, ...IDENTITY, object, 0, 0]);
}

/** Bytes of such a reply without checksum, as far as has come in; undefined while that cannot be told. */
function identityLength(reply: Uint8Array): number | undefined {
  const objects = reply[IDENTITY_AT - 1];
  if (objects === undefined || reply[2] !== IDENTITY[1]) return undefined;
  let at = IDENTITY_AT;
  for (let object = 0; object < objects; object += 1) {
    const length = reply[at + 1];
    if (length === undefined) return undefined;
    at += 2 + length;
  }
  return at;
}

/** Function 22: `register = (register AND and) OR (or AND NOT and)` (V1.1b3 §6.16). */
export function maskWriteRequest(unit: number, address: number, and: number, or: number): Buffer {
  const frame = Buffer.alloc(8 + CRC_LENGTH);
  request(unit, 22, address, and).copy(frame, 0, 0, 6);
  frame.writeUInt16BE(or, 6);
  return frame;
}

function request(unit: number, code: number, address: number, value: number): Buffer {
  const frame = Buffer.alloc(6 + CRC_LENGTH);
  frame[0] = unit;
  frame[1] = code;
  frame.writeUInt16BE(address, 2);
  frame.writeUInt16BE(value, 4);
  return frame;
}

/**
 * Whether the frame's length fits what it says about itself. Where it does not, nothing that follows on the wire can be trusted.
 * @param frame unit id, function and data, with two bytes more at the end
 * @param request what it answers, if anything
 */
export function isWellFormed(frame: Uint8Array, request?: Uint8Array): boolean {
  const length = frame.length - CRC_LENGTH;
  const code = frame[1] as number;
  if (code >= 0x80) return length === 3;
  if (code >= 1 && code <= 4) return length === DATA_AT + (frame[2] as number);
  // Some devices tell who they are in a way of their own; the frame around it is sound.
  if (code === 43 && request?.[1] === code) return true;
  return length === replyLength(frame, frame);
}

/**
 * Bytes of the regular reply to a request, without checksum; of function 43, whose reply tells its length as it goes, by what has come of
 * it so far. Undefined where it cannot be told, and for functions that are never asked for.
 */
export function replyLength(request: Uint8Array, reply?: Uint8Array): number | undefined {
  const code = request[1] as number;
  if (code === 43) return reply && identityLength(reply);
  const count = ((request[4] as number) << 8) | (request[5] as number);
  if (code === 1 || code === 2) return DATA_AT + ((count + 7) >> 3);
  if (code === 3 || code === 4) return DATA_AT + 2 * count;
  if (code === 22) return 8;
  return code === 5 || code === 6 || code === 15 || code === 16 ? 6 : undefined;
}

/** Undefined when a well-formed frame answers the request, else what is wrong with it. */
export function judge(request: Uint8Array, frame: Uint8Array): Failure | undefined {
  const code = request[1] as number;
  if (frame[0] !== request[0]) return new Failure(`reply of unit ${frame[0]} instead of ${request[0]}`, 0, false);
  if (frame[1] !== code) {
    if (frame[1] === code + 0x80) return exception(frame[2] as number);
    return new Failure(`reply to function ${frame[1]} instead of ${code}`, 0, false);
  }
  if (code <= 4) {
    const expected = (replyLength(request) as number) - DATA_AT;
    if (frame[2] === expected) return undefined;
    return new Failure(`reply with ${frame[2]} bytes instead of ${expected}`, 0, false);
  }
  if (code === 43) {
    const isWhole = identityLength(frame) === frame.length - CRC_LENGTH;
    return isWhole ? undefined : new Failure('malformed identification', 0, false);
  }
  for (let at = 2; at < frame.length - CRC_LENGTH; at += 1)
    if (frame[at] !== request[at]) return new Failure('reply does not repeat the request', 0, false);
  return undefined;
}
