/** Points and devices for tests of the Modbus driver. */
import { addressSchema, deviceSchema, type ModbusAddress, type ModbusDevice } from '../../drivers/modbus/schema.js';
import type { Device, Point, PointType } from '../../src/model.js';

type ModbusPoint = Point<ModbusAddress>;
type Written = Partial<Omit<ModbusPoint, 'address'>> & Record<string, unknown>;

const COMMON = ['id', 'kind', 'access', 'unit', 'every', 'scale', 'offset', 'scaleFrom', 'invalid', 'states', 'limits'];

/** A point as a profile would give it: common keys and address keys in one object. */
export function pointOf(type: PointType, keys: Written): ModbusPoint {
  const common = Object.fromEntries(Object.entries(keys).filter(([key]) => COMMON.includes(key)));
  const own = Object.fromEntries(Object.entries(keys).filter(([key]) => !COMMON.includes(key)));
  const address = addressSchema.parse(own);
  return {
    id: `${address.table}-${address.address}`,
    type,
    kind: 'gauge',
    access: 'read',
    every: 1_000,
    scale: 1,
    offset: 0,
    ...common,
    address,
  };
}

export function deviceOf(
  points: readonly ModbusPoint[],
  settings: Record<string, unknown> = {},
  id = 'meter',
): Device<ModbusDevice, ModbusAddress> {
  return { id, profile: 'test/meter', connection: 'wire', tags: {}, settings: deviceSchema.parse(settings), points };
}
