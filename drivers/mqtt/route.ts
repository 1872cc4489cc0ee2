/** What one message means for one device: the points that it tells, made ready once. */
import type { Flaw, Point, Push, Value } from '../../src/model.js';
import type { Message } from './hub.js';
import { Unfit } from './payload.js';
import { lookUp, stepsOf } from './pointer.js';
import type { MqttAddress } from './schema.js';
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
export function routesOf(points: readonly Point<MqttAddress>[], device: string): Map<string, Route[]> {
  const groups = new Map<string, { topic: string; timestamp: string | undefined; indexes: number[] }>();
  for (const [index, { address }] of points.entries()) {
    const topic = fill(address.topic, device);
    const { timestamp } = address;
    const key = JSON.stringify([topic, timestamp]);
    const group = groups.get(key) ?? { topic, timestamp, indexes: [] };
    group.indexes.push(index);
    groups.set(key, group);
  }
  const routes = new Map<string, Route[]>();
  for (const { topic, timestamp, indexes } of groups.values()) {
    const decoders = indexes.map((index) => decoderOf(points[index] as Point<MqttAddress>));
    const route = makeRoute(indexes, decoders, timestamp);
    routes.set(topic, [...(routes.get(topic) ?? []), route]);
  }
  return routes;
}

function makeRoute(indexes: readonly number[], decoders: readonly Decode[], timestamp: string | undefined): Route {
  const steps = timestamp === undefined ? undefined : stepsOf(timestamp);
  return {
    indexes,
    read({ payload, unfit }) {
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
      if (!steps || payload.json instanceof Unfit) return push;
      const time = timeOf(lookUp(payload.json, steps));
      return time instanceof Unfit ? withoutTime(push, time) : { ...push, at: time };
    },
  };
}

/** Values whose time cannot be told are of now, and uncertain. */
function withoutTime(push: Push, { reason }: Unfit): Push {
  const flaw: Flaw = { quality: 'uncertain', reason: `when: ${reason}` };
  const { values, flaws } = push;
  return { ...push, flaws: new Map(values.map((_, at): [number, Flaw] => [at, flaws?.get(at) ?? flaw])) };
}
