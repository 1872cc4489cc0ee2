/** The MQTT driver. Light to import: the protocol library is loaded when a connection is opened. */
import type { Driver } from '../../src/driver.js';
import { advisePoint, checkPoint } from './check.js';
import { decodeExample } from './example.js';
import {
  addressSchema,
  connectionSchema,
  deviceSchema,
  exampleSchema,
  LOCAL,
  type MqttAddress,
  type MqttConnection,
  type MqttDevice,
  type MqttExample,
} from './schema.js';

export const mqtt: Driver<MqttConnection, MqttDevice, MqttAddress, MqttExample> = {
  name: 'mqtt',
  title: 'MQTT',
  connection: connectionSchema,
  device: deviceSchema,
  address: addressSchema,
  example: exampleSchema,
  isLocal: ({ broker }) => broker === LOCAL,
  profilesOf: ({ discover_topics }) =>
    Object.entries(discover_topics).map(([filter, profile]) => ({ profile, path: ['discover_topics', filter] })),
  checkPoint,
  advisePoint,
  decodeExample,
  open: async (connection, context) => (await import('./session.js')).openSession(connection, context),
  simulate: async (devices, options) => (await import('./simulator.js')).simulate(devices, options),
  faults: ['timeout', 'garbage', 'drop', 'delay'],
  simulated: { topic: 'simulated' },
};
