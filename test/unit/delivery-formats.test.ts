import { describe, expect, test } from 'vitest';
import type { Entry } from '../../src/delivery/entry.js';
import { encodeJson } from '../../src/delivery/json-payload.js';
import { decodeSegment, encodeSegment } from '../../src/delivery/segment.js';
import {
  type DeviceEvent,
  type Event,
  type Flaw,
  type GapEvent,
  Structure,
  type TelemetryEvent,
} from '../../src/model.js';

function entry(event: Event, seq = 1842, late = false): Entry {
  return { epoch: 3, seq, event, born: 0, late, state: 'waiting', saving: false, segment: undefined };
}

function telemetry(values: Record<string, TelemetryEvent['values'][number]>, flaws?: [number, Flaw][]): TelemetryEvent {
  const head = { kind: 'telemetry', device: 'meter-1', at: 1764312000000, lane: 'live', topic: 't' } as const;
  const event = { ...head, names: Object.keys(values), values: Object.values(values) };
  return flaws ? { ...event, flaws: new Map(flaws) } : event;
}

const gap: GapEvent = {
  kind: 'gap',
  device: '',
  at: 9,
  lane: 'live',
  topic: 'g',
  cause: 'budget',
  count: 12,
  from: 3,
  to: 9,
};

const news: DeviceEvent = {
  kind: 'device',
  device: 'meter-1',
  at: 1764312000000,
  lane: 'alarm',
  topic: 's',
  what: 'birth',
  state: 'online',
  previous: 'offline',
  profile: 'acme/meter',
  connection: 'bus',
  identity: { vendor: 'Acme "AG"' },
};

describe('the JSON payload', () => {
  test('is as documented', () => {
    expect(encodeJson(entry(telemetry({ active_power: 1234.5, state: 'running' })), 'plant-7')).toBe(
      '{"id":"plant-7:3:1842","ts":1764312000000,"device":"meter-1","values":{"active_power":1234.5,"state":"running"}}',
    );
  });

  test('names what is bad and uncertain, and what is late', () => {
    const event = telemetry({ frequency: null, voltage: 301, on: true }, [
      [0, { quality: 'bad', reason: 'timeout' }],
      [1, { quality: 'uncertain', reason: 'above 300' }],
    ]);
    expect(JSON.parse(encodeJson(entry(event, 1, true), 'g'))).toEqual({
      id: 'g:3:1',
      ts: 1764312000000,
      device: 'meter-1',
      values: { voltage: 301, on: true },
      bad: { frequency: 'timeout' },
      uncertain: { voltage: 'above 300' },
      late: true,
    });
  });

  test('a structure stands as what it is', () => {
    const event = telemetry({ pose: new Structure('{"x":1,"axes":[1,2.5]}'), on: true });
    expect(encodeJson(entry(event), 'g')).toContain('"values":{"pose":{"x":1,"axes":[1,2.5]},"on":true}');
  });

  test('marks a time that nobody vouches for', () => {
    const event: TelemetryEvent = { ...telemetry({ a: 1 }), clock: 'unset' };
    expect(encodeJson(entry(event, 1, true), 'g')).toMatch(/"values":{"a":1},"clock":"unset","late":true}$/);
    expect(encodeJson(entry({ ...gap, clock: 'unset' }), 'g')).toMatch(/},"clock":"unset"}$/);
  });

  test('keeps every digit of 64-bit integers', () => {
    const text = encodeJson(
      entry(telemetry({ a: 9007199254740991n, b: 9007199254740993n, c: -1n, d: 2n ** 64n - 1n })),
      'g',
    );
    expect(text).toContain('"values":{"a":9007199254740991,"b":"9007199254740993","c":-1,"d":"18446744073709551615"}');
  });

  test('stays valid JSON with any text', () => {
    const event = telemetry({ 'say "x"': 'line\n\u2028 "quoted" \\ \u0000' });
    expect(JSON.parse(encodeJson(entry(event), 'g')).values).toEqual({ 'say "x"': 'line\n\u2028 "quoted" \\ \u0000' });
  });

  test('tells a gap under an id of its own', () => {
    expect(JSON.parse(encodeJson(entry(gap, 9, true), 'g'))).toEqual({
      id: 'g:3:9-gap',
      ts: 9,
      gap: { cause: 'budget', count: 12, from: 3, to: 9 },
      late: true,
    });
  });

  test('tells news of a device', () => {
    expect(JSON.parse(encodeJson(entry({ ...news, clock: 'unset' }, 9), 'g'))).toEqual({
      id: 'g:3:9',
      ts: 1764312000000,
      device: 'meter-1',
      event: 'birth',
      state: 'online',
      previous: 'offline',
      profile: 'acme/meter',
      connection: 'bus',
      identity: { vendor: 'Acme "AG"' },
      clock: 'unset',
    });
    const retired: DeviceEvent = { ...news, what: 'death', state: 'retired', reason: 'by command', changes: 3 };
    expect(JSON.parse(encodeJson(entry(retired, 9, true), 'g'))).toMatchObject({
      reason: 'by command',
      changes: 3,
      late: true,
    });
  });
});

describe('a segment', () => {
  test('gives back what it was given, shapes shared or not', () => {
    const flaw: Flaw = { quality: 'bad', reason: 'timeout' };
    const shared = telemetry({ a: 1, b: 'x' });
    const events: Event[] = [
      shared,
      { ...shared, at: 5, values: [-0.5, 'y'] },
      { ...shared, device: 'meter-2', topic: 'u' },
      { ...shared, clock: 'unset' },
      telemetry({ a: 2n ** 63n, c: null, d: false }, [[1, flaw]]),
      telemetry({ s: new Structure('{"int":"1"}'), n: 1 }),
      news,
      gap,
    ];
    const text = encodeSegment(events.map((event, i) => entry(event, i + 7)));
    expect(decodeSegment(text, 'live')).toEqual(events.map((event, i) => ({ seq: i + 7, event })));
    expect(JSON.parse(text).shapes).toHaveLength(4);
  });

  test.each(['', 'x', '{}', '{"shapes":[],"events":[[0,1,2,[3]]]}'])(
    'that is damaged (%j) is refused, not guessed',
    (text) => {
      expect(() => decodeSegment(text, 'live')).toThrow();
    },
  );
});
