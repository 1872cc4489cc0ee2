import { expect, test } from 'vitest';
import { Source } from '../../src/config/source.js';
import type { TidegateError } from '../../src/errors.js';
import { mergePoints, type ProfileFile } from '../../src/profiles/layers.js';
import { profileSchema } from '../../src/profiles/schema.js';

function profile(text: string): ProfileFile {
  const source = new Source('p.yaml', `profile: a/b\ntitle: T\ndriver: d\n${text}`);
  return { source, written: profileSchema.parse(source.value) };
}

/** Keys of the points, after `extends` and `defaults`. */
function merged(own: string, parent?: string): Record<string, unknown> {
  const problems: TidegateError[] = [];
  const points = mergePoints(profile(own), parent === undefined ? undefined : profile(parent), problems);
  expect(problems).toEqual([]);
  return Object.fromEntries(points.map(({ id, keys }) => [id, keys]));
}

const DEFAULTS = 'defaults: { type: int32, invalid: [0x7FFFFFFF] }\n';

test('null in a point takes away what the defaults give', () => {
  expect(merged(`${DEFAULTS}points: { a: { address: 1 }, b: { address: 2, type: string, invalid: null } }`)).toEqual({
    a: { address: 1, type: 'int32', invalid: [0x7fffffff] },
    b: { address: 2, type: 'string' },
  });
});

test('null in a point takes away what the extended profile gives it, also in a numbered block', () => {
  const parent = `${DEFAULTS}points: { "a_{n}": { address: 1, unit: V, repeat: { count: 2, step: 2 } } }`;
  expect(merged('points: { "a_{n}": { unit: null, invalid: null } }', parent)).toEqual({
    a_1: { address: 1, type: 'int32' },
    a_2: { address: 3, type: 'int32' },
  });
});

test('null with nothing to take away stays, so that an empty key is told', () => {
  expect(merged('points: { a: { address: 1, unit: } }')).toEqual({ a: { address: 1, unit: null } });
});
