/** Orders to a device: from a raw value to the payload that its command topic takes, and back for the simulator. */
import { isDeepStrictEqual } from 'node:util';
import { type Point, Structure, type Value } from '../../src/model.js';
import { Payload, Unfit, writeJson } from './payload.js';
import type { Command, MqttAddress } from './schema.js';

/** What stands for the value in a payload. */
const VALUE = '{value}';

/** The payload that writes a raw value. */
export function payloadOf({ address }: Point<MqttAddress>, { payload }: Command, raw: Value): string {
  const said = wordOf(address.words, raw);
  return typeof payload === 'string' ? payload.replaceAll(VALUE, () => plain(said)) : writeJson(filled(payload, said));
}

/** The word that stands for a raw value, the first that does; the value itself when there is none. */
export function wordOf(words: MqttAddress['words'], raw: Value): Value {
  if (raw === null) return raw;
  const word = Object.entries(words ?? {}).find(([, meant]) => Number(meant) === Number(raw));
  return word ? word[0] : raw;
}

/** What a payload says where the command has its value; undefined when it is another command's. */
export function valueIn({ payload }: Command, said: string): unknown {
  if (typeof payload === 'string') {
    const [before = '', after = ''] = payload.split(VALUE);
    const fits = said.startsWith(before) && said.endsWith(after) && said.length >= before.length + after.length;
    return fits ? said.slice(before.length, said.length - after.length) : undefined;
  }
  const { json } = new Payload(Buffer.from(said));
  if (json instanceof Unfit) return undefined;
  const place = placeOf(payload);
  if (!place) return undefined;
  const value = place.reduce<unknown>((at, step) => (at as Record<string, unknown> | undefined)?.[step], json);
  return isDeepStrictEqual(json, filled(payload, value)) ? value : undefined;
}

function plain(value: unknown): string {
  return value instanceof Structure ? value.text : String(value);
}

/** The payload with the value, as JSON has it, where a text is {value} alone; as text where it is part of one. */
function filled(part: unknown, value: unknown): unknown {
  if (part === VALUE) return value;
  if (typeof part === 'string') return part.replaceAll(VALUE, () => plain(value));
  if (Array.isArray(part)) return part.map((one) => filled(one, value));
  if (typeof part !== 'object' || part === null) return part;
  return Object.fromEntries(Object.entries(part).map(([key, one]) => [key, filled(one, value)]));
}

/** Where in a payload the value stands alone. */
function placeOf(part: unknown): string[] | undefined {
  if (part === VALUE) return [];
  if (typeof part !== 'object' || part === null) return undefined;
  for (const [key, one] of Object.entries(part)) {
    const below = placeOf(one);
    if (below) return [key, ...below];
  }
  return undefined;
}
