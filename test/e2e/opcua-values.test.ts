import { describe, expect, test } from 'vitest';
import type { BrowsedNode } from '../../src/driver.js';
import { isKind } from '../../src/errors.js';
import { Structure } from '../../src/model.js';
import { opcuaBench } from '../support/opcua-bench.js';
import { Told } from '../support/opcua-listener.js';
import { PRESS, startPeer } from '../support/opcua-peer.js';
import { deviceOf, nodeOf, pointOf } from '../support/opcua-points.js';
import { ODD_IDS } from '../support/opcua-press.js';

const signal = new AbortController().signal;
const MANY = 40;

const bench = opcuaBench({ many: MANY });
const { connect } = bench;

test('every kind of value, as its point asks for it', async () => {
  const points = [
    pointOf('float32', 'Speed'),
    pointOf('uint32', 'Pieces'),
    pointOf('uint64', 'Total'),
    pointOf('int64', 'Balance'),
    pointOf('float64', 'Small'),
    pointOf('string', 'Started'),
    pointOf('int64', 'Started'),
    pointOf('string', 'Blob'),
    pointOf('string', 'Title'),
    pointOf('json', 'Levels'),
    pointOf('float64', 'Levels', { range: '1' }),
    pointOf('int16', 'Temp'),
    pointOf('int16', 'Pieces'),
    pointOf('float64', 'Levels'),
    pointOf('float64', 'Nowhere'),
    pointOf('float64', 'Temp', { path: `/Objects/nsu=${PRESS};Press/nsu=${PRESS};Temp` }),
    pointOf('float64', 'Temp', { path: `/Objects/nsu=${PRESS};Press/Missing` }),
    pointOf('float64', 'Temp', { path: '/Objects/nsu=urn:nobody;Press' }),
    pointOf('string', 'Forever'),
  ];
  const { values, flaws, answered } = await (await connect()).read(deviceOf(points), points, { signal });
  expect(answered).toBe(true);
  expect(values).toEqual([
    230.15,
    4_000_000_000,
    0x7fff_ffff_ffff_ffffn,
    -2n,
    7,
    '2026-01-02T03:04:05.000Z',
    1_767_323_045_000n,
    'aGVsbG8=',
    'Presse',
    new Structure('[1.5,2.5,3.5]'),
    2.5,
    null,
    null,
    null,
    null,
    21.5,
    null,
    null,
    '9999-12-31T23:59:59.000Z',
  ]);
  const told = [...(flaws ?? [])].sort(([a], [b]) => a - b).map(([index, { reason }]) => [index, reason]);
  expect(told).toEqual([
    [11, 'is Double, not int16'],
    [12, '4000000000 is beyond int16'],
    [13, 'is an array of 3, not one float64: write type: json, or a range'],
    [14, 'node id unknown (BadNodeIdUnknown)'],
    [16, 'no such path: no match (BadNoMatch)'],
    [17, 'the server has no namespace urn:nobody'],
  ]);
});

test('node ids of every kind, as they are written and as browsing writes them', async () => {
  const session = await connect();
  const ids = Object.values(ODD_IDS).map((id) => `nsu=${PRESS};${id}`);
  const points = ids.map((node) => pointOf('string', 'Temp', { node, id: node } as never));
  expect((await session.read(deviceOf(points), points, { signal })).values).toEqual(Object.keys(ODD_IDS));
  const seen: string[] = [];
  for await (const { id = '' } of session.browse?.(nodeOf('Press'), signal) ?? []) seen.push(id);
  expect(seen).toEqual(expect.arrayContaining(ids));
});

test('a structure of the standard, by its fields', async () => {
  const point = { ...pointOf('json', 'Temp'), address: { ...pointOf('json', 'Temp').address, node: 'i=2256' } };
  const { values } = await (await connect()).read(deviceOf([point]), [point], { signal });
  const status = (values[0] as Structure).toJSON() as Record<string, unknown>;
  expect(status.State).toBe(0);
  expect(status.StartTime).toMatch(/^\d{4}-\d\d-\d\dT/);
  expect(status.BuildInfo).toMatchObject({ ProductUri: expect.any(String) });
});

test('what is read has the time of its source: the latest, for then all of it held', async () => {
  const [early, late] = [Date.UTC(2026, 0, 1), Date.UTC(2026, 0, 2)];
  await bench.peer.tell({ what: 'set', node: 'Spoilt', value: 5, at: early });
  await bench.peer.tell({ what: 'set', node: 'Temp', value: 21.5, at: late });
  const points = [pointOf('float64', 'Spoilt'), pointOf('float64', 'Temp'), pointOf('float64', 'Nowhere')];
  const session = await connect();
  for (const [count, at] of [
    [1, early],
    [3, late],
  ] as const)
    expect((await session.read(deviceOf(points), points.slice(0, count), { signal })).at).toBe(at);
  expect((await session.read(deviceOf(points), points.slice(2), { signal })).at).toBeUndefined();
});

