/** Examples of profiles: payloads by topic, decoded by the code that decodes messages. */
import type { Flaw, Point, Samples, Value } from '../../src/model.js';
import { Payload, Unfit, writeJson } from './payload.js';
import type { MqttAddress, MqttExample } from './schema.js';
import { decoderOf } from './value.js';

/** One raw value for each point that the example covers; the others are bad. */
export function decodeExample(points: readonly Point<MqttAddress>[], example: MqttExample): Samples {
  const payloads = new Map<string, Payload>();
  for (const [topic, said] of Object.entries(example.topics ?? {}))
    payloads.set(topic, new Payload(Buffer.from(typeof said === 'string' ? said : writeJson(said))));
  for (const [topic, hex] of Object.entries(example.bytes ?? {}))
    payloads.set(topic, new Payload(Buffer.from(hex.replaceAll(/\s/g, ''), 'hex')));
  const flaws = new Map<number, Flaw>();
  const values = points.map((point, index): Value => {
    const payload = payloads.get(point.address.topic);
    const value = payload ? decoderOf(point)(payload) : new Unfit(`the example has no ${point.address.topic}`);
    if (value !== undefined && !(value instanceof Unfit)) return value;
    flaws.set(index, { quality: 'bad', reason: value?.reason ?? `the example has no ${point.address.pointer}` });
    return null;
  });
  return { values, answered: true, ...(flaws.size > 0 && { flaws }) };
}
