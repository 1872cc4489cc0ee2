/** One device that tells by itself: its messages become pushes, its availability and its silence become `silent`. */
import type { DriverContext, Listener, Subscription } from '../../src/driver.js';
import type { Device, Flaw, Point, Push, Value } from '../../src/model.js';
import type { Hub, Listening, Message } from './hub.js';
import { shown, Unfit } from './payload.js';
import { lookUp, stepsOf } from './pointer.js';
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
  const unwatch = wire.onBroken((error) => feed.broke(error));
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
  /** Topics that say that the device is gone, and how. */
  readonly #gone = new Map<string, string>();
  /** What was kept by the broker and came while the device was gone. */
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
    this.#routes = routesOf(points, topic);
    for (const one of availability) {
      const at = fill(one.topic, topic);
      this.#watched.set(at, [...(this.#watched.get(at) ?? []), one]);
    }
    this.topics = [...this.#watched.keys(), ...this.#routes.keys()];
    if (stale !== undefined) this.#watch(stale, stale);
  }

  take(message: Message): void {
    if (this.#closed) return;
    const { topic, retained } = message;
    for (const watched of this.#watched.get(topic) ?? []) this.#judge(watched, message);
    const routes = this.#routes.get(topic);
    if (!routes) return;
    if (retained && this.#gone.size > 0) this.#held.set(topic, message);
    else for (const route of routes) this.#push(route, message);
  }

  /** These topics cannot be subscribed to. */
  refuse(refused: ReadonlyMap<string, string>): void {
    for (const [topic, reason] of refused)
      for (const { indexes } of this.#routes.get(topic) ?? []) {
        const flaws = new Map(indexes.map((_, at): [number, Flaw] => [at, { quality: 'bad', reason }]));
        this.#listener.push({ indexes, values: indexes.map(() => null), flaws });
      }
  }

  broke(error: unknown): void {
    if (this.#closed) return;
    this.close();
    this.#listener.broke(error);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #push(route: Route, message: Message): void {
    const { retained } = message;
    if (!retained) this.#heard();
    const push = route.read(message);
    if (push.values.length === 0) return;
    // Where silence means something, what was kept without a time cannot be taken for news.
    const old = retained && push.at === undefined && this.#device.settings.stale !== undefined;
    this.#listener.push(old ? doubted(push) : push);
  }

  #judge(watched: Availability, { topic, payload, retained, unfit }: Message): void {
    const { online, offline, pointer } = watched;
    if (payload.bytes.length === 0 && !unfit) return;
    const said = wordIn(payload, pointer);
    if (said === offline) {
      const there = this.#gone.size === 0;
      this.#gone.set(topic, said);
      if (there) this.#listener.silent(`${topic} says ${shown(said)}`);
    } else if (said === online) {
      const back = this.#gone.delete(topic) && this.#gone.size === 0;
      if (!retained) this.#heard();
      if (this.#gone.size > 0) return;
      // Without values: the device is there, its points are as they were told.
      if (!retained || back) this.#listener.push({ indexes: [], values: [] });
      const held = [...this.#held.values()];
      this.#held.clear();
      for (const message of held) for (const route of this.#routes.get(message.topic) ?? []) this.#push(route, message);
    } else
      this.#log.warn(
        { device: this.#device.id, topic },
        `availability: ${shown(said)} is neither ${shown(online)} nor ${shown(offline)}`,
      );
  }

  #heard(): void {
    this.#heardAt = performance.now();
    this.#silent = false;
  }

  /** Looks again when the device could have been silent for too long. */
  #watch(stale: number, wait: number): void {
    this.#timer = setTimeout(() => {
      const left = this.#heardAt + stale - performance.now();
      if (left <= 0 && !this.#silent) {
        this.#silent = true;
        this.#listener.silent(`nothing was heard for ${stale / 1_000} s`);
      }
      this.#watch(stale, left > 0 ? left : stale);
    }, wait).unref();
  }
}

/** The word of an availability topic: at its pointer, else the whole payload. */
function wordIn({ json, text }: Message['payload'], pointer: string | undefined): string {
  const at = pointer === undefined || json instanceof Unfit ? undefined : lookUp(json, stepsOf(pointer));
  if (typeof at === 'string' || typeof at === 'boolean' || typeof at === 'number') return String(at);
  return text instanceof Unfit ? text.reason : text;
}

const OLD: Flaw = { quality: 'uncertain', reason: 'kept by the broker, nobody knows since when' };

/** The same values, uncertain. */
function doubted({ values, flaws, ...push }: Push): Push {
  const all = values.map((value: Value, at): [number, Flaw] => [at, (value === null && flaws?.get(at)) || OLD]);
  return { ...push, values, flaws: new Map(all) };
}
