/** From payloads to values over MQTT, and what is wrong with those that have none. */
import { describe, expect, test } from 'vitest';
import { mqtt } from '../../drivers/mqtt/index.js';
import { Payload, Unfit } from '../../drivers/mqtt/payload.js';
import { lookUp, parsePointer, put } from '../../drivers/mqtt/pointer.js';
import { timeOf } from '../../drivers/mqtt/time.js';
import { deviceFilter, faultOfFilter, faultOfTopic, fill } from '../../drivers/mqtt/topic.js';
import { decoderOf } from '../../drivers/mqtt/value.js';
import { Structure } from '../../src/model.js';
import { pointOf } from '../support/mqtt-points.js';

type Written = Parameters<typeof pointOf>[2];

function decode(type: Parameters<typeof pointOf>[0], written: Written, payload: string | Buffer): unknown {
  const value = decoderOf(pointOf(type, 'p', written))(new Payload(Buffer.from(payload)));
  return value instanceof Unfit ? value.reason : typeof value === 'bigint' ? `${value}n` : value;
}

describe('plain payloads', () => {
  test.each([
    ['float64', '21.5', 21.5],
    ['float64', ' -1e3\n', -1000],
    ['float32', '.5', 0.5],
    ['int16', '-32768', -32_768],
    ['int16', '32768', '"32768" does not fit int16'],
    ['int16', '2.5', '"2.5" is no whole number'],
    ['uint16', '-1', '"-1" does not fit uint16'],
    ['uint64', '18446744073709551615', '18446744073709551615n'],
    ['uint64', '18446744073709551616', '"18446744073709551616" does not fit uint64'],
    ['float64', 'nan', '"nan" is no number'],
    ['float64', 'NaN', '"NaN" is no number'],
    ['float64', 'Infinity', '"Infinity" is no number'],
    ['float64', '1e999', '"1e999" is no number'],
    ['float32', '1e39', '"1e39" does not fit float32'],
    ['float64', '5.', 5],
    ['float64', '21.5\0', 21.5],
    ['string', 'Halle\0', 'Halle'],
    ['json', '\uFEFF{"a":1}\0', new Structure('{"a":1}')],
    ['float64', '0x10', '"0x10" is no number'],
    ['float64', '', 'the payload is empty'],
    ['float64', '21,5', '"21,5" is no number'],
    ['bool', 'ON', true],
    ['bool', 'off', false],
    ['bool', '1', true],
    ['bool', 'maybe', '"maybe" is neither true nor false'],
    ['string', 'Halle 7 ✓', 'Halle 7 ✓'],
    ['json', '[1,2]', new Structure('[1,2]')],
    ['json', '{', 'the payload is no JSON: "{"'],
  ] as const)('%s %j → %j', (type, payload, value) => expect(decode(type, {}, payload)).toEqual(value));

  test('text that is none', () => {
    expect(decode('string', {}, Buffer.from([0xff, 0xfe]))).toBe('the payload is not UTF-8 text');
  });

  test('words stand for raw values, as they are written', () => {
    const words = { open: true, closed: false };
    expect(decode('bool', { words }, 'open')).toBe(true);
    expect(decode('bool', { words }, 'Closed')).toBe(false);
    expect(decode('bool', { words }, 'on')).toBe('"on" is neither true nor false');
    expect(decode('bool', { words: { ON: true, OFF: false } }, 'ON\r\n')).toBe(true);
    expect(decode('uint16', { words: { heat: 1, cool: 2 } }, 'cool')).toBe(2);
    expect(decode('int64', { words: { low: -1 } }, 'low')).toBe('-1n');
    expect(decode('uint16', { states: new Map([[3, 'defrost']]) }, 'Defrost')).toBe(3);
    expect(decode('uint16', { states: new Map([[3, 'defrost']]) }, '3')).toBe(3);
  });
});

