/** Lets the server tell what changes: one subscription for the whole session, its monitored items spread over the devices. */
import {
  AttributeIds,
  CreateMonitoredItemsRequest,
  CreateSubscriptionRequest,
  type CreateSubscriptionResponse,
  DataChangeFilter,
  DataChangeTrigger,
  DeadbandType,
  DeleteMonitoredItemsRequest,
  MonitoringMode,
  PublishRequest,
  type PublishResponse,
  TimestampsToReturn,
} from 'node-opcua-client';
import type { Listener, Subscription } from '../../src/driver.js';
import { messageOf, TidegateError } from '../../src/errors.js';
import type { Device, Flaw, Point, Push, Value } from '../../src/model.js';
import { type Change, makeChanges } from './changes.js';
import type { Nodes } from './nodes.js';
import { type Asked, askFor, judge, openStructures } from './reader.js';
import type { OpcuaAddress, OpcuaConnection, OpcuaDevice } from './schema.js';
import { isBad, type Status, wordsOf } from './status.js';
import { Fault, type Wire } from './wire.js';

/** Publish requests that wait at the server, so that one is there while the answer to another travels: no more than the least server takes. */
const WAITING = 2;
/** Longest that a server may keep quiet, in milliseconds, before it has to say that it is still there. */
const QUIET = 10_000;
/** Milliseconds that a subscription outlives a client of which the server hears nothing. */
const LIFETIME = 60_000;
const ENDLESS = 2 ** 31 - 1;

/** What one device subscribed to. */
interface Feed {
  readonly points: readonly Point<OpcuaAddress>[];
  readonly listener: Listener;
  closed: boolean;
}

/** An item's place in its feed. */
interface Target {
  readonly feed: Feed;
  readonly index: number;
}

interface Wish {
  readonly index: number;
  readonly ask: Asked;
  readonly plain: boolean;
}

interface ItemResult {
  readonly statusCode: Status;
  readonly monitoredItemId: number;
}

interface Notification {
  readonly schema: { readonly name: string };
  readonly monitoredItems?: readonly Change[] | null;
  readonly status?: Status;
}

/** The subscription of one session. */
export class Monitor {
  readonly #wire: Wire;
  readonly #nodes: Nodes;
  readonly #publishing: number;
  /** To subscribe is a step of connecting: a server may have much to do for it. */
  readonly #patience: number;
  readonly #targets = new Map<number, Target>();
  #opening: Promise<number | undefined> | undefined;
  #nextHandle = 1;
  #acknowledge: { subscriptionId: number; sequenceNumber: number }[] = [];
  #expected = 1;
  #waiting = 0;
  #tail: Promise<void> = Promise.resolve();

  constructor(wire: Wire, nodes: Nodes, { publishing, connect_timeout: patience }: OpcuaConnection) {
    this.#patience = patience;
    this.#wire = wire;
    this.#nodes = nodes;
    this.#publishing = publishing;
  }

