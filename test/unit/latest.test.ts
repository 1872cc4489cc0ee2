import { expect, test } from 'vitest';
import { rememberLatest } from '../../src/devices/latest.js';
import type { Batch, Device, Point } from '../../src/model.js';

const point = (id: string, more: Partial<Point> = {}): Point => ({
  id,
  type: 'float32',
  kind: 'gauge',
  access: 'read',
  every: 1_000,
  scale: 1,
  offset: 0,
  address: {},
  ...more,
});

const all = [
  point('a', { unit: 'V' }),
  point('b'),
  point('factor', { kind: 'scale' }),
  point('target', { access: 'write' }),
];
const device: Device = { id: 'd', profile: 'acme/press', connection: 'c', tags: {}, settings: {}, points: all };
const fast = all.slice(0, 1);
const both = all.slice(0, 2);
const batch = (at: number, points: Point[], values: number[], more: Partial<Batch> = {}): Batch => ({
  device,
  at,
  mono: at,
  points,
  values,
  ...more,
});

test('every readable point is there before anything was read', () => {
  expect(rememberLatest().points(device)).toEqual([
    { id: 'a', value: null, unit: 'V', quality: 'bad', reason: 'not read yet', at: 0 },
    { id: 'b', value: null, quality: 'bad', reason: 'not read yet', at: 0 },
  ]);
});

test('the newest of overlapping reads counts', () => {
  const latest = rememberLatest();
  latest.take(batch(1, both, [1, 2]));
  latest.take(batch(2, fast, [3]));
  expect(latest.points(device).map(({ value, at }) => [value, at])).toEqual([
    [3, 2],
    [2, 1],
  ]);
  latest.take(batch(3, both, [4, 5]));
  expect(latest.points(device).map(({ value, at }) => [value, at])).toEqual([
    [4, 3],
    [5, 3],
  ]);
  expect(latest.readings).toBe(5);
});

test('flaws are told', () => {
  const latest = rememberLatest();
  latest.take(batch(1, both, [1, 2], { flaws: new Map([[1, { quality: 'uncertain', reason: 'above 1' }]]) }));
  expect(latest.points(device)).toMatchObject([{ quality: 'good' }, { quality: 'uncertain', reason: 'above 1' }]);
});

test('endless new sets of points do not fill the memory, and nothing is forgotten', () => {
  const latest = rememberLatest();
  latest.take(batch(1, both, [-1, -2]));
  for (let i = 0; i < 1_000; i++) latest.take(batch(i, [...fast], [i]));
  expect(latest.points(device).map(({ value }) => value)).toEqual([999, -2]);
});
