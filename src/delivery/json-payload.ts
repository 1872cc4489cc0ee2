/**
 * The default payload format: one JSON message per event. Readings:
 *
 * `{"id":"plant-7:3:1842","ts":1764312000000,"device":"meter-1","values":{"active_power":1234.5},"bad":{"frequency":"timeout"},"late":true}`
 *
 * `bad` names points without a value and why; `uncertain` points whose value is there but doubtful; `late` marks the backlog;
 * `clock` a time that nobody vouches for.
 * News of a device (model.ts has what the keys mean):
 *
 * `{"id":"plant-7:3:1843","ts":1764312000000,"device":"meter-1","event":"birth","state":"online","previous":"offline",…}`
 *
 * Integers beyond 2^53 are strings, since most JSON readers would round them.
 */
import type { DeviceEvent, Event, Flaw, GapEvent, TelemetryEvent, Value } from '../model.js';
import { formatDuration } from '../units.js';
import type { Entry } from './entry.js';

/** The start of each member, `,"name":`, kept by the identity of the names that events share. */
const keysOf = new WeakMap<readonly string[], readonly string[]>();

/** What a message tells of an entry. */
export type Told = Pick<Entry, 'epoch' | 'seq' | 'event' | 'late'>;

/** Encodes an entry for a gateway. */
export function encodeJson(entry: Told, gateway: string): string {
  const { event } = entry;
  const clock = event.clock ? ',"clock":"unset"' : '';
  const late = entry.late ? ',"late":true}' : '}';
  return bodyOf(entry, event, gateway) + clock + late;
}

/** All but the last members. */
function bodyOf(entry: Told, event: Event, gateway: string): string {
  switch (event.kind) {
    case 'telemetry':
      return telemetry(entry, event, gateway);
    case 'device':
      return device(entry, event, gateway);
    case 'gap':
      return gap(entry, event, gateway);
  }
}

/** The id of an event: gateway, epoch, sequence. Unique for ever within its upstream; a gap takes the number of the last event it stands for. */
export function idOf(entry: Omit<Told, 'late'>, gateway: string): string {
  return `${gateway}:${entry.epoch}:${entry.seq}${entry.event.kind === 'gap' ? '-gap' : ''}`;
}

function telemetry(entry: Told, event: TelemetryEvent, gateway: string): string {
  const { names, values, flaws } = event;
  const keys = keysFor(names);
  let text = `{"id":"${idOf(entry, gateway)}","ts":${event.at},"device":"${event.device}","values":{`;
  let first = true;
  for (let i = 0; i < keys.length; i++) {
    const value = values[i] as Value;
    if (value === null) continue;
    const key = keys[i] as string;
    text += first ? key.slice(1) : key;
    text += valueText(value);
    first = false;
  }
  text += '}';
  if (event.thinned) text += `,"thinned":"${formatDuration(event.thinned)}"`;
  return flaws ? text + flawsText('bad', names, flaws) + flawsText('uncertain', names, flaws) : text;
}

function gap(entry: Told, event: GapEvent, gateway: string): string {
  const { cause, count, from, to } = event;
  const device = event.device && `,"device":"${event.device}"`;
  return `{"id":"${idOf(entry, gateway)}","ts":${event.at}${device},"gap":${JSON.stringify({ cause, count, from, to })}`;
}

function device(entry: Told, event: DeviceEvent, gateway: string): string {
  const { what, state, previous, reason, profile, connection, identity, changes } = event;
  const news = { state, previous, reason, profile, connection, identity, changes };
  const rest = JSON.stringify(news).slice(1, -1);
  return `{"id":"${idOf(entry, gateway)}","ts":${event.at},"device":"${event.device}","event":"${what}",${rest}`;
}

function keysFor(names: readonly string[]): readonly string[] {
  let keys = keysOf.get(names);
  if (!keys) {
    keys = names.map((name) => `,${JSON.stringify(name)}:`);
    keysOf.set(names, keys);
  }
  return keys;
}

function valueText(value: NonNullable<Value>): string {
  switch (typeof value) {
    case 'number':
      return Number.isFinite(value) ? `${value}` : 'null';
    case 'bigint':
      return BigInt.asIntN(54, value) === value ? `${value}` : `"${value}"`;
    case 'object':
      return value.text;
    default:
      return JSON.stringify(value);
  }
}

function flawsText(quality: Flaw['quality'], names: readonly string[], flaws: ReadonlyMap<number, Flaw>): string {
  const found: Record<string, string> = {};
  for (const [index, flaw] of flaws) if (flaw.quality === quality) found[names[index] as string] = flaw.reason;
  return Object.keys(found).length > 0 ? `,"${quality}":${JSON.stringify(found)}` : '';
}