describe('JSON payloads', () => {
  const payload =
    '{"a/b":{"~c":[10,{"d":"7"}]},"on":true,"text":"x","none":null,"big":12345678901234567890,"sum":[12345678901234567890]}';
  test.each([
    ['float64', '/a~1b/~0c/0', 10],
    ['float64', '/a~1b/~0c/1/d', 7],
    ['float64', '/a~1b/~0c/01', 'the payload has no /a~1b/~0c/01'],
    ['float64', '/a~1b/~0c/-', 'the payload has no /a~1b/~0c/-'],
    ['float64', '/nowhere', 'the payload has no /nowhere'],
    ['float64', '/text/deeper', 'the payload has no /text/deeper'],
    ['float64', '/__proto__', 'the payload has no /__proto__'],
    ['float64', '/constructor/name', 'the payload has no /constructor/name'],
    ['float64', '/none', 'null'],
    ['float64', '/text', '"x" is no number'],
    ['float64', '/a~1b', 'an object is no number'],
    ['string', '/a~1b/~0c', 'an array is no text'],
    ['bool', '/on', true],
    ['uint16', '/on', 1],
    ['string', '/on', 'true'],
    ['string', '/none', 'null'],
    ['uint64', '/big', '12345678901234567890n'],
    ['string', '/big', '12345678901234567890'],
    ['float64', '/big', 12_345_678_901_234_567_000],
    ['json', '/sum', new Structure('["12345678901234567890"]')],
  ] as const)('%s at %s → %j', (type, pointer, value) => expect(decode(type, { pointer }, payload)).toEqual(value));

  test('a payload that is none', () => {
    expect(decode('float64', { pointer: '/a' }, 'offline')).toBe('the payload is no JSON: "offline"');
    expect(decode('float64', { pointer: '/a' }, '')).toBe('the payload is empty');
    expect(decode('float64', { pointer: '/a' }, '{"a":1')).toBe('the payload is no JSON: "{"a":1"');
    expect(decode('float64', { pointer: '/a' }, '{"a":01234567890123456789}')).toMatch('the payload is no JSON');
  });

  test('what is optional and not there is not told', () => {
    expect(decode('float64', { pointer: '/a', optional: true }, '{"b":1}')).toBeUndefined();
    expect(decode('float64', { pointer: '/a', optional: true }, '{"a":null}')).toBe('null');
  });
});

describe('payloads that are made to hurt', () => {
  const MEGABYTE = 1_000_000;
  const nested = (levels: number): string => `{"a":${'['.repeat(levels)}${']'.repeat(levels)}}`;

  test('digits without end, and quotes that never close, take no longer than others', () => {
    expect(decode('float64', {}, `${'1'.repeat(MEGABYTE)}x`)).toMatch(/ is no number$/);
    const open = `{"n":1234567890123456,"a":"${'\\"'.repeat(MEGABYTE / 2)}`;
    expect(decode('float64', { pointer: '/n' }, open)).toMatch(/^the payload is no JSON/);
  });

  test('long text beside a long integer is text', () => {
    const long = 'x'.repeat(15 * MEGABYTE);
    expect(decode('string', { pointer: '/a' }, `{"n":12345678901234567890,"a":"${long}"}`)).toBe(long);
  });

  test('structures without bottom', () => {
    const deep = nested(100_000);
    expect(decode('float64', { pointer: '/a' }, deep)).toBe('an array is no number');
    expect(decode('json', { pointer: '/a' }, deep)).toBe('more than 100 levels deep');
    expect(decode('json', { pointer: '/a' }, nested(100))).toBeInstanceOf(Structure);
  });

  test('half a character at the end of what is shown', () => {
    expect(decode('float64', {}, `${'x'.repeat(39)}😀`)).toBe(`"${'x'.repeat(39)} …" is no number`);
  });
});

