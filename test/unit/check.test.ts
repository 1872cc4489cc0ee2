// biome-ignore-all lint/suspicious/noTemplateCurlyInString: placeholders are what people write
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { check } from '../../src/config/check.js';
import { formatProblem } from '../../src/config/format.js';
import { Source } from '../../src/config/source.js';
import { hintFor, suggest } from '../../src/config/suggest.js';
import { TidegateError } from '../../src/errors.js';

/** What a schema makes of a text, and what is said about it. */
function checked<T>(
  schema: z.ZodType<T>,
  text: string,
): { value: T | undefined; said: string[]; hints: (string | undefined)[] } {
  const source = new Source('x.yaml', text);
  const problems: TidegateError[] = [];
  const value = check(schema, source, source.value, [], problems);
  return {
    value,
    said: problems.map(({ place, message }) => `${place?.line}:${place?.column} ${message}`),
    hints: problems.map(({ hint }) => hint),
  };
}

describe('text that looks like something else is taken as it is written', () => {
  const schema = z.strictObject({
    name: z.string(),
    version: z.enum(['5', '3.1.1']).optional(),
    list: z.array(z.string()).optional(),
    either: z.union([z.string(), z.array(z.string())]).optional(),
  });

  test.each([
    ['name: 007', { name: '007' }],
    ['name: 1e3', { name: '1e3' }],
    ['name: 0x1F', { name: '0x1F' }],
    ['name: true', { name: 'true' }],
    ['{ name: a, version: 5 }', { name: 'a', version: '5' }],
    ['{ name: a, list: [1, 2.50, x] }', { name: 'a', list: ['1', '2.50', 'x'] }],
    ['{ name: a, either: 12 }', { name: 'a', either: '12' }],
    ['{ name: a, either: [12] }', { name: 'a', either: ['12'] }],
  ])('%s', (text, expected) => {
    expect(checked<unknown>(schema, text)).toMatchObject({ value: expected, said: [] });
  });

  test('but nothing is no text', () => {
    expect(checked(schema, 'name:').said).toEqual(['1:1 nothing is written here: write text']);
  });
});

describe('keys', () => {
  const strict = z.strictObject({ address: z.int(), unit: z.string().optional() });
  const loose = z.looseObject({ profile: z.string(), connection: z.string() });

  test('a mistyped key is unknown, not also missing', () => {
    expect(checked(strict, 'adress: 1')).toMatchObject({
      said: ['1:1 unknown key "adress"'],
      hints: ['did you mean "address"?'],
    });
    expect(checked(loose, '{ profil: x, connection: y, more: z }')).toMatchObject({
      said: ['1:3 unknown key "profil"'],
      hints: ['did you mean "profile"?'],
    });
  });

  test('a missing key is told with what it means', () => {
    const schema = z.strictObject({ url: z.string().describe('Where to.') });
    expect(checked(schema, '{}')).toMatchObject({ said: ['1:1 the key "url" is missing'], hints: ['Where to.'] });
  });

  test('suggestions reach into optional, default, lists, records and unions', () => {
    const schema = z.strictObject({
      a: z.record(z.string(), z.array(z.strictObject({ inner: z.int().optional() })).default([])).optional(),
      b: z.union([z.string(), z.strictObject({ topic: z.string() })]).optional(),
    });
    expect(checked(schema, 'a: { x: [{ iner: 1 }] }\nb: { topik: x }')).toMatchObject({
      said: ['1:12 unknown key "iner"', '2:6 unknown key "topik"'],
      hints: ['did you mean "inner"?', 'did you mean "topic"?'],
    });
  });
});

test('a refinement may bring its own code and hint', () => {
  const schema = z.string().refine(() => false, { error: 'no', params: { code: 'CONFIG_CONFLICT', hint: 'so it is' } });
  const source = new Source('x.yaml', 'a');
  const problems: TidegateError[] = [];
  check(schema, source, source.value, [], problems);
  expect(problems).toMatchObject([{ code: 'CONFIG_CONFLICT', message: 'no', hint: 'so it is' }]);
});

describe('suggestions', () => {
  test.each([
    ['adress', 'address'],
    ['tiemout', 'timeout'],
    ['TIMEOUT', 'timeout'],
    ['sdm630', 'eastron/sdm630'],
    ['warning', 'warn'],
    ['xyz', undefined],
    ['x', undefined],
  ])('%s → %s', (word, expected) => {
    expect(suggest(word, ['address', 'timeout', 'eastron/sdm630', 'lg/therma-v', 'warn'])).toBe(expected);
  });

  test('without one, a short list is shown and a long one is not', () => {
    expect(hintFor('xyz', ['one', 'two'])).toBe('known here: one, two');
    expect(hintFor('xyz', [])).toBeUndefined();
    expect(
      hintFor(
        'xyz',
        Array.from({ length: 50 }, (_, i) => `name-${i}`),
      ),
    ).toBeUndefined();
  });
});

describe('what is shown', () => {
  const place = { file: 'x.yaml', line: 3, column: 2, length: 4 };
  const show = (text: string, more = {}) =>
    formatProblem(new TidegateError('CONFIG_VALUE', 'wrong', { place: { ...place, ...more, text }, hint: 'mend it' }));

  test('the mark stands below its word, after tabs too', () => {
    expect(show('\tword')).toBe('x.yaml:3:2: wrong\n  3 | \tword\n    | \t^^^^\n      mend it  [CONFIG_VALUE]');
  });

  test('long lines are cut around the mark', () => {
    const lines = show(`${'x'.repeat(300)}word${'y'.repeat(300)}`, { column: 301 }).split('\n');
    const [, line = '', mark = ''] = lines;
    expect(line.slice(mark.indexOf('^'), mark.indexOf('^') + 4)).toBe('word');
    expect(line.length).toBeLessThan(130);
  });

  test('passwords and what a terminal would obey are hidden', () => {
    const shown = show('{ url: mqtt://me:sesame@x, password: "open sesame", "password": sesame, \u001b[31m }');
    expect(shown).not.toContain('sesame');
    expect(shown).not.toContain('open');
    expect(show('  password: open, sesame # old')).toMatch(/password: [* ]+\n/);
    expect(show('{ password: ${env:A}, url: x }')).toContain('{ password: ${env:A}, url: x }');
    expect(shown).not.toContain('\u001b');
    expect(show('password: ${env:CLOUD}')).toContain('${env:CLOUD}');
  });

  test('colours only where they are asked for', () => {
    const error = new TidegateError('CONFIG_VALUE', 'wrong', { place: { ...place, text: ' word' } });
    expect(formatProblem(error)).not.toContain('\u001b');
    expect(formatProblem(error, { color: true })).toContain('\u001b[1mwrong');
  });

  test('without a place, what happened and what to do', () => {
    expect(formatProblem(new TidegateError('CONFIG_FILE', 'gone'))).toMatch(/^gone\n {2}Check .*\[CONFIG_FILE\]$/);
  });
});
