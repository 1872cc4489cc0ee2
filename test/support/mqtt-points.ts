/** Points and devices of the tests over MQTT. */

import type { z } from 'zod';
import { addressSchema, deviceSchema, type MqttAddress, type MqttDevice } from '../../drivers/mqtt/schema.js';
import type { Device, Point } from '../../src/model.js';

type Written = Partial<Omit<Point, 'id' | 'type' | 'address'>> & z.input<typeof addressSchema>;

/** A point; keys that are no point's are its address, as people write it. */
export function pointOf(type: Point['type'], id: string, written: Written = {}): Point<MqttAddress> {
  const { access = 'read', states, kind = 'gauge', scale = 1, offset = 0, every = 100, ...address } = written;
  const common = { id, type, kind, access, every, scale, offset, ...(states && { states }) };
  return { ...common, address: addressSchema.parse(address) };
}

/** A device on the topic `topic`. */
export function deviceOf(
  points: readonly Point<MqttAddress>[],
  topic = 'hall/plug',
  settings: Omit<z.input<typeof deviceSchema>, 'topic'> = {},
): Device<MqttDevice, MqttAddress> {
  const checked = deviceSchema.parse({ topic, ...settings });
  return {
    id: topic.replaceAll('/', '-'),
    profile: 'acme/plug',
    connection: 'line',
    tags: {},
    settings: checked,
    points,
  };
}
