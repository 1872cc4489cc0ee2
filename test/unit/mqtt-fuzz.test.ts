/** Payloads by the thousand, good and broken: nothing throws, every point gets a value that its type can have, or a reason. */
import { describe, expect, test } from 'vitest';
import { ANNOUNCED, announcementsIn } from '../../drivers/mqtt/announcement.js';
import { mqtt } from '../../drivers/mqtt/index.js';
import { Payload, Unfit } from '../../drivers/mqtt/payload.js';
import { routesOf } from '../../drivers/mqtt/route.js';
import { decoderOf } from '../../drivers/mqtt/value.js';
import type { Session } from '../../src/driver.js';
import { POINT_TYPES, type PointType, Structure } from '../../src/model.js';
import { DueSet } from '../../src/polling/due-set.js';
import { PushReader } from '../../src/polling/pushed.js';
import { driverContext } from '../support/driver-context.js';
import { FieldBroker } from '../support/field-broker.js';
import { deviceOf, pointOf } from '../support/mqtt-points.js';
import { Told } from '../support/opcua-listener.js';
import { random } from '../support/random.js';

const SEED = 20_260_301;
const POINTERS = [undefined, '', '/a', '/a/0', '/a/b', '/__proto__/x', '/length', '/a~1b'];
const TEXTS = [
  '',
  'ON',
  'nan',
  '-0',
  '1e308',
  '1e309',
  '12345678901234567890',
  'true',
  '{"a":',
  '"',
  '\\u0000',
  '\u{F0000}7',
  '[1',
  ' 7 ',
];

type Chance = () => number;
const pick = <T>(chance: Chance, from: readonly T[]): T => from[Math.floor(chance() * from.length)] as T;

function json(chance: Chance, depth = 0): unknown {
  const kind = Math.floor(chance() * (depth > 4 ? 6 : 8));
  if (kind === 0) return null;
  if (kind === 1) return chance() < 0.5;
  if (kind === 2) return Math.floor((chance() - 0.5) * 2 ** pick(chance, [4, 17, 33, 53]));
  if (kind === 3) return (chance() - 0.5) * 10 ** Math.floor(chance() * 300);
  if (kind < 6) return pick(chance, TEXTS);
  const inner = Array.from({ length: Math.floor(chance() * 4) }, () => json(chance, depth + 1));
  const keys = ['a', 'b', 'a/b', '__proto__', 'length', '0'];
  return kind === 6 ? inner : Object.fromEntries(inner.map((value) => [pick(chance, keys), value]));
}

function bytes(chance: Chance): Buffer {
  const kind = chance();
  if (kind < 0.1)
    return Buffer.from(Array.from({ length: Math.floor(chance() * 20) }, () => Math.floor(chance() * 256)));
  if (kind < 0.3) return Buffer.from(pick(chance, TEXTS));
  const text = JSON.stringify(json(chance));
  if (kind < 0.7) return Buffer.from(text);
  const at = Math.floor(chance() * text.length);
  if (kind < 0.85) return Buffer.from(text.slice(0, at));
  return Buffer.from(
    `${text.slice(0, at)}${pick(chance, ['\0', '9'.repeat(20), ',', '\ud800', '}'])}${text.slice(at)}`,
  );
}

/** What a raw value of the type may be. */
function fits(type: PointType, value: unknown): boolean {
  if (type === 'bool') return typeof value === 'boolean';
  if (type === 'string') return typeof value === 'string';
  if (type === 'json') return value instanceof Structure;
  if (type === 'int64' || type === 'uint64')
    return (
      typeof value === 'bigint' && value === (type === 'int64' ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value))
    );
  if (typeof value !== 'number' || !Number.isFinite(value)) return false;
  if (type.startsWith('float')) return true;
  const width = Number(type.replace(/\D/g, ''));
  const [least, most] = type.startsWith('u') ? [0, 2 ** width - 1] : [-(2 ** (width - 1)), 2 ** (width - 1) - 1];
  return Number.isInteger(value) && value >= least && value <= most;
}

