/** The built-in drivers, by the word written behind `driver:`. Each is loaded when first asked for. */
import type { Driver } from '../src/driver.js';

export const drivers: Record<string, () => Promise<Driver>> = {
  modbus: async () => (await import('./modbus/index.js')).modbus as Driver,
  opcua: async () => (await import('./opcua/index.js')).opcua as Driver,
  mqtt: async () => (await import('./mqtt/index.js')).mqtt as Driver,
};
