/** Every profile that we ship loads, keeps the style, and gives what its examples say; so does every rule with its test. */
import { describe, expect, test } from 'vitest';
import { drivers } from '../../drivers/index.js';
import { formatProblem } from '../../src/config/format.js';
import { listProfiles, shippedProfiles } from '../../src/profiles/find.js';
import { lintProfile } from '../../src/profiles/lint.js';
import { loadProfile } from '../../src/profiles/load.js';
import { proveProfile } from '../../src/profiles/prove.js';
import { filesIn } from './tree.js';

describe('profiles', () => {
  const profiles = [...listProfiles([shippedProfiles]).keys()];

  test('all of the folder are found', () => {
    const written = filesIn('device-profiles').filter((path) => path.endsWith('.yaml'));
    expect(profiles.map((name) => `device-profiles/${name}.yaml`)).toEqual(written);
  });

  test.each(profiles)('%s', async (name) => {
    const profile = await loadProfile(name, [shippedProfiles], drivers);
    const problems = [...lintProfile(profile), ...proveProfile(profile)];
    expect(problems.map((problem) => formatProblem(problem))).toEqual([]);
  });
});
