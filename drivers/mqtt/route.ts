/** What one message means for one device: the points that it tells, made ready once. */
import type { Flaw, Point, Push, Value } from '../../src/model.js';
import type { Message } from './hub.js';
import { Unfit } from './payload.js';
import { lookUp, stepsOf } from './pointer.js';
import type { MqttAddress, MqttDevice } from './schema.js';
import { timeOf } from './time.js';
import { fill } from './topic.js';
import { type Decode, decodedOf, decoderOf } from './value.js';

/** The points of one topic that share a time stamp. */
export interface Route {
  /** Ascending, into the points that the routes were made of. */
  readonly indexes: readonly number[];
  /** The values of a message; nothing for points that are optional and not in it. */
  read(message: Message): Push;
}

/** The routes of a device, by topic. */
export function routesOf(points: readonly Point<MqttAddress>[], device: MqttDevice): Map<string, Route[]> {
  const groups = new Map<string, { topic: string; timestamp: string | undefined; indexes: number[] }>();
  for (const [index, { address }] of points.entries()) {
    const topic = fill(address.topic, device.topic);
    const { timestamp } = address;
    const key = JSON.stringify([topic, timestamp]);
    const group = groups.get(key) ?? { topic, timestamp, indexes: [] };
    group.indexes.push(index);
    groups.set(key, group);
  }
  const routes = new Map<string, Route[]>();
  for (const { topic, timestamp, indexes } of groups.values()) {
    const decoders = indexes.map((index) => decoderOf(points[index] as Point<MqttAddress>));
    const route = makeRoute(indexes, decoders, timestamp, device.stale !== undefined);
    routes.set(topic, [...(routes.get(topic) ?? []), route]);
  }
  return routes;
}

function makeRoute(
  indexes: readonly number[],
  decoders: readonly Decode[],
  timestamp: string | undefined,
  ages: boolean,
): Route {
  const steps = timestamp === undefined ? undefined : stepsOf(timestamp);
  return {
    indexes,
    read({ payload, unfit, retained }) {
      const found: (Value | Unfit)[] = [];
      let told: number[] | undefined;
      for (let at = 0; at < decoders.length; at++) {
        const value = unfit ?? (decoders[at] as Decode)(payload);
        if (value === undefined) {
          told ??= indexes.slice(0, at);
          continue;
        }
        told?.push(indexes[at] as number);
        found.push(value);
      }
      const push = { indexes: told ?? indexes, ...decodedOf(found) };
      const time = steps && !(payload.json instanceof Unfit) ? timeOf(lookUp(payload.json, steps)) : undefined;
      if (typeof time === 'number') return { ...push, at: time };
      // Where silence means something, what was kept without a time cannot be taken for news.
      if (ages && retained) return doubted(push, 'kept by the broker, nobody knows since when');
      // Of now, for want of another time.
      return time ? doubted(push, `when: ${time.reason}`) : push;
    },
  };
}

/** The same values, uncertain; what is bad stays so. */
function doubted(push: Push, reason: string): Push {
  const flaw: Flaw = { quality: 'uncertain', reason };
  const { values, flaws } = push;
  return { ...push, flaws: new Map(values.map((_, at): [number, Flaw] => [at, flaws?.get(at) ?? flaw])) };
}
