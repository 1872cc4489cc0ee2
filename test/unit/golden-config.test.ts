/** Broken configurations and profiles, each with the exact words that it gets. `UPDATE_GOLDEN=1` writes them anew: then read them as a fitter would. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { expect, test } from 'vitest';
import { formatProblem } from '../../src/config/format.js';
import { ProblemList } from '../../src/errors.js';
import { loadSite } from '../../src/site.js';

const ROOT = 'test/golden/config';

process.env.TIDEGATE_TEST_PASSWORD = 'open sesame';
process.env.TIDEGATE_TEST_EMPTY = '';
delete process.env.TIDEGATE_TEST_NOBODY;

test.each(readdirSync(ROOT))('%s', async (name) => {
  const folder = join(ROOT, name);
  const error = await loadSite(join(folder, 'gateway.yaml'), { thorough: true }).catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(ProblemList);
  const { errors } = error as ProblemList;
  const text = `${errors.map((problem) => formatProblem(problem)).join('\n\n')}\n`
    .replaceAll(`${join(process.cwd(), folder)}/`, '')
    .replaceAll(`${relative(process.cwd(), folder)}/`, '');
  const expected = join(folder, 'expected.txt');
  if (process.env.UPDATE_GOLDEN === '1') writeFileSync(expected, text);
  expect(text).toBe(readFileSync(expected, 'utf8'));
  expect(text).not.toContain('\u001b');
});
