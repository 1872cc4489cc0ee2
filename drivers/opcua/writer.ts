/** Writes one value as the type that the server's variable has. */
import { Variant as LibraryVariant, WriteRequest } from 'node-opcua-client';
import { TidegateError } from '../../src/errors.js';
import type { Device, Point, Value } from '../../src/model.js';
import { declaredOf } from './declared.js';
import { encode } from './encode.js';
import type { Nodes } from './nodes.js';
import { type Asked, askFor, readAsked } from './reader.js';
import type { OpcuaAddress, OpcuaDevice } from './schema.js';
import { isBad, nameOf, type Status, wordsOf } from './status.js';
import { Unfit, unlikeRange, type Variant } from './values.js';
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
    const held = await heldBy(wire, ask);
    const { range } = point.address;
    const encoded = (range !== undefined && unlikeRange(range, held)) || encode(held, raw);
    if (encoded instanceof Unfit) throw refuse(encoded.reason);
    const request = new WriteRequest({
      nodesToWrite: [{ ...ask, value: { value: new LibraryVariant(encoded as object) } }],
    });
    const { results } = await wire.call<{ results: Status[] | null }>(request);
    const [status] = results ?? [];
    if (!status)
      throw new TidegateError('DEVICE_UNAVAILABLE', `${point.id}: the server does not say what became of it`);
    if (isBad(status)) throw asError(point.id, status);
  } catch (error) {
    throw error instanceof Fault ? asError(point.id, error.status) : error;
  }
}

function asError(id: string, status: Status): TidegateError {
  const later = LATER.test(nameOf(status));
  return new TidegateError(later ? 'DEVICE_UNAVAILABLE' : 'WRITE_REFUSED', `${id}: ${wordsOf(status)}`);
}

/** What the variable holds now; nothing yet of the type that it is declared to hold, when it holds nothing. */
async function heldBy(wire: Wire, ask: Asked): Promise<Variant> {
  const [now] = await readAsked(wire, [ask]);
  const held = now?.value as unknown as Variant | undefined;
  if (held && held.dataType !== 0) return held;
  const [declared] = await declaredOf(wire, [ask.nodeId]);
  if (declared) return declared;
  throw new Fault(now?.statusCode ?? { value: 0x8000_0000, name: 'BadTypeMismatch' });
}
