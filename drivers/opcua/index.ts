/** The OPC UA driver. Light to import: the protocol library is loaded when a connection is opened. */
import type { Driver } from '../../src/driver.js';
import { advisePoint, checkPoint } from './check.js';
import { decodeExample } from './example.js';
import { loadLibrary } from './library.js';
import {
  addressSchema,
  connectionSchema,
  deviceSchema,
  exampleSchema,
  type OpcuaAddress,
  type OpcuaConnection,
  type OpcuaDevice,
  type OpcuaExample,
} from './schema.js';
import { Trust } from './trust.js';

export const opcua: Driver<OpcuaConnection, OpcuaDevice, OpcuaAddress, OpcuaExample> = {
  name: 'opcua',
  title: 'OPC UA',
  connection: connectionSchema,
  device: deviceSchema,
  address: addressSchema,
  example: exampleSchema,
  checkPoint,
  advisePoint,
  decodeExample,
  open: async (connection, context) => {
    await loadLibrary(context.log);
    return (await import('./session.js')).openSession(connection, context);
  },
  simulate: async (devices, options) => {
    await loadLibrary();
    return (await import('./simulator.js')).simulate(devices, options);
  },
  faults: ['timeout', 'exception', 'garbage', 'drop', 'delay'],
  trust: (data) => new Trust(data),
};
