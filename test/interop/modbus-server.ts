/** pymodbus as the device, by way of modbus-server.py: a Modbus implementation that shares no code with ours. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PYTHON, start } from './programs.js';

export const PYMODBUS = 'python:pymodbus.server.async_io';

// The tests run from dist/test/interop; the Python file stays in the source tree.
const SCRIPT = join(dirname(fileURLToPath(import.meta.url)), '../../../test/interop/modbus-server.py');

/** Unit id → table → first address → words (or bits). What is not named answers exception 02; other units stay silent. */
export type Registers = Record<number, Partial<Record<Table, Record<number, readonly (number | boolean)[]>>>>;
type Table = 'coil' | 'discrete' | 'input' | 'holding';

/** A running server. */
export interface ModbusServer {
  readonly port: number;
  /** Sets values, in the same form. */
  set(registers: Registers): void;
  stop(): Promise<void>;
}

/** Starts the server on a serial port, at 9600 baud; resolves when it listens. */
export async function startSerialServer(
  registers: Registers,
  path: string,
  framing: 'rtu' | 'ascii',
): Promise<Omit<ModbusServer, 'port'>> {
  const program = start(PYTHON, [SCRIPT, path, framing]);
  const set = (values: Registers): void => void program.process.stdin.write(`${JSON.stringify(values)}\n`);
  set(registers);
  await program.line((text) => text === 'serial');
  return { set, stop: async () => void (await program.stop()) };
}

/** Starts the server on a free port, or on `port`; resolves when it listens. */
export async function startModbusServer(registers: Registers, port = 0): Promise<ModbusServer> {
  const program = start(PYTHON, [SCRIPT, String(port)]);
  const set = (values: Registers): void => void program.process.stdin.write(`${JSON.stringify(values)}\n`);
  set(registers);
  const line = await program.line((text) => /^\d+$/.test(text));
  return { port: Number(line), set, stop: async () => void (await program.stop()) };
}
