/** A session of the Modbus driver with a scriptable peer on the other side. */
import { modbus } from '../../drivers/modbus/index.js';
import type { ModbusAddress, ModbusDevice } from '../../drivers/modbus/schema.js';
import type { Session } from '../../src/driver.js';
import type { Device, Point, Samples } from '../../src/model.js';
import { driverContext } from './driver-context.js';
import { type Answer, type Asked, type ModbusPeer, startModbusPeer, truthful } from './modbus-peer.js';
import { pointOf } from './modbus-points.js';

const closing: (() => Promise<void>)[] = [];

/** Closes all that was opened. */
export async function closeAll(): Promise<void> {
  for (const close of closing.splice(0).reverse()) await close();
}

export interface ModbusBench {
  readonly peer: ModbusPeer;
  readonly session: Session<ModbusDevice, ModbusAddress>;
  /** What was logged as information. */
  readonly told: string[];
  /** Reads all points of a device. */
  read(device: Device<ModbusDevice, ModbusAddress>): Promise<Samples>;
  /** Requests since the last call, as `address+count`. */
  requests(): string[];
}

/** Opens both sides. */
export async function openBench(
  answer: (asked: Asked) => Answer = truthful,
  connection: Record<string, unknown> = {},
): Promise<ModbusBench> {
  const peer = await startModbusPeer(answer);
  const told: string[] = [];
  const log = { debug() {}, info: (_: unknown, what: string) => told.push(what) } as never;
  const settings = modbus.connection.parse({ tcp: `127.0.0.1:${peer.port}`, timeout: '500ms', ...connection });
  const session = await modbus.open(settings, driverContext(undefined, { log }));
  closing.push(peer.close, () => session.close());
  return {
    peer,
    session,
    told,
    read: (device) => session.read(device, device.points, { signal: new AbortController().signal }),
    requests: () => peer.asked.splice(0).map(({ address, count }) => `${address}+${count}`),
  };
}

/** Holding registers, one point each. */
export const registers = (...addresses: number[]): Point<ModbusAddress>[] =>
  addresses.map((address) => pointOf('uint16', { address }));

/** Index of point → why it has no value. */
export const reasons = ({ flaws }: Samples): Record<number, string> =>
  Object.fromEntries([...(flaws ?? [])].map(([index, { reason }]) => [index, reason]));
