/** One write to one point: functions 05, 06, 15 and 16; for bits of a register 22, or reading and writing it where a device has not that. */
import { messageOf, TidegateError } from '../../src/errors.js';
import type { Point, Value } from '../../src/model.js';
import { type Codec, codecOf } from './codec.js';
import { DATA_AT, Failure, maskWriteRequest, readRequest, writeManyRequest, writeOneRequest } from './frame.js';
import type { ModbusAddress } from './schema.js';
import type { Wire } from './wire.js';

const ILLEGAL_FUNCTION = 1;
/** It is at work, or has no time; the same request may pass later. */
const ACKNOWLEDGE = 5;
const BUSY = 6;

/** A unit, and what writing to it has taught. */
export interface Target {
  readonly unit: number;
  /** True once it has refused function 22, or was silent about it. */
  withoutMask: boolean;
}

/**
 * Writes one raw value.
 * @throws TidegateError WRITE_REFUSED, DEVICE_UNAVAILABLE (whether the device wrote is then not known), LINK_DOWN
 */
export async function writePoint(wire: Wire, target: Target, point: Point<ModbusAddress>, raw: Value): Promise<void> {
  const { unit } = target;
  const { table, address } = point.address;
  if (point.access === 'read') throw refused(point, 'its access is read');
  if (table === 'input' || table === 'discrete') throw refused(point, `table ${table} cannot be written`);
  const codec = codecOf(point);
  if (table === 'coil') {
    const data = encode(point, codec, raw, Buffer.alloc(1));
    const one = writeOneRequest(unit, 5, address, data[0] ? 0xff00 : 0);
    return send(wire, point, one, writeManyRequest(unit, 15, address, 1, data));
  }
  if (codec.partial && codec.span === 1 && !target.withoutMask && (await writeMasked(wire, target, point, codec, raw)))
    return;
  const present = codec.partial ? await fetch(wire, unit, point, codec.span) : Buffer.alloc(codec.span * 2);
  const data = encode(point, codec, raw, present);
  const many = writeManyRequest(unit, 16, address, codec.span, data);
  if (codec.span > 1) return send(wire, point, many);
  return send(wire, point, writeOneRequest(unit, 6, address, data.readUInt16BE(0)), many);
}

/** Changes only the point's own bits, in the device itself. False when the device has not that function. */
async function writeMasked(
  wire: Wire,
  target: Target,
  point: Point<ModbusAddress>,
  codec: Codec,
  raw: Value,
): Promise<boolean> {
  // What stays 0 among zeros is not written; what stays 1 among ones is not to be touched.
  const or = encode(point, codec, raw, Buffer.alloc(2)).readUInt16BE(0);
  const and = ~or & encode(point, codec, raw, Buffer.alloc(2, 0xff)).readUInt16BE(0);
  const reply = await wire.request(maskWriteRequest(target.unit, point.address.address, and, or));
  if (!(reply instanceof Failure)) return true;
  // Some devices are silent about functions that they do not know: the next write does without.
  target.withoutMask = reply.silent || reply.code === ILLEGAL_FUNCTION;
  if (reply.code === ILLEGAL_FUNCTION) return false;
  throw failed(point, reply);
}

function encode(point: Point, codec: Codec, raw: Value, into: Buffer): Buffer {
  try {
    codec.encode(raw, into, 0);
  } catch (error) {
    throw refused(point, messageOf(error));
  }
  return into;
}

async function fetch(wire: Wire, unit: number, point: Point<ModbusAddress>, span: number): Promise<Buffer> {
  const { table, address } = point.address;
  const reply = await wire.request(readRequest(unit, table, address, span));
  if (reply instanceof Failure) throw failed(point, reply, false);
  return Buffer.from(reply.subarray(DATA_AT, DATA_AT + span * 2));
}

/** Some devices know only the function for one, others only the function for many. */
async function send(wire: Wire, point: Point, request: Buffer, instead?: Buffer): Promise<void> {
  let reply = await wire.request(request);
  if (instead && reply instanceof Failure && reply.code === ILLEGAL_FUNCTION) reply = await wire.request(instead);
  if (reply instanceof Failure) throw failed(point, reply);
}

/** `sent`: it was the write itself that failed, so that the device may have taken what it did not answer for. */
function failed(point: Point, { silent, code, reason }: Failure, sent = true): TidegateError {
  if (!silent && code !== ACKNOWLEDGE && code !== BUSY) return refused(point, reason);
  const known = !sent || code === BUSY;
  const what = known ? `${point.id} was not written` : `whether ${point.id} was written is not known`;
  return new TidegateError('DEVICE_UNAVAILABLE', `${what}: ${reason}`);
}

const refused = (point: Point, why: string): TidegateError =>
  new TidegateError('WRITE_REFUSED', `${point.id} cannot be written: ${why}`);