  /** Subscribes to what can be; gives the points that have to be polled. */
  async add(
    device: Device<OpcuaDevice, OpcuaAddress>,
    points: readonly Point<OpcuaAddress>[],
    listener: Listener,
  ): Promise<Subscription<OpcuaAddress>> {
    const feed: Feed = { points, listener, closed: false };
    const items: [handle: number, id: number][] = [];
    const polled = new Set(points.filter(({ address }) => address.mode === 'poll'));
    this.#wire.onBroken((error) => {
      if (!feed.closed) listener.broke(error);
    });
    try {
      const places = await this.#nodes.find(device, points);
      const wishes: Wish[] = [];
      points.forEach((point, index) => {
        const place = places[index];
        if (polled.has(point)) return;
        if (place === undefined || typeof place === 'string') polled.add(point);
        else wishes.push({ index, ask: askFor(place, point), plain: false });
      });
      if (wishes.length > 0) {
        this.#opening ??= this.#open();
        const id = await this.#opening;
        const refused = id === undefined ? wishes : await this.#monitor(id, feed, wishes, items);
        for (const { index } of refused) polled.add(points[index] as Point<OpcuaAddress>);
      }
    } catch (error) {
      // Whether the server took them is not known: to open a new session leaves none behind.
      if (error instanceof TidegateError && error.kind === 'retry') throw this.#wire.leave(error.message);
      if (!(error instanceof Fault)) throw error;
      this.#wire.log.info({ device: device.id }, `the server does not tell of changes: ${error.message}; it is polled`);
      for (const point of points) polled.add(point);
    }
    return {
      polled: points.filter((point) => polled.has(point)),
      close: async () => {
        feed.closed = true;
        await this.#remove(items);
      },
    };
  }

  /** Undefined when the server has no subscriptions. */
  async #open(): Promise<number | undefined> {
    makeChanges();
    const keepAlive = Math.max(1, Math.round(QUIET / this.#publishing));
    try {
      const answer = await this.#wire.call<CreateSubscriptionResponse>(
        new CreateSubscriptionRequest({
          requestedPublishingInterval: this.#publishing,
          requestedMaxKeepAliveCount: keepAlive,
          requestedLifetimeCount: Math.max(3 * keepAlive, Math.ceil(LIFETIME / this.#publishing)),
          maxNotificationsPerPublish: 0,
          publishingEnabled: true,
          priority: 0,
        }),
        this.#patience,
      );
      const quiet = answer.revisedPublishingInterval * answer.revisedMaxKeepAliveCount;
      for (let count = 0; count < WAITING; count++) void this.#publish(quiet);
      return answer.subscriptionId;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.#wire.log.info(`the server takes no subscription: ${error.message}; all its points are polled`);
      return undefined;
    }
  }

  /** Creates items; those that the server refuses because of their filter once more without. Gives those that it does not take at all. */
  async #monitor(id: number, feed: Feed, wishes: readonly Wish[], items: [number, number][]): Promise<Wish[]> {
    const first = this.#nextHandle;
    this.#nextHandle += wishes.length;
    wishes.forEach(({ index }, at) => {
      this.#targets.set(first + at, { feed, index });
    });
    const numbered = wishes.map((wish, at) => ({ wish, handle: first + at }));
    const results = await this.#wire.inParts('monitor', numbered, async (part) => {
      const request = new CreateMonitoredItemsRequest({
        subscriptionId: id,
        timestampsToReturn: TimestampsToReturn.Source,
        itemsToCreate: part.map(({ wish, handle }) =>
          itemOf(wish, feed.points[wish.index] as Point<OpcuaAddress>, handle),
        ),
      });
      const { results: answers } = await this.#wire.call<{ results: ItemResult[] | null }>(request, this.#patience);
      return answers ?? [];
    });
    const refused: Wish[] = [];
    const again: Wish[] = [];
    numbered.forEach(({ wish, handle }, at) => {
      const result = results[at];
      if (result && !isBad(result.statusCode)) {
        items.push([handle, result.monitoredItemId]);
        return;
      }
      this.#targets.delete(handle);
      const point = feed.points[wish.index] as Point<OpcuaAddress>;
      const filter = /Filter|Deadband/.test(result?.statusCode.name ?? '');
      if (filter && !wish.plain && point.address.server_deadband !== undefined) again.push({ ...wish, plain: true });
      else refused.push(wish);
    });
    if (again.length > 0) {
      const names = again.map(({ index }) => feed.points[index]?.id).join(', ');
      this.#wire.log.info(`the server has no deadband for ${names}: it tells every change`);
      refused.push(...(await this.#monitor(id, feed, again, items)));
    }
    return refused;
  }

  async #remove(items: readonly [handle: number, id: number][]): Promise<void> {
    for (const [handle] of items) this.#targets.delete(handle);
    const subscriptionId = await this.#opening?.catch(() => undefined);
    if (subscriptionId === undefined || items.length === 0) return;
    const work = this.#wire.inParts('monitor', items, async (part) => {
      const request = new DeleteMonitoredItemsRequest({ subscriptionId, monitoredItemIds: part.map(([, id]) => id) });
      await this.#wire.call(request);
      return part;
    });
    await work.catch(() => {});
  }

  /** Keeps one publish request waiting at the server. */
  async #publish(quiet: number): Promise<void> {
    const limit = Math.min(ENDLESS, WAITING * quiet + this.#wire.timeout);
    this.#waiting += 1;
    try {
      while (true) {
        const subscriptionAcknowledgements = this.#acknowledge.splice(0);
        const answer = await this.#wire.call<PublishResponse>(
          new PublishRequest({ subscriptionAcknowledgements }),
          limit,
        );
        this.#take(answer);
      }
    } catch (error) {
      this.#waiting -= 1;
      const fewer = error instanceof Fault && error.status.name === 'BadTooManyPublishRequests';
      if (fewer && this.#waiting > 0) return;
      this.#wire.leave(`the subscription ended: ${messageOf(error)}`);
    }
  }

  #take({ subscriptionId, notificationMessage }: PublishResponse): void {
    const { sequenceNumber, notificationData } = notificationMessage;
    const notifications = (notificationData ?? []) as unknown as (Notification | null)[];
    if (notifications.length === 0) return;
    this.#acknowledge.push({ subscriptionId, sequenceNumber });
    if (sequenceNumber !== this.#expected) {
      // What a lost message told may never be told again: a new session begins with all values.
      this.#wire.leave(`the server lost messages ${this.#expected} to ${sequenceNumber - 1}`);
      return;
    }
    this.#expected = sequenceNumber === 0xffff_ffff ? 1 : sequenceNumber + 1;
    for (const notification of notifications) {
      if (notification?.status) this.#wire.leave(`the subscription ended: ${wordsOf(notification.status)}`);
      const items = notification?.monitoredItems ?? [];
      if (items.length === 0) continue;
      // Structures may have to be looked up first; what comes later waits behind them.
      this.#tail = this.#tail
        .then(() => openStructures(this.#wire, items))
        .then(() => this.#tell(items))
        .catch((error: unknown) => void this.#wire.leave(`a notification cannot be read: ${messageOf(error)}`));
    }
  }

  /** Hands on what changed: one push for each device and instant. */
  #tell(changes: readonly Change[]): void {
    let push: Draft | undefined;
    const drafts = new Map<Feed, Draft>();
    const send = (feed: Feed, draft: Draft): void => {
      if (!feed.closed) feed.listener.push(pushOf(draft));
    };
    for (const change of changes) {
      const target = this.#targets.get(change.clientHandle);
      if (!target) continue;
      const { feed, index } = target;
      const { at } = change;
      push = drafts.get(feed);
      if (push && (push.at !== at || (index <= push.last && push.indexes.includes(index)))) {
        send(feed, push);
        push = undefined;
      }
      if (!push) {
        push = { at, indexes: [], values: [], flaws: undefined, last: -1, sorted: true };
        drafts.set(feed, push);
      }
      if (index < push.last) push.sorted = false;
      const told = judge(feed.points[index] as Point<OpcuaAddress>, change);
      if (told.flaw) {
        push.flaws ??= new Map();
        push.flaws.set(push.values.length, told.flaw);
      }
      push.indexes.push(index);
      push.values.push(told.value);
      push.last = index;
    }
    for (const [feed, draft] of drafts) send(feed, draft);
  }
}

/** A push in the making. */
interface Draft {
  readonly at: number | undefined;
  readonly indexes: number[];
  readonly values: Value[];
  flaws: Map<number, Flaw> | undefined;
  last: number;
  sorted: boolean;
}

/** The draft with its points in their order. */
function pushOf({ at, indexes, values, flaws, sorted }: Draft): Push {
  const time = at === undefined ? {} : { at };
  if (sorted) return { indexes, values, ...(flaws && { flaws }), ...time };
  const order = indexes.map((_, position) => position).sort((a, b) => (indexes[a] as number) - (indexes[b] as number));
  const moved = flaws && new Map(order.flatMap((from, to) => (flaws.has(from) ? [[to, flaws.get(from) as Flaw]] : [])));
  return {
    indexes: order.map((from) => indexes[from] as number),
    values: order.map((from) => values[from] as Value),
    ...(moved && { flaws: moved }),
    ...time,
  };
}

function itemOf({ ask, plain }: Wish, { address, every }: Point<OpcuaAddress>, clientHandle: number) {
  const { sampling, queue, server_deadband: deadband } = address;
  return {
    itemToMonitor: { ...ask, attributeId: AttributeIds.Value },
    monitoringMode: MonitoringMode.Reporting,
    requestedParameters: {
      clientHandle,
      samplingInterval: sampling ?? every,
      discardOldest: true,
      queueSize: queue,
      ...(deadband !== undefined && !plain && { filter: filterOf(deadband) }),
    },
  };
}

/** A filter of the server (OPC UA Part 4 §7.22.2): `2%` is of the variable's EURange. */
function filterOf(deadband: number | string): DataChangeFilter {
  const percent = typeof deadband === 'string';
  return new DataChangeFilter({
    trigger: DataChangeTrigger.StatusValue,
    deadbandType: percent ? DeadbandType.Percent : DeadbandType.Absolute,
    deadbandValue: percent ? Number.parseFloat(deadband) : deadband,
  });
}
