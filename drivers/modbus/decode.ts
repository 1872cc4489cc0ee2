/** What registers may mean: every type in every order, at an address and at its neighbours. See `tidegate decode`. */
import type { Decoding } from '../../src/driver.js';
import { TidegateError } from '../../src/errors.js';
import type { Device, Point, PointType, Value } from '../../src/model.js';
import { codecOf } from './codec.js';
import { DATA_AT, Failure, readRequest } from './frame.js';
import { isBitTable, type ModbusAddress, type ModbusDevice, type Order, TABLES, type Table } from './schema.js';
import type { Wire } from './wire.js';

/** The widest type takes four registers; the address before and the one after are shown as well. */
const WIDEST = 4;
const PLACE = /^(?:(coil|discrete|input|holding)[: ])?(\d+|0x[0-9A-Fa-f]+)$/;
const SHORT: readonly Order[] = ['ABCD', 'BADC'];
const LONG: readonly Order[] = ['ABCD', 'CDAB', 'BADC', 'DCBA'];
const TYPES: readonly (readonly [PointType, readonly Order[]])[] = [
  ['uint16', SHORT],
  ['int16', SHORT],
  ['uint32', LONG],
  ['int32', LONG],
  ['float32', LONG],
  ['uint64', LONG],
  ['int64', LONG],
  ['float64', LONG],
];

/**
 * Reads the registers round a place, `52`, `0x34` or `input:52`, and gives all that they may mean. Without a table the one that most points of
 * the device are in is meant.
 * @throws TidegateError USAGE, DEVICE_UNAVAILABLE when nothing there can be read, LINK_DOWN
 */
export async function decodePlace(
  wire: Wire,
  device: Device<ModbusDevice, ModbusAddress>,
  place: string,
): Promise<Decoding> {
  const { table, address } = parsePlace(place, device);
  const words = new Map<number, Buffer>();
  const first = Math.max(0, address - 1);
  for (let at = first; at <= Math.min(65_535, address + WIDEST); at += 1) {
    // One by one: what is not there must not hide what is.
    const reply = await wire.request(readRequest(device.settings.unit, table, at, 1));
    if (!(reply instanceof Failure)) words.set(at, Buffer.from(reply.subarray(DATA_AT, DATA_AT + 2)));
    else if (reply.silent || at === address)
      throw new TidegateError('DEVICE_UNAVAILABLE', `${device.id}: ${table} ${at}: ${reply.reason}`);
  }
  const places = [address - 1, address, address + 1].filter((at) => at >= 0 && at <= 65_535);
  const rows = TYPES.flatMap(([type, orders]) =>
    orders.map((order) => {
      const point = pointAt(type, order, table);
      const { span } = codecOf(point);
      const values = places.map((at) => valueAt(words, at, point));
      const keys = { type, ...(order !== 'ABCD' && { order }) };
      return { as: `${type} ${order.slice(0, span === 1 ? 2 : 4)}`, keys, values };
    }),
  );
  return {
    places: places.map((at) => `${table} ${at} (0x${at.toString(16).toUpperCase().padStart(4, '0')})`),
    raw: places.map((at) => words.get(at)?.toString('hex').toUpperCase() ?? ''),
    rows,
  };
}

function parsePlace(place: string, device: Device<ModbusDevice, ModbusAddress>): { table: Table; address: number } {
  const [, named, number] = PLACE.exec(place) ?? [];
  const address = Number(number);
  if (number === undefined || address > 65_535)
    throw new TidegateError('USAGE', `"${place}" is no address`, {
      hint: 'Write 52, 0x34 or input:52; addresses count from 0, to 65535.',
    });
  const table = (named as Table | undefined) ?? mostUsed(device);
  if (isBitTable(table))
    throw new TidegateError('USAGE', `a ${table} is a single bit: there is nothing to decode`, {
      hint: 'Name a table of registers: input or holding.',
    });
  return { table, address };
}

function mostUsed({ points }: Device<ModbusDevice, ModbusAddress>): Table {
  const count = (table: Table): number => points.filter(({ address }) => address.table === table).length;
  return TABLES.filter((table) => !isBitTable(table)).reduce<Table>(
    (most, table) => (count(table) > count(most) ? table : most),
    'holding',
  );
}

function valueAt(words: ReadonlyMap<number, Buffer>, address: number, point: Point<ModbusAddress>): Value {
  const codec = codecOf(point);
  const parts: Buffer[] = [];
  for (let at = address; at < address + codec.span; at += 1) {
    const word = words.get(at);
    if (!word) return null;
    parts.push(word);
  }
  return codec.decode(Buffer.concat(parts), 0);
}

function pointAt(type: PointType, order: Order, table: Table): Point<ModbusAddress> {
  const address: ModbusAddress = { table, address: 0, order, encoding: 'utf8' };
  return { id: type, type, kind: 'gauge', access: 'read', every: 0, scale: 1, offset: 0, address };
}
