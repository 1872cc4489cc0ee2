/** One write to one point: functions 05, 06, 15 and 16, and read-modify-write for bits of a register. */
import { messageOf, TidegateError } from '../../src/errors.js';
import type { Point, Value } from '../../src/model.js';
import { type Codec, codecOf } from './codec.js';
import { DATA_AT, Failure, readRequest, writeManyRequest, writeOneRequest } from './frame.js';
import type { ModbusAddress } from './schema.js';
import type { Wire } from './wire.js';

const ILLEGAL_FUNCTION = 1;
/** Acknowledge and server device busy: the same request may pass later. */
const LATER = [5, 6];

/**
 * Writes one raw value.
 * @throws TidegateError WRITE_REFUSED, DEVICE_UNAVAILABLE (whether the device wrote is then not known), LINK_DOWN
 */
export async function writePoint(wire: Wire, unit: number, point: Point<ModbusAddress>, raw: Value): Promise<void> {
  const { table, address } = point.address;
  if (point.access === 'read') throw refused(point, 'its access is read');
  if (table === 'input' || table === 'discrete') throw refused(point, `table ${table} cannot be written`);
  const codec = codecOf(point);
  if (table === 'coil') {
    const data = encode(point, codec, raw, Buffer.alloc(1));
    const one = writeOneRequest(unit, 5, address, data[0] ? 0xff00 : 0);
    return send(wire, point, one, writeManyRequest(unit, 15, address, 1, data));
  }
  const present = codec.partial ? await fetch(wire, unit, point, codec.span) : Buffer.alloc(codec.span * 2);
  const data = encode(point, codec, raw, present);
  const many = writeManyRequest(unit, 16, address, codec.span, data);
  if (codec.span > 1) return send(wire, point, many);
  return send(wire, point, writeOneRequest(unit, 6, address, data.readUInt16BE(0)), many);
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
  if (reply instanceof Failure) throw failed(point, reply);
  return Buffer.from(reply.subarray(DATA_AT, DATA_AT + span * 2));
}

/** Some devices know only the function for one, others only the function for many. */
async function send(wire: Wire, point: Point, request: Buffer, instead?: Buffer): Promise<void> {
  let reply = await wire.request(request);
  if (instead && reply instanceof Failure && reply.code === ILLEGAL_FUNCTION) reply = await wire.request(instead);
  if (reply instanceof Failure) throw failed(point, reply);
}

function failed(point: Point, failure: Failure): TidegateError {
  if (!failure.silent && !LATER.includes(failure.code)) return refused(point, failure.reason);
  return new TidegateError('DEVICE_UNAVAILABLE', `${point.id} was not written: ${failure.reason}`);
}

const refused = (point: Point, why: string): TidegateError =>
  new TidegateError('WRITE_REFUSED', `${point.id} cannot be written: ${why}`);