describe('bytes', () => {
  const bytes = Buffer.from('12345678', 'hex');
  test.each([
    ['ABCD', 0x12345678],
    ['CDAB', 0x56781234],
    ['BADC', 0x34127856],
    ['DCBA', 0x78563412],
  ] as const)('%s', (order, value) => expect(decode('uint32', { binary: { order } }, bytes)).toBe(value));

  test('of every type', () => {
    expect(decode('int16', { binary: {} }, Buffer.from('fffe', 'hex'))).toBe(-2);
    expect(decode('int16', { binary: { order: 'DCBA' } }, Buffer.from('feff', 'hex'))).toBe(-2);
    expect(decode('float32', { binary: {} }, Buffer.from('43662666', 'hex'))).toBe(230.15);
    expect(decode('float32', { binary: {} }, Buffer.from('7fc00000', 'hex'))).toBe('not a number');
    expect(decode('float64', { binary: { at: 1 } }, Buffer.from('00403599999999999a', 'hex'))).toBe(21.6);
    expect(decode('int64', { binary: {} }, Buffer.alloc(8, 0xff))).toBe('-1n');
    expect(decode('uint64', { binary: { order: 'CDAB' } }, Buffer.from('0001000000000000', 'hex'))).toBe('1n');
    expect(decode('bool', { binary: { at: 3 } }, bytes)).toBe(true);
    expect(decode('string', { binary: { length: 6 } }, Buffer.from('Ab \0xyz'))).toBe('Ab');
  });

  test('that are too few', () => {
    expect(decode('uint32', { binary: { at: 1 } }, bytes)).toBe('the payload has 4 bytes, not 5');
    expect(decode('uint32', { binary: {} }, '')).toBe('the payload is empty');
  });
});

describe('times', () => {
  test.each([
    [1_764_312_000, 1_764_312_000_000],
    [1_764_312_000.5, 1_764_312_000_500],
    [1_764_312_000_123, 1_764_312_000_123],
    [1_764_312_000_123_456, 1_764_312_000_123],
    ['1764312000', 1_764_312_000_000],
    ['2026-01-02T03:04:05Z', 1_767_323_045_000],
    ['2026-01-02T04:04:05.250+01:00', 1_767_323_045_250],
    ['2026-01-02 03:04:05,5z', 1_767_323_045_500],
    ['2026-01-02T04:04+0100', 1_767_323_040_000],
  ])('%j', (said, time) => expect(timeOf(said)).toBe(time));

  test.each([
    ['2026-01-02T03:04:05', 'it says "2026-01-02T03:04:05", which is no time with its zone'],
    ['2026-13-02T03:04:05Z', 'it says "2026-13-02T03:04:05Z", which is no time'],
    ['soon', 'it says "soon", which is no time with its zone'],
    [undefined, 'it says no time'],
    [null, 'it says "null", which is no time with its zone'],
    [12, 'its clock is not set: it says "12"'],
    [-5, 'it says "-5", which is no time with its zone'],
  ])('%j is none', (said, reason) => expect(timeOf(said)).toEqual(new Unfit(reason)));
});

test('pointers', () => {
  expect(parsePointer('')).toEqual([]);
  expect(parsePointer('/')).toEqual(['']);
  expect(parsePointer('/~01')).toEqual(['~1']);
  expect(parsePointer('a')).toMatch(/begins with/);
  expect(parsePointer('/~2')).toMatch(/~0/);
  expect(lookUp({ '': 1 }, [''])).toBe(1);
  expect(put(put(undefined, ['a', '1'], 5), ['b'], 6)).toEqual({ a: [undefined, 5], b: 6 });
  expect(Object.getPrototypeOf(put({}, ['__proto__', 'x'], 1))).toBe(Object.prototype);
});

