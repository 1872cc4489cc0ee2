/** One session with an OPC UA server as the runtime sees it. */
import type {
  BrowsedNode,
  DriverContext,
  FoundDevice,
  Listener,
  ReadOptions,
  Session,
  Subscription,
} from '../../src/driver.js';
import type { Device, Point, Samples, Value } from '../../src/model.js';
import { browse } from './browser.js';
import { discover } from './discovery.js';
import { Nodes } from './nodes.js';
import { readPoints } from './reader.js';
import type { OpcuaAddress, OpcuaConnection, OpcuaDevice } from './schema.js';
import { Monitor } from './subscription.js';
import { Wire } from './wire.js';
import { writePoint } from './writer.js';

type OpcuaPoint = Point<OpcuaAddress>;
type DeviceOnServer = Device<OpcuaDevice, OpcuaAddress>;

/**
 * Connects and signs in.
 * @throws TidegateError LINK_DOWN, LINK_UNTRUSTED or LINK_REFUSED
 */
export async function openSession(
  connection: OpcuaConnection,
  context: DriverContext,
): Promise<Session<OpcuaDevice, OpcuaAddress>> {
  return new OpcuaSession(await Wire.open(connection, context), connection);
}

class OpcuaSession implements Session<OpcuaDevice, OpcuaAddress> {
  /** Servers take requests side by side. */
  readonly concurrency = 4;
  readonly #wire: Wire;
  readonly #nodes: Nodes;
  readonly #monitor: Monitor;

  constructor(wire: Wire, connection: OpcuaConnection) {
    this.#wire = wire;
    this.#nodes = new Nodes(wire);
    this.#monitor = new Monitor(wire, this.#nodes, connection);
  }

  read(device: DeviceOnServer, points: readonly OpcuaPoint[], options: ReadOptions): Promise<Samples> {
    return readPoints(this.#wire, this.#nodes, device, points, options);
  }

  subscribe(
    device: DeviceOnServer,
    points: readonly OpcuaPoint[],
    listener: Listener,
  ): Promise<Subscription<OpcuaAddress>> {
    return this.#monitor.add(device, points, listener);
  }

  async write(device: DeviceOnServer, point: OpcuaPoint, raw: Value, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await writePoint(this.#wire, this.#nodes, device, point, raw);
  }

  browse(path: string, signal: AbortSignal): AsyncIterable<BrowsedNode> {
    return browse(this.#wire, this.#nodes, path, signal);
  }

  discover(found: (device: FoundDevice) => void): Promise<{ close(): Promise<void> }> {
    return discover(this.#wire, this.#nodes, found);
  }

  close(): Promise<void> {
    return this.#wire.close();
  }
}
