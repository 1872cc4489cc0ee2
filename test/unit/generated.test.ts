/** What is generated follows from the code, and editors can use it. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CODES } from '../../src/errors.js';

interface Node {
  readonly description?: string;
  readonly properties?: Record<string, Node>;
  readonly additionalProperties?: Node | boolean;
  readonly items?: Node;
  readonly anyOf?: Node[];
}

test('generated files are fresh', () => {
  const { status, stderr } = spawnSync(process.execPath, ['scripts/generate.mjs', '--check'], { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
});

test('docs/errors.md lists every code once', () => {
  const listed = [...readFileSync('docs/errors.md', 'utf8').matchAll(/^\| `(\w+)` \|/gm)].map(([, code]) => code);
  expect(listed).toEqual(Object.keys(CODES));
});

test.each(['gateway', 'profile', 'rules', 'rule-tests'])('every key of %s has a meaning', (name) => {
  const schema = JSON.parse(readFileSync(`schemas/${name}.schema.json`, 'utf8')) as Node;
  expect(silentKeys(schema, name)).toEqual([]);
});

/** Paths of keys without a description. */
function silentKeys(node: Node, path: string): string[] {
  const own = Object.entries(node.properties ?? {}).flatMap(([key, inner]) => [
    ...(inner.description === undefined ? [`${path}.${key}`] : []),
    ...silentKeys(inner, `${path}.${key}`),
  ]);
  const inside = [node.items, node.additionalProperties, ...(node.anyOf ?? [])];
  return [...own, ...inside.flatMap((inner) => (typeof inner === 'object' ? silentKeys(inner, `${path}[]`) : []))];
}
