/** What `extends`, `defaults` and `repeat` make of the points of a profile, and what the register makes of devices. */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { drivers } from '../../drivers/index.js';
import { formatProblem } from '../../src/config/format.js';
import { ProblemList } from '../../src/errors.js';
import { shippedProfiles } from '../../src/profiles/find.js';
import { loadProfile, type Profile } from '../../src/profiles/load.js';

const HEAD = 'title: Meter\ndriver: modbus\n';

/** Loads acme/meter from a folder with the profiles given. */
function load(files: Record<string, string>, name = 'acme/meter'): Promise<Profile> {
  const folder = mkdtempSync(join(tmpdir(), 'tidegate-profiles-'));
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, `${file}.yaml`), `profile: ${file}\n${text}`);
  }
  return loadProfile(name, [folder, shippedProfiles], drivers);
}

/** Id → address and some more of each point. */
function points(profile: Profile): Record<string, unknown> {
  return Object.fromEntries(
    profile.points.map(({ id, type, unit, every, address }) => [id, { type, unit, every, ...(address as object) }]),
  );
}

describe('defaults', () => {
  test('fill what a point does not say, keys of the driver too', async () => {
    const profile = await load({
      'acme/meter': `${HEAD}defaults: { table: input, type: float32, order: CDAB, unit: V, every: 1s }
points:
  a: { address: 0 }
  b: { address: 2, type: uint16, order: ABCD, unit: A, every: 5s }
`,
    });
    expect(points(profile)).toMatchObject({
      a: { type: 'float32', unit: 'V', every: 1_000, table: 'input', order: 'CDAB', address: 0 },
      b: { type: 'uint16', unit: 'A', every: 5_000, table: 'input', order: 'ABCD', address: 2 },
    });
  });
});

describe('repeat', () => {
  test('makes numbered points, with the number in texts and the address stepped', async () => {
    const profile = await load({
      'acme/meter': `${HEAD}defaults: { type: float32 }
points:
  before: { address: 0 }
  voltage_l{n}: { address: 0x10, description: "Phase {n}", repeat: { count: 3, step: 2 } }
  after: { address: 2 }
`,
    });
    expect(profile.points.map(({ id, description }) => [id, description])).toEqual([
      ['before', undefined],
      ['voltage_l1', 'Phase 1'],
      ['voltage_l2', 'Phase 2'],
      ['voltage_l3', 'Phase 3'],
      ['after', undefined],
    ]);
    expect(points(profile)).toMatchObject({
      voltage_l1: { address: 16 },
      voltage_l2: { address: 18 },
      voltage_l3: { address: 20 },
    });
  });

  test('starts where it is told, steps down too, and names scale factors of its own', async () => {
    const profile = await load({
      'acme/meter': `${HEAD}defaults: { type: int16 }
points:
  power_{n}: { address: 10, scale_from: "power_{n}_sf", repeat: { count: 2, step: -2, from: 0 } }
  power_{n}_sf: { address: 11, kind: scale, repeat: { count: 2, step: -2, from: 0 } }
`,
    });
    expect(
      profile.points.map(({ id, scaleFrom, address }) => [id, scaleFrom, (address as { address: number }).address]),
    ).toEqual([
      ['power_0', 'power_0_sf', 10],
      ['power_1', 'power_1_sf', 8],
      ['power_0_sf', undefined, 11],
      ['power_1_sf', undefined, 9],
    ]);
  });
});

describe('extends', () => {
  const base = `${HEAD}defaults: { table: input, type: float32, order: ABCD }
device: { max_registers: 50, max_gap: 0 }
points:
  voltage: { address: 0, unit: V }
  current: { address: 6, unit: A, every: 5s }
`;

  test('takes over points, changes and removes some, adds others', async () => {
    const profile = await load({
      'acme/base': base,
      'acme/meter':
        'title: Meter\nextends: acme/base\npoints:\n  voltage: null\n  current: { every: 1s }\n  power: { address: 12, unit: W }\n',
    });
    expect(points(profile)).toMatchObject({
      current: { address: 6, unit: 'A', every: 1_000, type: 'float32' },
      power: { address: 12, unit: 'W', type: 'float32', table: 'input' },
    });
    expect(profile.points).toHaveLength(2);
    expect(profile.driver.name).toBe('modbus');
  });

  test('other defaults and settings go above those of the extended profile', async () => {
    const profile = await load({
      'acme/base': base,
      'acme/meter': 'title: Meter\nextends: acme/base\ndefaults: { order: CDAB }\ndevice: { max_gap: 4 }\n',
    });
    expect(points(profile)).toMatchObject({ voltage: { order: 'CDAB', table: 'input' }, current: { order: 'CDAB' } });
    expect(profile.device).toEqual({ max_registers: 50, max_gap: 4 });
  });

  test('an own profile may extend the shipped one that it stands in for', async () => {
    const profile = await load(
      { 'eastron/sdm120': 'title: Ours\nextends: eastron/sdm120\npoints: { voltage: { every: 2s } }\n' },
      'eastron/sdm120',
    );
    expect(profile.title).toBe('Ours');
    expect(profile.points.find(({ id }) => id === 'voltage')).toMatchObject({ every: 2_000, unit: 'V' });
  });

  test('a mistake in the extended file is shown there', async () => {
    const broken = load({
      'acme/base': base.replace('unit: V', 'unti: V'),
      'acme/meter': 'title: Meter\nextends: acme/base\n',
    });
    const error = (await broken.catch((cause: unknown) => cause)) as ProblemList;
    expect(error).toBeInstanceOf(ProblemList);
    expect(error.errors.map((problem) => formatProblem(problem))).toEqual([
      expect.stringMatching(/base\.yaml:7:26: unknown key "unti"/),
    ]);
  });
});

test('a profile that nobody has is told with the nearest name', async () => {
  const error = (await load({}, 'eastron/sdm631').catch((cause: unknown) => cause)) as ProblemList;
  expect(error.errors).toMatchObject([{ code: 'CONFIG_UNKNOWN_NAME', hint: 'did you mean "eastron/sdm630"?' }]);
});
