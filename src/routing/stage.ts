/** Plays a rule test: builds its devices, sends its readings through a router, and collects the messages. */
import type { Batch, Device, Flaw, Point, PointType, TelemetryEvent, Value } from '../model.js';
import type { Given, RuleTest } from './proof.js';
import { compileRouter } from './router.js';
import type { Rule } from './rule.js';

/** What came out of a router. Times in milliseconds since the start of the test. */
export interface Message {
  readonly at: number;
  readonly to: string;
  readonly topic: string;
  readonly lane: string;
  readonly device: string;
  readonly values: Readonly<Record<string, Value>>;
  readonly bad: Readonly<Record<string, string>>;
  readonly uncertain: Readonly<Record<string, string>>;
}

/** The rest of the gateway, as far as rules see it. */
export interface Scene {
  readonly gateway: string;
  readonly devices: readonly Device[];
  readonly upstreams: readonly { readonly id: string; readonly topic: string }[];
}

/**
 * Sends what is given through the rules. Every device that is named must exist in the scene.
 * @returns the messages in the order of time, and the rules whose expression failed with the first error of each
 */
export function play(test: RuleTest, rules: readonly Rule[], scene: Scene) {
  const messages: Message[] = [];
  const failures: { rule: Rule; error: Error }[] = [];
  const router = compileRouter({ ...scene, rules, onError: (rule, error) => failures.push({ rule, error }) });
  const start = Date.parse(test.start);
  const devices = new Map(scene.devices.map((device) => [device.id, device]));
  const lists = new Map<string, readonly Point[]>();
  for (const given of test.given) {
    const device = devices.get(given.device) as Device;
    const named = namesIn(given);
    const key = [device.id, ...named].join('\n');
    // The same points give the same list, as they do in polling.
    const points = lists.get(key) ?? device.points.filter(({ id }) => named.includes(id));
    lists.set(key, points);
    router.route(batchOf(given, device, points, start), (to, event) => messages.push(messageOf(to, event, given.at)));
  }
  return { messages, failures };
}

/** Devices as a test describes them. */
export function standIns(test: RuleTest): Device[] {
  return Object.entries(test.devices ?? {}).map(([id, { profile, tags, points }]) => {
    const own = test.given.filter(({ device }) => device === id);
    const names = new Set([...Object.keys(points), ...own.flatMap(namesIn)]);
    return {
      id,
      profile,
      tags,
      connection: '',
      settings: undefined,
      points: [...names].map((name) => ({
        id: name,
        type: typeOf(own.map(({ values }) => values[name]).find((value) => value !== undefined)),
        kind: 'gauge',
        access: 'read',
        every: 0,
        scale: 1,
        offset: 0,
        address: undefined,
        ...points[name],
      })),
    };
  });
}

/** The points that a line of a test names. */
export function namesIn(given: Given): string[] {
  return [...new Set([...Object.keys(given.values), ...Object.keys(given.bad), ...Object.keys(given.uncertain)])];
}

function batchOf(given: Given, device: Device, points: readonly Point[], start: number): Batch {
  const flaws = new Map<number, Flaw>();
  for (const [index, { id }] of points.entries()) {
    const bad = given.bad[id];
    const uncertain = given.uncertain[id];
    if (bad !== undefined) flaws.set(index, { quality: 'bad', reason: bad });
    else if (uncertain !== undefined) flaws.set(index, { quality: 'uncertain', reason: uncertain });
  }
  const values = points.map((point) =>
    given.bad[point.id] === undefined ? valueFor(point, given.values[point.id]) : null,
  );
  const batch = { device, at: start + given.at, mono: given.at, points, values };
  return flaws.size > 0 ? { ...batch, flaws } : batch;
}

/** 64-bit integers arrive as `bigint` when nothing scales them. */
function valueFor({ type, scale, offset, states }: Point, written: Value | undefined): Value {
  const whole = typeof written === 'number' && Number.isInteger(written) && scale === 1 && offset === 0 && !states;
  return whole && (type === 'int64' || type === 'uint64') ? BigInt(written) : (written ?? null);
}

function typeOf(value: Value | undefined): PointType {
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'bigint') return 'int64';
  return typeof value === 'string' ? 'string' : 'float64';
}

function messageOf(to: string, event: TelemetryEvent, at: number): Message {
  const reasons = (quality: Flaw['quality']) =>
    [...(event.flaws ?? [])]
      .filter(([, flaw]) => flaw.quality === quality)
      .map(([index, flaw]) => [event.names[index] as string, flaw.reason] as const);
  const bad = Object.fromEntries(reasons('bad'));
  const values = event.names
    .map((name, index) => [name, event.values[index] ?? null] as const)
    .filter(([name]) => !Object.hasOwn(bad, name));
  return {
    at,
    to,
    topic: event.topic,
    lane: event.lane,
    device: event.device,
    values: Object.fromEntries(values),
    bad,
    uncertain: Object.fromEntries(reasons('uncertain')),
  };
}
