/** Whether a point can live at its address. */
import type { Point, PointType } from '../../src/model.js';
import { codecOf } from './codec.js';
import { isBitTable, type ModbusAddress } from './schema.js';

const INTEGERS: readonly PointType[] = ['int16', 'uint16', 'int32', 'uint32'];

/** What is wrong with a point, in words for people, or undefined. */
export function checkPoint(point: Point<ModbusAddress>): string | undefined {
  const { type, access } = point;
  const { table, address, bit, bits, length } = point.address;
  if (type === 'json') return 'registers hold no structures: write another type';
  if (isBitTable(table)) {
    if (type !== 'bool') return `a ${table} is a single bit: write type: bool`;
    if (bit !== undefined || bits !== undefined) return `a ${table} is a single bit: leave out bit and bits`;
  }
  if ((table === 'input' || table === 'discrete') && access !== 'read')
    return `table ${table} cannot be written: write access: read, or another table`;
  if (type === 'string' && length === undefined) return 'a string needs its length in registers';
  if (type !== 'string' && length !== undefined) return 'only a string has a length';
  if (bit !== undefined && bits !== undefined) return 'write bit or bits, not both';
  if (bit !== undefined && type !== 'bool') return 'bit makes a bool: write type: bool, or bits: [n, n] for a number';
  if (bits !== undefined) {
    if (!INTEGERS.includes(type)) return `bits are taken from ${INTEGERS.join(', ')}, not from ${type}`;
    const width = type.endsWith('16') ? 16 : 32;
    if (bits[1] >= width) return `a ${type} has bits 0 to ${width - 1}`;
  }
  const { span } = codecOf(point);
  if (address + span > 65_536) return `a ${type} at ${address} reaches beyond the last address, 65535`;
  return undefined;
}