test('relative paths begin at the root of their device', async () => {
  const session = await connect();
  const points = [pointOf('float64', 'Temp', { path: `nsu=${PRESS};Temp` })];
  for (const root of [nodeOf('Press'), `/Objects/nsu=${PRESS};Press`])
    expect((await session.read(deviceOf(points, 'press', { root }), points, { signal })).values).toEqual([21.5]);
  const { flaws } = await session.read(deviceOf(points, 'bare'), points, { signal });
  expect(flaws?.get(0)?.reason).toMatch(/has no root/);
});

describe('writing', () => {
  const writes: [node: string, type: Parameters<typeof pointOf>[0], raw: never, held: unknown][] = [
    ['Setpoint', 'int16', -7 as never, -7],
    ['Small', 'int16', 255 as never, 255],
    ['Balance', 'int64', -5n as never, [0xffff_ffff, 0xffff_fffb]],
    ['Gain', 'float32', 2.5 as never, 2.5],
    ['Running', 'bool', false as never, false],
    ['Name', 'string', 'Pressé' as never, 'Pressé'],
    ['Levels', 'json', new Structure('[4,5]') as never, { 0: 4, 1: 5 }],
    ['Reset', 'bool', true as never, true],
    ['Recipe', 'json', new Structure('[4,5,6]') as never, { 0: 4, 1: 5, 2: 6 }],
  ];
  test.each(writes)('%s as the server’s type', async (node, type, raw, held) => {
    const session = await connect();
    const point = pointOf(type, node, { access: 'read-write' });
    await session.write?.(deviceOf([point]), point, raw, signal);
    expect(await bench.peer.tell({ what: 'read', node })).toEqual(held);
  });

  const refusals: [node: string, raw: never, why: RegExp][] = [
    ['Setpoint', 40_000 as never, /40000 does not fit Int16/],
    ['Small', -1 as never, /-1 does not fit Byte/],
    ['Setpoint', 1.5 as never, /1\.5 does not fit Int16/],
    ['Running', 'yes' as never, /does not fit Boolean/],
    ['Locked', 2 as never, /not writable \(BadNotWritable\)|user access denied/],
    ['Nowhere', 2 as never, /node id unknown/],
  ];
  test.each(refusals)('%s refuses %s', async (node, raw, why) => {
    const session = await connect();
    const point = pointOf('float64', node, { access: 'read-write' });
    const error = await session.write?.(deviceOf([point]), point, raw, signal).catch((thrown: unknown) => thrown);
    expect(isKind(error, 'reject')).toBe(true);
    expect(String(error)).toMatch(why);
  });
});

test('a server that takes no notice of ranges: nothing of it passes for a part, and nothing is written over the whole', async () => {
  const peer = await startPeer({ identity: bench.identity, noRanges: true });
  try {
    const session = await connect({ endpoint: peer.endpoint });
    const one = pointOf('float64', 'Levels', { id: 'one', range: '1', access: 'read-write' });
    const points = [one, pointOf('json', 'Levels', { id: 'some', range: '0:1' })];
    const device = deviceOf(points);
    const reason = 'the server takes no notice of range, and tells 3 elements: write type: json, without range';
    const read = await session.read(device, points, { signal });
    expect(read.values).toEqual([null, null]);
    expect([...(read.flaws?.values() ?? [])]).toEqual(points.map(() => ({ quality: 'bad', reason })));
    const told = new Told();
    await session.subscribe?.(device, points, told);
    await told.until(() => told.latest.size === 2);
    expect([...told.latest.values()]).toEqual([null, null]);
    await expect(session.write?.(device, one, 9, signal)).rejects.toThrow(reason);
    expect(await peer.tell({ what: 'read', node: 'Levels' })).toEqual({ 0: 1.5, 1: 2.5, 2: 3.5 });
  } finally {
    await peer.kill();
  }
});

test('browsing gives what a profile needs', async () => {
  const session = await connect();
  const list = async (path: string): Promise<BrowsedNode[]> => {
    const nodes: BrowsedNode[] = [];
    for await (const node of session.browse?.(path, signal) ?? []) nodes.push(node);
    return nodes;
  };
  const press = (await list('')).find(({ name }) => name === 'Press');
  expect(press).toMatchObject({ kind: 'folder', path: `/Objects/nsu=${PRESS};Press`, id: nodeOf('Press') });
  const inside = await list(press?.path ?? '');
  const setpoint = inside.find(({ name }) => name === 'Setpoint');
  expect(setpoint?.point).toEqual({ node: nodeOf('Setpoint'), type: 'int16', access: 'read-write' });
  expect(inside.find(({ name }) => name === 'Reset')?.point).toEqual({
    node: nodeOf('Reset'),
    type: 'bool',
    access: 'write',
  });
  expect(inside.find(({ name }) => name === 'Recipe')?.point).toMatchObject({ type: 'json', access: 'write' });
  expect(inside.find(({ name }) => name === 'Temp')).toMatchObject({
    value: 21.5,
    point: { node: nodeOf('Temp'), type: 'float64' },
  });
  expect(inside).toEqual(
    await list(nodeOf('Press')).then((nodes) => nodes.map((node, index) => ({ ...node, path: inside[index]?.path }))),
  );
  await expect(list('/Objects/Nobody')).rejects.toThrow(/no match/);
});
