/** One Modbus connection as the runtime sees it. */
import type { Decoding, DriverContext, FoundDevice, ReadOptions, Session } from '../../src/driver.js';
import type { Device, Point, Samples, Value } from '../../src/model.js';
import { decodePlace } from './decode.js';
import { Memory } from './memory.js';
import { followPrice, type Price } from './price.js';
import { type ReadContext, readPoints } from './reader.js';
import { findUnit } from './scan.js';
import { limitsOf, type ModbusAddress, type ModbusConnection, type ModbusDevice } from './schema.js';
import { openWire, type Wire } from './wire.js';
import { type Target, writePoint } from './writer.js';

type DeviceOnWire = Device<ModbusDevice, ModbusAddress>;

/**
 * Connects.
 * @throws TidegateError LINK_DOWN when the other side cannot be reached
 */
export async function openSession(
  connection: ModbusConnection,
  { log }: DriverContext,
): Promise<Session<ModbusDevice, ModbusAddress>> {
  const wire = await openWire(connection, (what) => log.debug(what));
  return sessionOn(wire, connection, log);
}

/** A session on a wire that is open. */
export function sessionOn(
  wire: Wire,
  connection: ModbusConnection,
  log: DriverContext['log'],
): Session<ModbusDevice, ModbusAddress> {
  return new ModbusSession(wire, connection, log);
}

class ModbusSession implements Session<ModbusDevice, ModbusAddress> {
  readonly concurrency: number;
  readonly #wire: Wire;
  readonly #connection: ModbusConnection;
  readonly #log: DriverContext['log'];
  readonly #price: () => Price;
  readonly #known = new WeakMap<DeviceOnWire, ReadContext & { target: Target }>();
  /** Writes go one after the other, so that none comes between the read and the write of a bit. */
  #lastWrite: Promise<void> = Promise.resolve();

  constructor(wire: Wire, connection: ModbusConnection, log: DriverContext['log']) {
    this.#wire = wire;
    this.#connection = connection;
    this.#price = followPrice(connection, () => wire.answerTime);
    this.#log = log;
    this.concurrency = connection.in_flight;
  }

  read(device: DeviceOnWire, points: readonly Point<ModbusAddress>[], options: ReadOptions): Promise<Samples> {
    return readPoints(this.#contextOf(device), points, options);
  }

  write(device: DeviceOnWire, point: Point<ModbusAddress>, raw: Value, signal: AbortSignal): Promise<void> {
    const write = this.#lastWrite.then(() => {
      signal.throwIfAborted();
      return writePoint(this.#wire, this.#contextOf(device).target, point, raw);
    });
    this.#lastWrite = write.catch(() => {});
    return write;
  }

  scan(place: number): Promise<FoundDevice | undefined> {
    return findUnit(this.#wire, place);
  }

  decode(device: DeviceOnWire, place: string): Promise<Decoding> {
    return decodePlace(this.#wire, device, place);
  }

  close(): Promise<void> {
    return this.#wire.close();
  }

  #contextOf(device: DeviceOnWire): ReadContext & { target: Target } {
    let context = this.#known.get(device);
    if (!context) {
      context = {
        wire: this.#wire,
        memory: new Memory(device.settings.unit, limitsOf(this.#connection, device.settings), this.#price),
        target: { unit: device.settings.unit, withoutMask: false },
        lanes: this.#connection.in_flight,
        onBad: (what) => this.#log.info({ device: device.id }, `${what}; the other points are read without it`),
      };
      this.#known.set(device, context);
    }
    return context;
  }
}
