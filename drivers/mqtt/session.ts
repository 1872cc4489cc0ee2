/** One connection to a broker as the runtime sees it. */
import type { DriverContext, FoundDevice, Listener, ReadOptions, Session, Subscription } from '../../src/driver.js';
import { TidegateError } from '../../src/errors.js';
import type { Device, Point, Samples, Value } from '../../src/model.js';
import { payloadOf } from './command.js';
import { discover } from './discovery.js';
import { startFeed } from './feed.js';
import { Hub } from './hub.js';
import { Reader } from './reader.js';
import type { MqttAddress, MqttConnection, MqttDevice } from './schema.js';
import { fill } from './topic.js';
import { Wire } from './wire.js';

type MqttPoint = Point<MqttAddress>;
type DeviceOnBroker = Device<MqttDevice, MqttAddress>;

/**
 * Connects.
 * @throws TidegateError LINK_DOWN or LINK_REFUSED
 */
export async function openSession(
  connection: MqttConnection,
  context: DriverContext,
): Promise<Session<MqttDevice, MqttAddress>> {
  return new MqttSession(await Wire.open(connection, context), connection, context);
}

class MqttSession implements Session<MqttDevice, MqttAddress> {
  /** Whoever waits for one device keeps nobody else waiting. */
  readonly concurrency = 16;
  readonly #wire: Wire;
  readonly #hub: Hub;
  readonly #reader: Reader;
  readonly #connection: MqttConnection;
  readonly #context: DriverContext;
  readonly #discovering = new Set<Wire>();

  constructor(wire: Wire, connection: MqttConnection, context: DriverContext) {
    this.#wire = wire;
    this.#hub = new Hub(wire, connection.max_payload);
    this.#reader = new Reader(wire, this.#hub);
    this.#connection = connection;
    this.#context = context;
  }

  read(device: DeviceOnBroker, points: readonly MqttPoint[], options: ReadOptions): Promise<Samples> {
    return this.#reader.read(device, points, options);
  }

  subscribe(
    device: DeviceOnBroker,
    points: readonly MqttPoint[],
    listener: Listener,
  ): Promise<Subscription<MqttAddress>> {
    const { log } = this.#context;
    return startFeed({ wire: this.#wire, hub: this.#hub, log }, device, points, listener);
  }

  async write(device: DeviceOnBroker, point: MqttPoint, raw: Value, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { command } = point.address;
    if (!command) throw new TidegateError('WRITE_REFUSED', `${point.id} has no command`);
    await this.#reader.expect(device, point, raw);
    try {
      await this.#wire.publish(fill(command.topic, device.settings.topic), payloadOf(point, command, raw));
    } catch (error) {
      this.#reader.forget(device, point);
      throw error;
    }
  }

  async discover(found: (device: FoundDevice) => void): Promise<{ close(): Promise<void> }> {
    if (this.#wire.error) throw this.#wire.error;
    const wire = await discover(this.#connection, this.#context, found);
    // Two connections, one session: neither goes on without the other.
    wire.onEnd((error, closed) => {
      if (!closed) this.#wire.break(error);
    });
    const unwatch = this.#wire.onEnd((error, closed) => {
      if (!closed) wire.break(error);
    });
    this.#discovering.add(wire);
    if (this.#wire.error) {
      await wire.close();
      throw this.#wire.error;
    }
    return {
      close: async () => {
        unwatch();
        this.#discovering.delete(wire);
        await wire.close();
      },
    };
  }

  async close(): Promise<void> {
    await Promise.all([this.#wire, ...this.#discovering].map((wire) => wire.close()));
  }
}
