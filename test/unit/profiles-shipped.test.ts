import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { drivers } from '../../drivers/index.js';
import type { Driver, Session, Simulator } from '../../src/driver.js';
import type { Device, Point } from '../../src/model.js';
import { listProfiles, shippedProfiles } from '../../src/profiles/find.js';
import { lintProfile } from '../../src/profiles/lint.js';
import { loadProfile, type Profile } from '../../src/profiles/load.js';
import { proveProfile } from '../../src/profiles/prove.js';
import { compileScaling } from '../../src/scaling.js';
import { driverContext } from '../support/driver-context.js';

const names = [...listProfiles([shippedProfiles]).keys()];
const load = (name: string): Promise<Profile> => loadProfile(name, [shippedProfiles], drivers);

/** What examples must prove once: everything that decides how words become a value. */
function kindOf({ type, scale, offset, scaleFrom, states, address }: Point): string {
  const { table, order, bit, bits } = address as Record<string, unknown>;
  const parts = { table, type, order: /16|bool|string/.test(type) ? undefined : order, scale, offset };
  return JSON.stringify({
    ...parts,
    factor: scaleFrom !== undefined,
    states: states !== undefined,
    bit: bit !== undefined,
    bits,
  });
}

test('there are profiles', () => {
  expect(names.length).toBeGreaterThanOrEqual(6);
});

test('an id has the same unit in every profile', async () => {
  const units = new Map<string, string>();
  for (const name of names) {
    for (const point of (await load(name)).points) {
      if (point.kind === 'scale') continue;
      const unit = point.unit ?? 'none';
      expect(`${name} ${point.id} ${units.get(point.id) ?? unit}`).toBe(`${name} ${point.id} ${unit}`);
      units.set(point.id, unit);
    }
  }
});

/** What reaches a simulator, by driver. */
const WIRES: Readonly<Record<string, (at: string) => object>> = {
  modbus: (at) => ({ tcp: at }),
  opcua: (at) => ({ endpoint: `opc.tcp://${at}`, security: 'None' }),
  mqtt: (at) => ({ broker: `mqtt://${at}` }),
};

const folder = mkdtempSync(join(tmpdir(), 'tidegate-profiles-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe.each(names)('%s', (name) => {
  const open: (Session | Simulator)[] = [];
  afterEach(async () => {
    await Promise.all(open.splice(0).map((one) => one.close()));
  });

  test('has style and a source, and its examples give what they say', async () => {
    const profile = await load(name);
    const problems = [...lintProfile(profile), ...proveProfile(profile)];
    expect(problems.map(({ message, place }) => `${place?.line}: ${message}`)).toEqual([]);
    expect(profile.source).toMatch(/\d/);
    expect(profile.examples.length).toBeGreaterThan(0);
  });

  test('its examples prove every kind of point', async () => {
    const { points, examples } = await load(name);
    const proven = new Set(examples.flatMap(({ gives }) => Object.keys(gives)));
    const kinds = new Map<string, boolean>();
    for (const point of points) {
      if (point.kind === 'scale') continue;
      const kind = kindOf(point);
      kinds.set(kind, kinds.get(kind) === true || proven.has(point.id));
    }
    expect([...kinds].filter(([, shown]) => !shown).map(([kind]) => kind)).toEqual([]);
  });

  test('simulated and read back over its protocol, every point is good', async () => {
    const profile = await load(name);
    const driver: Driver = profile.driver;
    const settings = driver.device.parse({ ...driver.simulated, ...profile.device });
    const device: Device = { id: 'd', profile: name, connection: 'c', tags: {}, settings, points: profile.points };
    const simulator = await driver.simulate?.([device], { host: '127.0.0.1', port: 0 });
    if (!simulator) throw new Error(`${driver.name} has no simulator`);
    open.push(simulator);
    const connection = driver.connection.parse(WIRES[driver.name]?.(`${simulator.host}:${simulator.port}`));
    const session = await driver.open(connection, driverContext(folder));
    open.push(session);
    const readable = profile.points.filter(({ access }) => access !== 'write');
    const samples = await session.read(device, readable, { signal: new AbortController().signal });
    expect(samples.answered).toBe(true);
    const scaling = compileScaling(readable);
    const { values, flaws } = scaling.apply(samples);
    const bad = [...(flaws ?? [])].map(([index, { reason }]) => `${scaling.points[index]?.id}: ${reason}`);
    expect(bad).toEqual([]);
    expect(values).toHaveLength(scaling.points.length);
    expect(values).not.toContain(null);
  });
});
