/** The contract, over the driver that stands for plugins: the one with every optional part. */
import type { Driver } from '../../src/driver.js';
import type { Device, Point, Value } from '../../src/model.js';
import { driver } from '../plugin/lines.js';
import { startPeer } from '../plugin/peer.js';
import { type DriverBench, driverContract } from './driver.js';

const POINTS = ['a', 'b', 'c', 'd', 'e'].map(
  (name, index): Point => ({
    id: name,
    type: index === 2 ? 'uint64' : 'float64',
    kind: 'gauge',
    access: 'read-write',
    every: 1_000,
    scale: 1,
    offset: 0,
    address: { name },
  }),
);
const deviceOf = (id: string, unit: number): Device => ({
  id,
  profile: 'test/lines',
  connection: 'wire',
  tags: {},
  settings: { unit },
  points: POINTS,
});

async function bench(): Promise<DriverBench> {
  const peer = await startPeer();
  const truth: Value[] = [1.5, 2, 18_446_744_073_709_551_615n, -4, 0];
  for (const [index, value] of truth.entries())
    peer.set(1, POINTS[index]?.id ?? '', typeof value === 'bigint' ? `${value}` : value);
  return {
    driver: driver as Driver,
    connection: { host: '127.0.0.1', port: peer.port, timeout: 100 },
    device: deviceOf('alive', 1),
    dead: deviceOf('dead', 3),
    writable: { point: POINTS[0] as Point, raws: [7, -7.25] },
    truth: () => [...truth],
    spoil: () => {
      peer.spoil(1, 'b', 'out of order');
      return 1;
    },
    change: () => {
      truth[3] = 99;
      peer.set(1, 'd', 99);
      return 3;
    },
    tree: POINTS.map(({ id }) => id),
    found: [{ unit: 1 }],
    silence: peer.silence,
    cut: peer.cut,
    close: peer.close,
  };
}

driverContract('plugin', bench, ['subscribe', 'browse', 'scan']);
