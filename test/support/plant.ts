/** A small plant to route: devices, points and batches in few words. */
import type { Batch, Device, Flaw, Point, Value } from '../../src/model.js';
import type { Scene } from '../../src/routing/stage.js';

/** A point that is a plain number unless `more` says otherwise. */
export function point(id: string, more: Partial<Point> = {}): Point {
  const plain = {
    type: 'float64',
    kind: 'gauge',
    access: 'read',
    every: 0,
    scale: 1,
    offset: 0,
    address: undefined,
  } as const;
  return { id, ...plain, ...more };
}

/** A device with the points named. */
export function device(id: string, points: readonly (Point | string)[], more: Partial<Device> = {}): Device {
  const built = points.map((entry) => (typeof entry === 'string' ? point(entry) : entry));
  return { id, profile: 'acme/thing', connection: 'wire', tags: {}, settings: undefined, ...more, points: built };
}

/** A reading of all points of a device, `at` milliseconds after the start. */
export function batch(of: Device, at: number, values: readonly Value[], flaws?: ReadonlyMap<number, Flaw>): Batch {
  const plain = { device: of, at: Date.UTC(2026, 0, 1) + at, mono: at, points: of.points, values };
  return flaws ? { ...plain, flaws } : plain;
}

/** Two meters and a pump, and two upstreams. */
export function plant(): Scene {
  const meter = ['active_power', 'voltage_l1', 'energy_import'];
  return {
    gateway: 'plant-7',
    devices: [
      device('meter-1', meter, { profile: 'eastron/sdm630', tags: { area: 'north' } }),
      device('meter-2', meter, { profile: 'eastron/sdm630', tags: { area: 'south' } }),
      device('pump-1', ['speed', point('state', { type: 'string' })], { profile: 'acme/pump' }),
    ],
    upstreams: [
      { id: 'cloud', topic: 'tidegate/{gateway}/{device}/telemetry' },
      { id: 'site', topic: 'site/{device}' },
    ],
  };
}
