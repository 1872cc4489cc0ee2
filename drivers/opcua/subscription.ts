/** Lets the server tell what changes: one subscription for the whole session, its monitored items spread over the devices. */
import {
  CreateMonitoredItemsRequest,
  CreateSubscriptionRequest,
  type CreateSubscriptionResponse,
  DeleteMonitoredItemsRequest,
  PublishRequest,
  type PublishResponse,
  RepublishRequest,
  type RepublishResponse,
  TimestampsToReturn,
} from 'node-opcua-client';
import type { Listener, Subscription } from '../../src/driver.js';
import { isKind, messageOf } from '../../src/errors.js';
import type { Device, Flaw, Point, Push, Value } from '../../src/model.js';
import { type Change, makeChanges } from './changes.js';
import { type ItemResult, itemOf, type Wish, wantsNoFilter } from './monitored-item.js';
import type { Nodes } from './nodes.js';
import { askFor, judge, openStructures } from './reader.js';
import type { OpcuaAddress, OpcuaConnection, OpcuaDevice } from './schema.js';
import { isBad, isGone, isOverflow, type Status, wordsOf } from './status.js';
import { Fault, type Wire } from './wire.js';

/** Publish requests that wait at the server, so that one is there while the answer to another travels: no more than the least server takes. */
const WAITING = 2;
/** Longest that a server may keep quiet, in milliseconds, before it has to say that it is still there. */
const QUIET = 10_000;
/** Milliseconds that a subscription outlives a client of which the server hears nothing. */
const LIFETIME = 60_000;
const ENDLESS = 2 ** 31 - 1;
/** Milliseconds after which nodes that are gone are looked for again. */
const AGAIN = 60_000;

/** What one device subscribed to. */
interface Feed {
  readonly device: Device<OpcuaDevice, OpcuaAddress>;
  readonly points: readonly Point<OpcuaAddress>[];
  readonly listener: Listener;
  /** Handle → the server's id of the item. */
  readonly items: Map<number, number>;
  /** Indexes of points whose nodes are gone. */
  readonly gone: Set<number>;
  looking?: NodeJS.Timeout | undefined;
  /** The server lost values, and that was told. */
  overflown: boolean;
  closed: boolean;
}

/** An item's place in its feed. */
interface Target {
  readonly feed: Feed;
  readonly index: number;
}

interface Notification {
  readonly schema: { readonly name: string };
  readonly monitoredItems?: readonly Change[] | null;
  readonly status?: Status;
}