test('topics and filters', () => {
  expect(fill('{topic}/a/{topic}', '$$x$&')).toBe('$$x$&/a/$$x$&');
  expect(faultOfTopic('tele/{topic}/SENSOR')).toBeUndefined();
  expect(faultOfTopic('tele/{device}/SENSOR')).toMatch(/"\{device\}" means nothing here/);
  expect(faultOfTopic('tele/+/SENSOR')).toMatch(/without \+ and #/);
  expect(faultOfTopic('')).toMatch(/empty/);
  expect(faultOfTopic('$share/gateways/tele/plug/SENSOR')).toMatch(/shared subscription/);
  expect(faultOfTopic('$SYS/broker/uptime')).toBeUndefined();
  expect(faultOfFilter('zigbee2mqtt/#')).toMatch(/differs from device to device/);
  expect(faultOfFilter('a/+/b+')).toMatch(/"b\+" cannot be a level/);
  expect(faultOfFilter('{topic}/{topic}')).toMatch(/once/);
  expect(faultOfFilter('tele/{topic}/SENSOR')).toBeUndefined();
  const tasmota = deviceFilter('tele/{topic}/SENSOR');
  expect([tasmota.filter, tasmota.deviceOf('tele/plug_1/SENSOR'), tasmota.deviceOf('tele/plug_1/STATE')]).toEqual([
    'tele/+/SENSOR',
    'plug_1',
    undefined,
  ]);
  expect(deviceFilter('shellies/+/online').deviceOf('shellies/shelly1-AB/online')).toBe('shellies/shelly1-AB');
  expect(deviceFilter('zigbee2mqtt/+').deviceOf('zigbee2mqtt/kitchen')).toBe('zigbee2mqtt/kitchen');
});

describe('what is wrong with a point', () => {
  test.each<[Parameters<typeof pointOf>[0], Written, RegExp]>([
    ['float64', { command: { topic: 'x' } }, /no command/],
    ['float64', { access: 'write' }, /needs a command/],
    ['float64', { words: { a: 1 } }, /a float64 has no words/],
    ['bool', { words: { a: 2 } }, /true or false/],
    ['float64', { optional: true }, /needs a pointer/],
    ['float64', { timestamp: '/t' }, /timestamp needs JSON/],
    ['float64', { binary: {}, pointer: '/a' }, /bytes have no pointer/],
    ['string', { binary: {} }, /needs a length/],
    ['int16', { binary: { length: 2 } }, /its own length/],
    ['json', { binary: {} }, /cannot be binary/],
  ])('%s %j', (type, written, words) => expect(mqtt.checkPoint(pointOf(type, 'p', written))).toMatch(words));

  test('nothing', () => {
    expect(mqtt.checkPoint(pointOf('json', 'p', { timestamp: '/t' }))).toBeUndefined();
    expect(mqtt.checkPoint(pointOf('bool', 'p', { access: 'write', command: { topic: 'x' } }))).toBeUndefined();
  });
});

test('words for there and gone are two', () => {
  const availability = { topic: '{topic}/lwt', online: 'up', offline: 'up' };
  const { error } = mqtt.device.safeParse({ topic: 'a', availability });
  expect(error?.message).toMatch(/a word each/);
});

describe('what is wrong with a connection', () => {
  const broker = 'mqtts://10.0.0.1';
  test.each<[object, RegExp]>([
    [{ broker: 'http://x' }, /write local, mqtt:/],
    [{ broker: 'mqtt://me:secret@x' }, /does not belong in the address/],
    [{ broker, password: 'x' }, /a password needs a username/],
    [{ broker, cert: '-----BEGIN X' }, /both cert and key/],
    [{ broker, ca: '/etc/ca.pem' }, /PEM text is wanted/],
    [{ broker: 'mqtt://x', ca: '-----BEGIN X' }, /ca needs TLS: write mqtts/],
    [{ broker: 'local', username: 'x' }, /the site's own broker needs no username/],
    [{ broker, discover_topics: { 'zigbee2mqtt/#': 'a/b' } }, /differs from device to device/],
    [{ broker, discover_topics: { 'zigbee2mqtt/+': 'sensor' } }, /<vendor>\/<model>/],
    [{ broker, max_payload: '1GB' }, /at most 16MB/],
  ])('%j', (written, words) => {
    expect(mqtt.connection.safeParse(written).error?.message).toMatch(words);
  });
});
