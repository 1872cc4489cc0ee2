/** One device that tells by itself: its messages become pushes, its availability and its silence become `silent`. */
import type { DriverContext, Listener, Subscription } from '../../src/driver.js';
import type { Device, Point } from '../../src/model.js';
import { statementOf } from './availability.js';
import type { Hub, Listening, Message } from './hub.js';
import { Payload, shown, Unfit } from './payload.js';
import { type Route, routesOf } from './route.js';
import type { Availability, MqttAddress, MqttDevice } from './schema.js';
import { fill } from './topic.js';
import type { Wire } from './wire.js';

type DeviceOnBroker = Device<MqttDevice, MqttAddress>;
type MqttPoint = Point<MqttAddress>;

/**
 * Subscribes to what a device says. Topics that the broker refuses make their points bad.
 * @throws TidegateError LINK_DOWN
 */
export async function startFeed(
  { wire, hub, log }: { readonly wire: Wire; readonly hub: Hub; readonly log: DriverContext['log'] },
  device: DeviceOnBroker,
  points: readonly MqttPoint[],
  listener: Listener,
): Promise<Subscription<MqttAddress>> {
  const feed = new Feed(device, points, listener, log);
  const unwatch = wire.onEnd((error, closed) => feed.end(closed ? undefined : error));
  let listening: Listening;
  try {
    listening = await hub.listen(feed.topics, (message) => feed.take(message));
  } catch (error) {
    unwatch();
    feed.close();
    throw error;
  }
  feed.refuse(listening.refused);
  return {
    polled: [],
    close: async () => {
      unwatch();
      feed.close();
      await listening.close();
    },
  };
}

class Feed {
  /** Availability first: who is gone is known to be gone before what it said is heard. */
  readonly topics: readonly string[];
  readonly #device: DeviceOnBroker;
  readonly #listener: Listener;
  readonly #log: DriverContext['log'];
  readonly #routes: ReadonlyMap<string, readonly Route[]>;
  readonly #watched = new Map<string, Availability[]>();
  /** Topics that say that the device is gone, and those that said neither. */
  readonly #gone = new Set<string>();
  readonly #unclear = new Set<string>();
  /** What came last while the device was gone: programs that speak for it publish what they remember of it, as if it were news. */
  readonly #held = new Map<string, Message>();
  #closed = false;
  #heardAt = performance.now();
  /** Nothing was heard for too long, which was told. */
  #silent = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(device: DeviceOnBroker, points: readonly MqttPoint[], listener: Listener, log: DriverContext['log']) {
    this.#device = device;
    this.#listener = listener;
    this.#log = log;
    const { topic, availability, stale } = device.settings;
    this.#routes = routesOf(points, device.settings);
    for (const one of availability) {
      const at = fill(one.topic, topic);
      this.#watched.set(at, [...(this.#watched.get(at) ?? []), one]);
    }
    this.topics = [...this.#watched.keys(), ...this.#routes.keys()];
    if (stale !== undefined) this.#watch(stale, stale);
  }

  take(message: Message): void {
    if (this.#closed) return;
    for (const watched of this.#watched.get(message.topic) ?? []) this.#judge(watched, message);
    if (this.#gone.size > 0) this.#held.set(message.topic, { ...message, retained: true });
    else this.#tell(message);
  }

  /** These topics cannot be subscribed to: as good as messages that are not to be looked into. */
  refuse(refused: ReadonlyMap<string, string>): void {
    const payload = new Payload(Buffer.alloc(0));
    for (const [topic, reason] of refused) this.take({ topic, payload, retained: true, unfit: new Unfit(reason) });
  }

  /** The wire is gone; with the error when nobody closed it. */
  end(error: unknown): void {
    if (this.#closed) return;
    this.close();
    if (error !== undefined) this.#listener.broke(error);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #tell(message: Message): void {
    const routes = this.#routes.get(message.topic) ?? [];
    if (routes.length > 0 && !message.retained) this.#heard();
    for (const route of routes) {
      const push = route.read(message);
      if (push.values.length > 0) this.#listener.push(push);
    }
  }

  #judge(watched: Availability, message: Message): void {
    const { topic, retained } = message;
    const statement = statementOf(watched, message);
    if (!statement) return;
    const { says, word } = statement;
    if (says !== undefined) this.#unclear.delete(topic);
    if (says === 'offline') {
      const there = this.#gone.size === 0;
      this.#gone.add(topic);
      if (there) this.#listener.silent(`${topic} says ${shown(word)}`);
    } else if (says === 'online') this.#comeBack(topic, retained);
    else if (!this.#unclear.has(topic)) {
      this.#unclear.add(topic);
      const strange = `${shown(word)} is neither ${shown(watched.online)} nor ${shown(watched.offline)}`;
      this.#log.warn({ device: this.#device.id, topic }, `availability: ${message.unfit?.reason ?? strange}`);
    }
  }

  #comeBack(topic: string, retained: boolean): void {
    const back = this.#gone.delete(topic);
    if (!retained) this.#heard();
    if (this.#gone.size > 0) return;
    // Without values: the device is there, its points are as they were told.
    if (!retained || back) this.#listener.push({ indexes: [], values: [] });
    const held = [...this.#held.values()];
    this.#held.clear();
    for (const message of held) this.#tell(message);
  }

  #heard(): void {
    this.#heardAt = performance.now();
    this.#silent = false;
  }

  /** Looks again when the device could have been silent for too long. */
  #watch(stale: number, wait: number): void {
    this.#timer = setTimeout(() => {
      const left = this.#heardAt + stale - performance.now();
      if (left <= 0 && !this.#silent && this.#gone.size === 0) {
        this.#silent = true;
        this.#listener.silent(`nothing was heard for ${stale / 1_000} s`);
      }
      this.#watch(stale, left > 0 ? left : stale);
    }, wait).unref();
  }
}
