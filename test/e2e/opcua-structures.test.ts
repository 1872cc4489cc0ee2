/** Structures and enumerations of the server's own types: told, asked for, written; and those that nobody can read. */
import { describe, expect, test } from 'vitest';
import type { BrowsedNode } from '../../src/driver.js';
import { isKind } from '../../src/errors.js';
import { Structure } from '../../src/model.js';
import { opcuaBench } from '../support/opcua-bench.js';
import { Told } from '../support/opcua-listener.js';
import { PRESS } from '../support/opcua-peer.js';
import { deviceOf, nodeOf, pointOf } from '../support/opcua-points.js';

const signal = new AbortController().signal;
const AXIS = { Position: 1.25, Name: 'X', Trace: [1, -2, 3], Phase: 2, Travel: { Low: -10, High: 10 } };
const RACK = [
  { Name: 'Drill', Wear: 0.5 },
  { Name: 'Mill', Wear: 0.5 },
];
const axis = pointOf('json', 'Axis', { access: 'read-write' });
const drive = pointOf('json', 'Drive', { access: 'read-write' });
const tool = pointOf('json', 'Tool', { access: 'read-write' });
const choice = pointOf('json', 'Choice', { access: 'read-write' });
const tools = pointOf('json', 'Tools', { access: 'read-write' });
const mill = pointOf('json', 'Tools', { access: 'read-write', range: '1' });
const POINTS = [
  axis,
  drive,
  tool,
  pointOf('int32', 'Phase'),
  pointOf('json', 'Opaque'),
  pointOf('float64', 'Temp'),
  choice,
  tools,
];
const TRUTH = [AXIS, { ...AXIS, Load: 0.25 }, { Name: 'Drill' }, 1, null, 21.5, { Count: 5 }, RACK];
const device = deviceOf(POINTS);

const { connect } = opcuaBench();

const plain = (value: unknown): unknown => (value instanceof Structure ? value.toJSON() : value);

test('asked for: by the names of the server’s fields; what cannot be opened is one bad point', async () => {
  const { values, flaws } = await (await connect()).read(device, POINTS, { signal });
  expect(values.map(plain)).toEqual(TRUTH);
  expect([...(flaws ?? [])]).toEqual([
    [4, { quality: 'bad', reason: 'is a structure of which the server does not tell the fields' }],
  ]);
});

test('told by a subscription, the same', async () => {
  const told = new Told();
  await (await connect()).subscribe?.(device, POINTS, told);
  await told.until(() => told.latest.size === POINTS.length);
  expect([...told.latest].sort(([a], [b]) => a - b).map(([, value]) => plain(value))).toEqual(TRUTH);
  expect(told.error).toBeUndefined();
});

describe('written', () => {
  const write = async (point: typeof axis, value: unknown): Promise<unknown> => {
    const session = await connect();
    await session.write?.(device, point, Structure.of(value), signal);
    return plain((await session.read(device, [point], { signal })).values[0]);
  };

  test('whole; what is left out stays as it is', async () => {
    const changed = { Position: -3, Name: 'Z', Trace: [9], Phase: 1, Travel: { Low: 0, High: 5 } };
    expect(await write(axis, changed)).toEqual(changed);
    expect(await write(axis, { Name: 'X', Travel: { High: 6 } })).toEqual({
      ...changed,
      Name: 'X',
      Travel: { Low: 0, High: 6 },
    });
    expect(await write(drive, { Load: 0.5, Name: 'Y' })).toEqual({ ...AXIS, Load: 0.5, Name: 'Y' });
    expect(await write(tool, { Wear: 0.5 })).toEqual({ Name: 'Drill', Wear: 0.5 });
  });

  test('a choice holds one field, whichever it held before', async () => {
    expect(await write(choice, { Text: 'five' })).toEqual({ Text: 'five' });
    expect(await write(choice, { Count: 6 })).toEqual({ Count: 6 });
    for (const value of [{}, { Count: 1, Text: 'one' }])
      await expect(write(choice, value)).rejects.toThrow(/write one of its fields: Count, Text/);
  });

  test('one of a list, by its range: the fields that are left out are its own', async () => {
    expect(await write(mill, { Wear: 0.25 })).toEqual([{ Name: 'Mill', Wear: 0.25 }]);
    expect(await write(tools, [RACK[0], RACK[1]])).toEqual(RACK);
  });

  const refusals: [value: unknown, why: RegExp][] = [
    [{ Positon: 1 }, /has no field Positon; it has Position, Name, Trace, Phase, Travel/],
    [{ Position: 'far' }, /Position: far does not fit Double/],
    [{ Phase: 1.5 }, /Phase: 1\.5 does not fit Int32/],
    [{ Trace: 5 }, /Trace: 5 is no list/],
    [{ Travel: { Low: true } }, /Travel\.Low: true does not fit Double/],
    [[1, 2], /does not fit/],
  ];
  test.each(refusals)('%j is refused', async (value, why) => {
    const error = await write(axis, value).catch((thrown: unknown) => thrown);
    expect(isKind(error, 'reject')).toBe(true);
    expect(String(error)).toMatch(why);
  });
});

test('browsed: an enumeration brings the names of its numbers', async () => {
  const nodes: BrowsedNode[] = [];
  const path = `/Objects/nsu=${PRESS};Press`;
  for await (const node of (await connect()).browse?.(path, signal) ?? []) nodes.push(node);
  expect(nodes.find(({ name }) => name === 'Phase')).toMatchObject({
    value: 'Running',
    point: { type: 'int32', states: { 0: 'Stopped', 1: 'Running', 2: 'Fault' } },
    example: { nodes: { [nodeOf('Phase')]: { Int32: 1 } } },
  });
  expect(nodes.find(({ name }) => name === 'Mode')?.point).not.toHaveProperty('states');
});
