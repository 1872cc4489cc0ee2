import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { formatProblem } from '../../src/config/format.js';
import { listRules } from '../../src/routing/load.js';
import { proveRules } from '../../src/routing/prove.js';

const folder = fileURLToPath(new URL('../../../rules', import.meta.url));

describe('shipped rules', () => {
  test('each has a test beside it', () => {
    const { rules, tests } = listRules(folder, []);
    expect(rules.length).toBeGreaterThan(2);
    expect(tests).toEqual(rules.map((file) => file.replace(/\.yaml$/, '.test.yaml')));
  });

  test('each does what its test says', async () => {
    expect((await proveRules(folder)).map((problem) => formatProblem(problem))).toEqual([]);
  });
});
