/** Reading by hand what devices tell by themselves: what they said last, or what they say while we wait. */
import type { ReadOptions } from '../../src/driver.js';
import type { Device, Flaw, Point, Samples, Value } from '../../src/model.js';
import { statementOf } from './availability.js';
import type { Hub, Listening, Message } from './hub.js';
import { shown, Unfit } from './payload.js';
import { lookUp, stepsOf } from './pointer.js';
import { routesOf } from './route.js';
import type { Availability, MqttAddress, MqttDevice } from './schema.js';
import { fill } from './topic.js';
import { decodedOf, decoderOf, isDeep } from './value.js';
import type { Wire } from './wire.js';

type DeviceOnBroker = Device<MqttDevice, MqttAddress>;
type MqttPoint = Point<MqttAddress>;

/** Longest text of a payload that is shown as raw. */
const LONGEST = 120;

/** A value that was written, and should be told. */
interface Expected {
  readonly raw: Value;
  readonly listening: Listening;
}

export class Reader {
  readonly #wire: Wire;
  readonly #hub: Hub;
  /** By device and point. */
  readonly #expected = new Map<string, Expected>();

  constructor(wire: Wire, hub: Hub) {
    this.#wire = wire;
    this.#hub = hub;
  }

  /**
   * What the points were told last. Those of which nothing is known yet are waited for, as long as one request may take: for what the
   * broker has kept, or what the device says meanwhile. So is a value that was just written. Nobody waits for a device that is gone.
   * @throws TidegateError LINK_DOWN
   */
  async read(device: DeviceOnBroker, points: readonly MqttPoint[], { signal, raw }: ReadOptions): Promise<Samples> {
    signal.throwIfAborted();
    if (points.length === 0) return { values: [], answered: true };
    const { topic: own, availability } = device.settings;
    const watched = availability.map((one) => fill(one.topic, own));
    const topics = points.map(({ address }) => fill(address.topic, own));
    const written = points.map((point) => this.#expected.get(keyOf(device, point)));
    const decoders = points.map(decoderOf);
    let look = (): void => {};
    const listening = await this.#hub.listen([...watched, ...topics], () => look());
    const isKnown = (topic: string, at: number): boolean => {
      const last = this.#hub.last(topic);
      const expected = written[at];
      if (last === undefined) return listening.refused.has(topic);
      return !expected || same(decoders[at]?.(last.payload), expected.raw);
    };
    const whyGone = (): string | undefined => {
      for (const [at, topic] of watched.entries()) {
        const last = this.#hub.last(topic);
        const statement = last && statementOf(availability[at] as Availability, last);
        if (statement?.says === 'offline') return `${topic} says ${shown(statement.word)}`;
      }
      return undefined;
    };
    try {
      await this.#until((news) => {
        look = () => {
          if (whyGone() !== undefined || topics.every(isKnown)) news();
        };
        look();
      }, signal);
      const reason = whyGone();
      if (reason !== undefined) return { ...decodedOf(points.map(() => new Unfit(reason))), answered: false };
      return this.#samplesOf(device, points, listening.refused, raw === true);
    } finally {
      for (const [at, point] of points.entries()) if (written[at]) this.forget(device, point);
      void listening.close();
    }
  }

  #samplesOf(
    { settings }: DeviceOnBroker,
    points: readonly MqttPoint[],
    refused: ReadonlyMap<string, string>,
    wantsRaw: boolean,
  ): Samples {
    const values: Value[] = points.map(() => null);
    const flaws = new Map<number, Flaw>();
    const raw = new Map<number, string>();
    const times: (number | undefined)[] = [];
    for (const [topic, routes] of routesOf(points, settings)) {
      const message = this.#hub.last(topic);
      const reason = message ? 'not in what was told last' : (refused.get(topic) ?? 'not told yet');
      for (const route of routes) {
        for (const index of route.indexes) flaws.set(index, { quality: 'bad', reason });
        if (!message) continue;
        const { indexes = [], values: told, flaws: flawed, at } = route.read(message);
        for (const [place, index] of indexes.entries()) {
          values[index] = told[place] as Value;
          const flaw = flawed?.get(place);
          if (flaw) flaws.set(index, flaw);
          else flaws.delete(index);
        }
        times.push(at);
        if (wantsRaw) for (const index of route.indexes) raw.set(index, rawText(message, points[index] as MqttPoint));
      }
      message?.payload.forget();
    }
    const timed = times.filter((time) => time !== undefined);
    return {
      values,
      answered: times.length > 0,
      ...(flaws.size > 0 && { flaws }),
      ...(timed.length > 0 && timed.length === times.length && { at: Math.max(...timed) }),
      ...(wantsRaw && { raw }),
    };
  }

  /** Resolves when it is told to, or after the time limit. @throws TidegateError LINK_DOWN, and the signal's reason */
  #until(start: (end: () => void) => void, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (then: () => void): void => {
        clearTimeout(timer);
        unwatch();
        signal.removeEventListener('abort', abort);
        then();
      };
      const abort = (): void => settle(() => reject(signal.reason));
      const timer = setTimeout(() => settle(resolve), this.#wire.timeout);
      const unwatch = this.#wire.onEnd((error) => settle(() => reject(error)));
      signal.addEventListener('abort', abort);
      if (this.#wire.error) settle(() => reject(this.#wire.error));
      else if (signal.aborted) abort();
      else start(() => settle(resolve));
    });
  }

  /** A value is about to be written: the next read of the point waits until it is told. @throws TidegateError LINK_DOWN */
  async expect(device: DeviceOnBroker, point: MqttPoint, raw: Value): Promise<void> {
    if (point.access === 'write') return;
    const key = keyOf(device, point);
    const listening = await this.#hub.listen([fill(point.address.topic, device.settings.topic)], () => {});
    this.forget(device, point);
    this.#expected.set(key, { raw, listening });
  }

  /** Nothing is expected of the point any more. */
  forget(device: DeviceOnBroker, point: MqttPoint): void {
    const key = keyOf(device, point);
    void this.#expected.get(key)?.listening.close();
    this.#expected.delete(key);
  }
}

function keyOf({ id }: DeviceOnBroker, point: MqttPoint): string {
  return `${id} ${point.id}`;
}

function same(value: Value | Unfit | undefined, raw: Value): boolean {
  const isBool = typeof value === 'boolean' || typeof raw === 'boolean';
  return isBool ? Number(value) === Number(raw) : String(value) === String(raw);
}

/** What the payload says of a point, as text; bytes in hexadecimal. */
function rawText({ payload }: Message, { address }: MqttPoint): string {
  const { binary, pointer } = address;
  const { text, json, bytes } = payload;
  if (binary || text instanceof Unfit) return cut(bytes.toString('hex', 0, LONGEST).replaceAll(/(..)(?=.)/g, '$1 '));
  if (pointer === undefined || json instanceof Unfit) return cut(text);
  const value = lookUp(json, stepsOf(pointer));
  return isDeep(value) ? shown(value) : cut(JSON.stringify(value) ?? '');
}

function cut(text: string): string {
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}