test('20,000 payloads, each as every type at some place', () => {
  const chance = random(SEED);
  const decoders = POINT_TYPES.flatMap((type) =>
    POINTERS.map((pointer) => {
      const point = pointOf(type, 'p', { ...(pointer !== undefined && { pointer }) });
      return { type, decode: decoderOf(point) };
    }),
  );
  let good = 0;
  for (let count = 0; count < 20_000; count += 1) {
    const payload = new Payload(bytes(chance));
    const { type, decode } = pick(chance, decoders);
    const value = decode(payload);
    if (value instanceof Unfit) expect(value.reason).toMatch(/^\P{Cc}{3,}$/u);
    else {
      good += 1;
      expect([type, value, fits(type, value)]).toEqual([type, value, true]);
    }
  }
  expect(good).toBeGreaterThan(1_000);
});

test('20,000 payloads of bytes', () => {
  const chance = random(SEED + 1);
  const types = POINT_TYPES.filter((type) => type !== 'json');
  for (let count = 0; count < 20_000; count += 1) {
    const type = pick(chance, types);
    const order = pick(chance, ['ABCD', 'CDAB', 'BADC', 'DCBA'] as const);
    const binary = { at: Math.floor(chance() * 4), order, ...(type === 'string' && { length: 3 }) };
    const value = decoderOf(pointOf(type, 'p', { binary }))(new Payload(bytes(chance)));
    expect(value instanceof Unfit || fits(type, value)).toBe(true);
  }
});

test('10,000 messages to one device are pushes that the runtime takes', () => {
  const chance = random(SEED + 2);
  const points = POINT_TYPES.map((type, at) =>
    pointOf(type, `p${at}`, {
      pointer: '/a',
      ...(at % 2 === 0 && { timestamp: '/b' }),
      ...(at % 3 === 0 && { optional: true }),
    }),
  );
  const routes = routesOf(points, deviceOf(points, 'hall/plug').settings).get('hall/plug') ?? [];
  const reader = new PushReader(new DueSet(points, points));
  for (let count = 0; count < 10_000; count += 1) {
    const message = { topic: 'hall/plug', payload: new Payload(bytes(chance)), retained: chance() < 0.5 };
    for (const route of routes) expect(() => reader.read(route.read(message))).not.toThrow();
  }
});

test('10,000 announcements, good and broken', () => {
  const chance = random(SEED + 3);
  for (let count = 0; count < 10_000; count += 1) {
    const topic = pick(chance, ANNOUNCED).replaceAll('+', pick(chance, ['x', '', '__proto__']));
    for (const { topic: device } of announcementsIn(topic, bytes(chance)))
      expect(mqtt.device.safeParse({ topic: device }).success).toBe(true);
  }
});

describe('over a real broker', () => {
  test('2,000 payloads: the session lives, and then tells what is right', async () => {
    const chance = random(SEED + 4);
    const broker = await FieldBroker.start();
    const session = (await mqtt.open(mqtt.connection.parse({ broker: broker.url }), driverContext())) as Session;
    const points = POINT_TYPES.map((type, at) => pointOf(type, `p${at}`, { pointer: '/a', timestamp: '/b' }));
    const told = new Told();
    const availability = { topic: '{topic}', pointer: '/a', online: 'ON', offline: 'nan' };
    await session.subscribe?.(deviceOf(points, 'hall/plug', { availability }), points, told);
    for (let count = 0; count < 2_000; count += 1) broker.publish('hall/plug', bytes(chance), chance() < 0.2);
    for (const word of ['ON', 'last words']) broker.publish('hall/plug', { a: word }, false);
    await told.until(() => told.latest.get(POINT_TYPES.indexOf('string')) === 'last words');
    expect(told.error).toBeUndefined();
    await session.close();
    await broker.close();
  });
});
