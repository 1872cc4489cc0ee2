import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { formatProblem } from '../../src/config/format.js';
import type { TidegateError } from '../../src/errors.js';
import { loadRules } from '../../src/routing/load.js';
import { proveRules } from '../../src/routing/prove.js';
import { plant } from '../support/plant.js';

// One folder, one mistake: rules/ for the plant of test/support/plant.ts, and expected.txt with what a person is told.
// UPDATE_GOLDEN=1 writes expected.txt anew; read the difference before you commit it.
const golden = fileURLToPath(new URL('../../../test/golden/rules', import.meta.url));

describe('broken rules', () => {
  test.each(readdirSync(golden))('%s', async (name) => {
    const folder = relative(process.cwd(), join(golden, name, 'rules'));
    const scene = plant();
    const problems: TidegateError[] = [];
    await loadRules(folder, { devices: scene.devices, upstreams: scene.upstreams.map(({ id }) => id) }, problems);
    if (problems.length === 0) problems.push(...(await proveRules(folder, scene)));
    const told = problems.map((problem) => `${formatProblem(problem).replaceAll(`test/golden/rules/${name}/`, '')}\n`);
    const file = join(golden, name, 'expected.txt');
    if (process.env.UPDATE_GOLDEN && told.length > 0) writeFileSync(file, told.join('\n'));
    expect(told.join('\n')).toBe(existsSync(file) ? readFileSync(file, 'utf8') : 'an expected.txt');
    expect(told).not.toEqual([]);
  });
});
