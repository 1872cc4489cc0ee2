/** Holds the house to its own rules: who imports whom, how long files are, what they are called, that exports are explained. */
import { describe, expect, test } from 'vitest';
import { allowed, LIBRARIES, LIGHT, roomOf, STACKS } from './house/arrows.js';
import { filesIn, importsOf, lengthOf, loadedWith, read, root, undocumented } from './house/tree.js';

const files = filesIn();
const sources = files.filter((path) => /^(src|drivers)\/.*\.ts$/.test(path));
const tests = files.filter((path) => /^(test|bench)\/.*\.ts$/.test(path));
const rooms = [...new Set(sources.map(roomOf))];

test(`the tree of ${root} is read`, () => {
  expect(sources).toContain('src/model.ts');
  expect(importsOf('src/driver.ts')).toContainEqual({ target: 'src/model.ts', own: true, when: 'type' });
  expect(importsOf('src/driver.ts')).toContainEqual({ target: 'zod', own: false, when: 'type' });
  expect(importsOf('src/units.ts')).toContainEqual({ target: 'zod', own: false, when: 'eager' });
});

describe('arrows go down only', () => {
  test.each(rooms)('%s', (room) => {
    const below = allowed(room, rooms);
    expect(below, `${room} has no place in test/house/arrows.ts`).toBeDefined();
    const wrong = sources
      .filter((path) => roomOf(path) === room)
      .flatMap((path) => importsOf(path).map(({ own, target }) => ({ path, own, target })))
      .filter(({ own, target }) => own && roomOf(target) !== room && !below?.includes(roomOf(target)));
    expect(wrong.map(({ path, target }) => `${path} imports ${target}`)).toEqual([]);
  });

  test('relative imports name files that exist', () => {
    const known = new Set([...sources, ...tests]);
    const dangling = [...sources, ...tests].flatMap((path) =>
      importsOf(path)
        .filter(({ own, target }) => own && !known.has(target))
        .map(({ target }) => `${path} imports ${target}`),
    );
    expect(dangling).toEqual([]);
  });
});

describe('libraries', () => {
  test('each is loaded only in its rooms', () => {
    const wrong = sources.flatMap((path) =>
      importsOf(path)
        .filter(({ own, when, target }) => !own && when !== 'type' && !target.startsWith('node:'))
        .filter(({ target }) => !LIBRARIES[target]?.includes(roomOf(path)))
        .map(({ target }) => `${path} loads ${target}`),
    );
    expect(wrong).toEqual([]);
  });

  test.each(LIGHT)('%s loads without a protocol stack, a database or an expression language', (entry) => {
    const loaded = loadedWith(entry);
    expect(STACKS.filter((name) => loaded.has(name))).toEqual([]);
  });
});

describe('files', () => {
  const lengths = sources.map(lengthOf).sort((a, b) => a - b);
  const quantile = (share: number): number => lengths[Math.floor((lengths.length - 1) * share)] ?? 0;

  test('none is over 400 lines', () => {
    const long = [...sources, ...tests].filter((path) => lengthOf(path) > 400);
    expect(long.map((path) => `${path} (${lengthOf(path)})`)).toEqual([]);
  });

  test('nine in ten have at most 250 lines, half at most 120', () => {
    expect(quantile(0.9)).toBeLessThanOrEqual(250);
    expect(quantile(0.5)).toBeLessThanOrEqual(120);
  });

  test('are kebab-case, one noun each', () => {
    const named = ['src', 'drivers', 'test', 'bench', 'scripts', 'docs', 'device-profiles', 'rules', 'examples'];
    const paths = files.filter((path) => named.includes(path.split('/')[0] ?? '') && path.includes('/'));
    const kebab = /^([a-z0-9]+(-[a-z0-9]+)*)(\.[a-z0-9-]+)*$/;
    const wrong = paths.filter((path) => path.split('/').some((part) => part !== 'README.md' && !kebab.test(part)));
    expect(wrong).toEqual([]);
  });

  test('none is a drawer for everything', () => {
    const drawer = /(^|[-/])(utils?|helpers?|commons?|misc|managers?)([-./]|$)/;
    expect([...sources, ...tests].filter((path) => drawer.test(path))).toEqual([]);
  });

  test('carry no marks of work left undone', () => {
    const mark = /\b(TODO|FIXME|XXX|HACK)\b|@ts-ignore|@ts-expect-error|@ts-nocheck|\.(only|todo)\(/;
    const self = 'test/house.test.ts';
    expect([...sources, ...tests].filter((path) => path !== self && mark.test(read(path)))).toEqual([]);
  });
});

test('exported names carry a docstring', () => {
  expect(sources.flatMap((path) => undocumented(path).map((name) => `${path}: ${name}`))).toEqual([]);
});