type Message = PublishResponse['notificationMessage'];

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
  /** Number of the message to be told next, and those that have come and are not told yet. */
  #expected = 1;
  readonly #arrived = new Map<number, Message>();
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
    const feed: Feed = {
      device,
      points,
      listener,
      closed: false,
      items: new Map(),
      gone: new Set(),
      overflown: false,
    };
    this.#wire.onBroken((error) => {
      clearInterval(feed.looking);
      if (!feed.closed) listener.broke(error);
    });
    const polled = new Set(points);
    try {
      const told = [...points.keys()].filter((index) => points[index]?.address.mode !== 'poll');
      const wishes = await this.#wishes(feed, told);
      if (wishes.length > 0) {
        this.#opening ??= this.#open();
        const id = await this.#opening;
        const refused = id === undefined ? wishes : await this.#monitor(id, feed, wishes);
        for (const wish of wishes) if (!refused.includes(wish)) polled.delete(pointOf(feed, wish));
      }
    } catch (error) {
      // Whether the server took them is not known: to open a new session leaves none behind.
      throw isKind(error, 'retry') ? this.#wire.leave(messageOf(error)) : error;
    }
    return {
      polled: points.filter((point) => polled.has(point)),
      close: async () => {
        feed.closed = true;
        clearInterval(feed.looking);
        await this.#remove(feed, [...feed.items.keys()]);
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
  async #monitor(id: number, feed: Feed, wishes: readonly Wish[]): Promise<Wish[]> {
    const open = new Map(wishes.map((wish) => [this.#nextHandle++, wish]));
    for (const [handle, { index }] of open) this.#targets.set(handle, { feed, index });
    const again: Wish[] = [];
    const short: string[] = [];
    try {
      await this.#wire.inParts('monitor', [...open], async (part) => {
        const request = new CreateMonitoredItemsRequest({
          subscriptionId: id,
          timestampsToReturn: TimestampsToReturn.Source,
          itemsToCreate: part.map(([handle, wish]) => itemOf(wish, pointOf(feed, wish), handle)),
        });
        const { results } = await this.#wire.call<{ results: ItemResult[] | null }>(request, this.#patience);
        for (const [at, [handle, wish]] of part.entries()) {
          const result = results?.[at];
          if (result && !isBad(result.statusCode)) {
            open.delete(handle);
            feed.items.set(handle, result.monitoredItemId);
            if (result.revisedQueueSize < pointOf(feed, wish).address.queue) short.push(pointOf(feed, wish).id);
          } else if (wantsNoFilter(result, wish, pointOf(feed, wish))) {
            open.delete(handle);
            this.#targets.delete(handle);
            again.push({ ...wish, plain: true });
          }
        }
        return part;
      });
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.#wire.log.info({ device: feed.device.id }, `the server does not tell of all changes: ${error.message}`);
    }
    if (short.length > 0)
      this.#wire.log.warn(
        { device: feed.device.id },
        `the server keeps a shorter queue than was asked for: ${short.join(', ')}`,
      );
    for (const handle of open.keys()) this.#targets.delete(handle);
    const refused = [...open.values()];
    if (again.length === 0) return refused;
    const names = again.map((wish) => pointOf(feed, wish).id).join(', ');
    this.#wire.log.info(`the server has no deadband for ${names}: it tells every change`);
    return [...refused, ...(await this.#monitor(id, feed, again))];
  }

  /** The node of an item is gone, and the item with it. It is looked for again, under another node id where it has a path. */
  #lose(feed: Feed, index: number): void {
    feed.gone.add(index);
    this.#nodes.forget(feed.device, feed.points[index] as Point<OpcuaAddress>);
    feed.looking ??= setInterval(() => {
      this.#regain(feed).catch((error: unknown) => this.#wire.log.debug(`cannot look for nodes: ${messageOf(error)}`));
    }, AGAIN).unref();
  }

  async #regain(feed: Feed): Promise<void> {
    const id = await this.#opening;
    if (id === undefined) return;
    const lost = [...feed.items.keys()].filter((handle) => feed.gone.has(this.#targets.get(handle)?.index ?? -1));
    await this.#remove(feed, lost);
    const wishes = await this.#wishes(feed, [...feed.gone]);
    const refused = await this.#monitor(id, feed, wishes);
    if (feed.closed) return this.#remove(feed, [...feed.items.keys()]);
    for (const wish of wishes) if (!refused.includes(wish)) feed.gone.delete(wish.index);
    if (feed.gone.size === 0) {
      clearInterval(feed.looking);
      feed.looking = undefined;
    }
  }

  /** What is to be asked for some points of a feed: those whose nodes can be found. */
  async #wishes({ device, points }: Feed, indexes: readonly number[]): Promise<Wish[]> {
    const wanted = indexes.map((index) => points[index] as Point<OpcuaAddress>);
    const places = await this.#nodes.find(device, wanted);
    return indexes.flatMap((index, at): Wish[] => {
      const place = places[at];
      return place === undefined || typeof place === 'string'
        ? []
        : [{ index, ask: askFor(place, points[index] as Point<OpcuaAddress>), plain: false }];
    });
  }

  async #remove(feed: Feed, handles: readonly number[]): Promise<void> {
    const items = handles.map((handle) => feed.items.get(handle) as number);
    for (const handle of handles) {
      feed.items.delete(handle);
      this.#targets.delete(handle);
    }
    const subscriptionId = await this.#opening?.catch(() => undefined);
    if (subscriptionId === undefined) return;
    const work = this.#wire.inParts('monitor', items, async (monitoredItemIds) => {
      await this.#wire.call(new DeleteMonitoredItemsRequest({ subscriptionId, monitoredItemIds }));
      return monitoredItemIds;
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

  /** Messages are told one behind the other: a structure may have to be looked up first, and what comes later waits behind it. */
  #take({ subscriptionId, notificationMessage }: PublishResponse): void {
    const { sequenceNumber, notificationData } = notificationMessage;
    if (!notificationData?.length) return;
    this.#acknowledge.push({ subscriptionId, sequenceNumber });
    this.#arrived.set(sequenceNumber, notificationMessage);
    this.#tail = this.#tail
      .then(() => this.#follow(subscriptionId, sequenceNumber))
      .catch((error: unknown) => void this.#wire.leave(messageOf(error)));
  }

  /** Tells all messages up to this one that are not told yet. */
  async #follow(subscriptionId: number, last: number): Promise<void> {
    // Half of all numbers are behind what is expected, for they begin again.
    while (((last - this.#expected) | 0) >= 0) {
      const next = this.#arrived.get(this.#expected) ?? (await this.#askAgain(subscriptionId, this.#expected));
      await this.#hear(next);
    }
    this.#arrived.delete(last);
  }

  /** A message that another has overtaken on its way, or that is lost. */
  async #askAgain(subscriptionId: number, retransmitSequenceNumber: number): Promise<Message> {
    try {
      const request = new RepublishRequest({ subscriptionId, retransmitSequenceNumber });
      const { notificationMessage } = await this.#wire.call<RepublishResponse>(request);
      this.#acknowledge.push({ subscriptionId, sequenceNumber: retransmitSequenceNumber });
      return notificationMessage;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      // What has come meanwhile is acknowledged, and the server keeps it no more.
      const arrived = this.#arrived.get(retransmitSequenceNumber);
      if (arrived) return arrived;
      // What it told may never be told again: a new session begins with all values.
      throw new Error(`the server lost message ${retransmitSequenceNumber}: ${error.message}`);
    }
  }

  async #hear({ sequenceNumber, notificationData }: Message): Promise<void> {
    this.#arrived.delete(sequenceNumber);
    this.#expected = sequenceNumber === 0xffff_ffff ? 1 : sequenceNumber + 1;
    for (const notification of (notificationData ?? []) as unknown as (Notification | null)[]) {
      if (notification?.status) throw new Error(`the subscription ended: ${wordsOf(notification.status)}`);
      const changes = notification?.monitoredItems ?? [];
      await openStructures(this.#wire, changes);
      this.#tell(changes);
    }
  }

  /** What a status says beside the quality of its value. */
  #heed(feed: Feed, index: number, status: Status): void {
    if (isGone(status)) this.#lose(feed, index);
    if (!isOverflow(status) || feed.overflown) return;
    feed.overflown = true;
    const what = `the server's queue of ${feed.points[index]?.id} was full, and values were lost`;
    this.#wire.log.warn({ device: feed.device.id }, `${what}: raise its queue, or publish more often`);
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
      const { at, statusCode } = change;
      if (statusCode.value !== 0) this.#heed(feed, index, statusCode);
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

function pointOf({ points }: Feed, { index }: Wish): Point<OpcuaAddress> {
  return points[index] as Point<OpcuaAddress>;
}
