/** Writes one value as the type that the server's variable has. */
import { type DataValue, Variant as LibraryVariant, WriteRequest } from 'node-opcua-client';
import { TidegateError } from '../../src/errors.js';
import { type Device, type Point, Structure, type Value } from '../../src/model.js';
import { BUILT_IN, builtInName, WHOLE } from './built-in.js';
import type { Nodes } from './nodes.js';
import { type Asked, askFor } from './reader.js';
import type { OpcuaAddress, OpcuaDevice } from './schema.js';
import { isBad, type Status, wordsOf } from './status.js';
import type { Variant } from './values.js';
import { Fault, type Wire } from './wire.js';

/** What a server answers when it may take the same value later. */
const LATER =
  /^Bad(Timeout|NoCommunication|NotConnected|DeviceFailure|CommunicationError|ResourceUnavailable|OutOfMemory|TooManyOperations|ServerTooBusy|WaitingForInitialData|WaitingForResponse|OutOfService|RequestTimeout|LicenseLimitsExceeded)$/;

/**
 * Writes a raw value.
 * @throws TidegateError WRITE_REFUSED when it does not fit or the server says no, DEVICE_UNAVAILABLE when it may work later, LINK_DOWN when
 *   the session has ended
 */
export async function writePoint(
  wire: Wire,
  nodes: Nodes,
  device: Device<OpcuaDevice, OpcuaAddress>,
  point: Point<OpcuaAddress>,
  raw: Value,
): Promise<void> {
  const refuse = (why: string): TidegateError => new TidegateError('WRITE_REFUSED', `${point.id}: ${why}`);
  try {
    const [place] = await nodes.find(device, [point]);
    if (place === undefined || typeof place === 'string') throw refuse(place ?? 'no such node');
    const ask = askFor(place, point);
    const { dataType, arrayType } = await typeOf(wire, ask);
    const value = encode(dataType, arrayType > 0, raw);
    if (value instanceof Misfit) throw refuse(`${shown(raw)} ${value.reason}`);
    const request = new WriteRequest({
      nodesToWrite: [{ ...ask, value: { value: new LibraryVariant({ dataType, arrayType, value }) } }],
    });
    const { results } = await wire.call<{ results: Status[] | null }>(request);
    const status = results?.[0];
    if (status && isBad(status)) throw asError(point.id, status);
  } catch (error) {
    throw error instanceof Fault ? asError(point.id, error.status) : error;
  }
}

function asError(id: string, status: Status): TidegateError {
  const later = LATER.test(status.name);
  return new TidegateError(later ? 'DEVICE_UNAVAILABLE' : 'WRITE_REFUSED', `${id}: ${wordsOf(status)}`);
}

/** The type of what the variable holds now; of what it is declared to hold, when it holds nothing. */
async function typeOf(wire: Wire, { nodeId }: Asked): Promise<Variant> {
  const [now] = await wire.readValues([nodeId]);
  const held = (now as DataValue | undefined)?.value as unknown as Variant | undefined;
  if (held && held.dataType !== 0) return held;
  const declared = await wire.session.getBuiltInDataType(nodeId).catch(() => undefined);
  if (declared) return { dataType: declared, arrayType: 0, value: null };
  throw new Fault(now?.statusCode ?? { value: 0x8000_0000, name: 'BadTypeMismatch' });
}

/** Why a value cannot be written. */
class Misfit {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

function encode(dataType: number, array: boolean, raw: Value): unknown {
  const name = builtInName(dataType);
  if (raw instanceof Structure) {
    const plain: unknown = raw.toJSON();
    if (!array || !Array.isArray(plain)) return new Misfit(`does not fit ${name}${array ? '[]' : ''}`);
    const all = plain.map((element) => scalar(name, element));
    return all.find((one) => one instanceof Misfit) ?? all;
  }
  if (!array) return scalar(name, raw);
  const only = scalar(name, raw);
  return only instanceof Misfit ? only : [only];
}

function scalar(name: string, value: unknown): unknown {
  const misfit = new Misfit(`does not fit ${name}`);
  const range = WHOLE[name];
  if (range) return whole(name, range, value) ?? misfit;
  switch (name) {
    case 'Boolean':
      return typeof value === 'boolean' ? value : value === 0 || value === 1 ? value === 1 : misfit;
    case 'Float':
    case 'Double': {
      const number = typeof value === 'bigint' ? Number(value) : value;
      if (typeof number !== 'number' || !Number.isFinite(number)) return misfit;
      return name === 'Float' && !Number.isFinite(Math.fround(number)) ? misfit : number;
    }
    case 'String':
      return typeof value === 'string' ? value : misfit;
    case 'LocalizedText':
      return typeof value === 'string' ? { text: value, locale: null } : misfit;
    case 'DateTime': {
      const time = new Date(typeof value === 'bigint' ? Number(value) : (value as string | number));
      return Number.isNaN(time.getTime()) ? misfit : time;
    }
    case 'ByteString':
      return typeof value === 'string' ? Buffer.from(value, 'base64') : misfit;
    default:
      return new Misfit(
        `cannot be written: ${BUILT_IN.has(name) ? `a ${name} is only read` : 'its type is not known'}`,
      );
  }
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

function shown(raw: Value): string {
  return String(raw).slice(0, 60);
}
