/** The Modbus driver. Light to import: the protocol library is loaded when a connection is opened. */
import type { Driver } from '../../src/driver.js';
import { checkPoint } from './check.js';
import { decodeExample } from './example.js';
import { planReads } from './plan.js';
import { priceOf } from './price.js';
import { UNITS } from './scan.js';
import {
  addressSchema,
  connectionSchema,
  deviceSchema,
  exampleSchema,
  limitsOf,
  type ModbusAddress,
  type ModbusConnection,
  type ModbusDevice,
  type ModbusExample,
} from './schema.js';

export const modbus: Driver<ModbusConnection, ModbusDevice, ModbusAddress, ModbusExample> = {
  name: 'modbus',
  title: 'Modbus',
  connection: connectionSchema,
  device: deviceSchema,
  address: addressSchema,
  example: exampleSchema,
  places: UNITS,
  claims: ({ serial }) => serial,
  checkPoint,
  cost(connection, { settings }, points) {
    const price = priceOf(connection, undefined);
    return (
      planReads(settings.unit, points, limitsOf(connection, settings), undefined, price).cost / connection.in_flight
    );
  },
  decodeExample,
  open: async (connection, context) => (await import('./session.js')).openSession(connection, context),
  simulate: async (devices, options) => (await import('./simulator.js')).simulate(devices, options),
  faults: ['timeout', 'exception', 'garbage', 'drop', 'delay'],
};
