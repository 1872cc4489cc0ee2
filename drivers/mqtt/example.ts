/** Examples of profiles: payloads by topic, decoded by the code that decodes messages. */
import type { Point, Samples } from '../../src/model.js';
import { Payload, Unfit, writeJson } from './payload.js';
import type { MqttAddress, MqttExample } from './schema.js';
import { decodedOf, decoderOf } from './value.js';

/** One raw value for each point that the example covers; the others are bad. */
export function decodeExample(points: readonly Point<MqttAddress>[], example: MqttExample): Samples {
  const payloads = new Map<string, Payload>();
  for (const [topic, said] of Object.entries(example.topics ?? {}))
    payloads.set(topic, new Payload(Buffer.from(typeof said === 'string' ? said : writeJson(said))));
  for (const [topic, hex] of Object.entries(example.bytes ?? {}))
    payloads.set(topic, new Payload(Buffer.from(hex.replaceAll(/\s/g, ''), 'hex')));
  const found = points.map((point) => {
    const { topic, pointer } = point.address;
    const payload = payloads.get(topic);
    if (!payload) return new Unfit(`the example has no ${topic}`);
    return decoderOf(point)(payload) ?? new Unfit(`the example has no ${pointer}`);
  });
  return { ...decodedOf(found), answered: true };
}
