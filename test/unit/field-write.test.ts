/** Writing one value: what is sent, and what is known of it afterwards. */
import { describe, expect, test } from 'vitest';
import type { Session } from '../../src/driver.js';
import { TidegateError } from '../../src/errors.js';
import type { RunTurn } from '../../src/field/turn.js';
import { writePoint, writeText } from '../../src/field/write.js';
import { type Point, Structure, type Value } from '../../src/model.js';
import { device, linkDown } from '../support/scripted-wire.js';

const pump = device('pump', {
  speed: { scale: 0.1, access: 'read-write' },
  reset: { access: 'write' },
  power: {},
  mode: { states: new Map([[3, 'auto']]), access: 'read-write' },
  level: { type: 'int16', scaleFrom: 'sf', access: 'read-write' },
  sf: { type: 'int16', kind: 'scale' },
  total: { type: 'uint64', access: 'read-write' },
  on: { type: 'bool', access: 'read-write' },
  name: { type: 'string', access: 'read-write' },
  recipe: { type: 'json', access: 'read-write' },
});
const point = (id: string): Point => pump.points.find((each) => each.id === id) as Point;

/** A device that holds what was written, and the calls that reached it. */
function bench(part: Partial<Session> = {}) {
  const calls: string[] = [];
  const held = new Map<string, Value>([['sf', -2]]);
  const session: Session = {
    read: async (_device, points) => {
      calls.push(`read ${points.map(({ id }) => id).join('+')}`);
      return { values: points.map(({ id }) => held.get(id) ?? 0), answered: true };
    },
    write: async (_device, { id }, raw) => {
      calls.push(`write ${id} ${raw}`);
      held.set(id, raw);
    },
    close: async () => {},
    ...part,
  };
  const run: RunTurn = (work) => work({ session, signal: new AbortController().signal, alive: () => {} });
  return { calls, run };
}

test('is unscaled, sent and read back in one turn', async () => {
  const { calls, run } = bench();
  const result = await writePoint(run, pump, point('speed'), 21.5);
  expect(result).toMatchObject({ outcome: 'written', raw: 215, readBack: { value: 21.5, quality: 'good' } });
  expect(calls).toEqual(['write speed 215', 'read speed']);
});

test('by the scale factor that the device has now', async () => {
  const { calls, run } = bench();
  const result = await writePoint(run, pump, point('level'), 12.34);
  expect(result).toMatchObject({ outcome: 'written', raw: 1234, readBack: { value: 12.34 } });
  expect(calls).toEqual(['read sf', 'write level 1234', 'read level+sf']);
});

test('what can only be written is not read back', async () => {
  const { calls, run } = bench();
  expect(await writePoint(run, pump, point('reset'), 1)).toEqual({ outcome: 'written', raw: 1 });
  expect(calls).toEqual(['write reset 1']);
});

describe('is refused, and nothing is sent,', () => {
  test.each<[string, string, Value, RegExp]>([
    ['for a point that is only read', 'power', 1, /^power cannot be written: its access is read$/],
    ['for a value that does not fit', 'speed', 21.55, /between two steps/],
    ['for a state that is none', 'mode', 'manual', /none of its states: auto/],
  ])('%s', async (_name, id, value, reason) => {
    const { calls, run } = bench();
    expect(await writePoint(run, pump, point(id), value)).toEqual({
      outcome: 'refused',
      reason: expect.stringMatching(reason),
    });
    expect(calls).toEqual([]);
  });

  test('by a driver that only reads', async () => {
    const { calls, run } = bench({ write: undefined });
    expect(await writePoint(run, pump, point('speed'), 1)).toMatchObject({
      outcome: 'refused',
      reason: /driver only reads/,
    });
    expect(calls).toEqual([]);
  });

  test('when the scale factor is of no use', async () => {
    for (const factor of [-32_768, 11]) {
      const { run } = bench({ read: async () => ({ values: [factor], answered: true }) });
      const result = await writePoint(run, pump, point('level'), 1);
      expect(result).toMatchObject({ outcome: 'refused', reason: /scale factor sf/ });
    }
  });

  test('when there is no wire', async () => {
    const run: RunTurn = () => Promise.reject(linkDown('not connected'));
    expect(await writePoint(run, pump, point('speed'), 1)).toEqual({ outcome: 'refused', reason: 'not connected' });
  });
});

test.each<[string, Error, string]>([
  ['the device refuses', new TidegateError('WRITE_REFUSED', 'exception 02'), 'refused'],
  ['the device does not answer', new TidegateError('DEVICE_UNAVAILABLE', 'timeout'), 'unknown'],
  ['the wire is lost meanwhile', linkDown(), 'unknown'],
  ['the driver fails', new TypeError('oops'), 'unknown'],
])('%s', async (_name, error, outcome) => {
  const { run } = bench({ write: () => Promise.reject(error) });
  expect(await writePoint(run, pump, point('speed'), 1)).toEqual({ outcome, reason: error.message, raw: 10 });
});

test('is written, though it cannot be read back', async () => {
  const { run } = bench({ read: () => Promise.reject(linkDown()) });
  expect(await writePoint(run, pump, point('speed'), 1)).toEqual({ outcome: 'written', raw: 10 });
});

describe('a value that is given as text', () => {
  test.each<[string, string, Value]>([
    ['speed', '21.5', 215],
    ['speed', '+1e1', 100],
    ['speed', '.5', 5],
    ['total', '18446744073709551615', 18_446_744_073_709_551_615n],
    ['mode', 'auto', 3],
    ['mode', '3', 3],
    ['on', 'true', true],
    ['on', '0', false],
    ['name', '12', '12'],
    ['recipe', '{"a":[1,2]}', new Structure('{"a":[1,2]}')],
  ])('%s %s', async (id, text, raw) => {
    const { run } = bench();
    expect(await writeText(run, pump, point(id), text)).toMatchObject({ outcome: 'written', raw });
  });

  test.each([
    ['speed', 'fast', '"fast" is not a number'],
    ['speed', '', '"" is not a number'],
    ['speed', '0x10', '"0x10" is not a number'],
    ['speed', '1e999', 'Infinity is not a number'],
    ['on', 'yes', '"yes" is neither true nor false'],
    ['on', '2', '2 is neither true nor false'],
    ['mode', 'manual', '"manual" is none of its states: auto'],
    ['recipe', '{', '"{" is no JSON'],
  ])('%s %j is refused', async (id, text, reason) => {
    const { calls, run } = bench();
    expect(await writeText(run, pump, point(id), text)).toMatchObject({
      outcome: 'refused',
      reason: expect.stringContaining(reason),
    });
    expect(calls).toEqual([]);
  });
});
