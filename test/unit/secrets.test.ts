// biome-ignore-all lint/suspicious/noTemplateCurlyInString: placeholders are what people write
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { resolveSecrets } from '../../src/config/secrets.js';
import { Source } from '../../src/config/source.js';
import type { TidegateError } from '../../src/errors.js';

/** Resolves the placeholders of a text, with a folder that holds some files. */
function resolve(text: string, env: NodeJS.ProcessEnv = {}, files: Record<string, string> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'tidegate-secrets-'));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  const source = new Source('gateway.yaml', text);
  const problems: TidegateError[] = [];
  return { ...resolveSecrets(source.value, source, folder, problems, env), problems };
}

test('variables are put in, anywhere in a text and at any depth', () => {
  const { value, secrets, problems } = resolve('a: [{ b: "${env:USER}:${env:WORD}@x" }]', {
    USER: 'me',
    WORD: 'sesame',
  });
  expect(value).toEqual({ a: [{ b: 'me:sesame@x' }] });
  expect(secrets).toEqual(['me', 'sesame']);
  expect(problems).toEqual([]);
});

test('files are relative to gateway.yaml, and lose the line end that editors add', () => {
  const { value, secrets } = resolve('password: ${file:cloud.password}', {}, { 'cloud.password': ' two words \r\n\n' });
  expect(value).toEqual({ password: ' two words ' });
  expect(secrets).toEqual([' two words ']);
});

test('absolute paths are taken as they are', () => {
  const file = join(mkdtempSync(join(tmpdir(), 'tidegate-secrets-')), 'word');
  writeFileSync(file, 'sesame\n');
  expect(resolve(`password: \${file:${file}}`).value).toEqual({ password: 'sesame' });
});

test('what is put in is not looked through again', () => {
  expect(resolve('a: ${env:ONE}', { ONE: '${env:TWO}', TWO: 'x' }).value).toEqual({ a: '${env:TWO}' });
});

test('one secret used twice is listed once; other texts and keys stay', () => {
  const { value, secrets } = resolve('a: ${env:W}\nb: ${env:W}\nc: "{gateway} $x"\n"${env:W}": 1', { W: 'x' });
  expect(value).toEqual({ a: 'x', b: 'x', c: '{gateway} $x', '${env:W}': 1 });
  expect(secrets).toEqual(['x']);
});

test('each that cannot be resolved is told at its place, and the rest is resolved', () => {
  const { value, problems } = resolve('a: ${env:OK}\nb: "x ${env:LOST} ${file:lost}"', { OK: 'yes' });
  expect(value).toEqual({ a: 'yes', b: 'x ${env:LOST} ${file:lost}' });
  expect(problems.map(({ code, place }) => [code, place?.line, place?.column, place?.length])).toEqual([
    ['CONFIG_SECRET', 2, 7, 11],
    ['CONFIG_SECRET', 2, 19, 12],
  ]);
});
