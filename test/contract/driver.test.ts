/** The contract, over Modbus: against a bare socket that can be told to misbehave, and against the driver's own simulator through a relay. */
import { modbus } from '../../drivers/modbus/index.js';
import type { ModbusAddress } from '../../drivers/modbus/schema.js';
import type { Driver } from '../../src/driver.js';
import type { Device, Point, Value } from '../../src/model.js';
import { driverContext } from '../support/driver-context.js';
import { startLinePeer } from '../support/line-peer.js';
import {
  type Answer,
  type Asked,
  bitAt,
  frame,
  refusing,
  startModbusPeer,
  truthful,
  wordAt,
} from '../support/modbus-peer.js';
import { deviceOf, pointOf } from '../support/modbus-points.js';
import { startRelay } from '../support/tcp-relay.js';
import { type DriverBench, driverContract } from './driver.js';

const POINTS: Point<ModbusAddress>[] = [
  pointOf('uint16', { address: 0 }),
  pointOf('uint32', { address: 1, order: 'CDAB' }),
  pointOf('uint16', { address: 5 }),
  pointOf('uint16', { address: 6 }),
  pointOf('uint64', { table: 'input', address: 100 }),
  pointOf('bool', { table: 'coil', address: 3 }),
  pointOf('bool', { table: 'discrete', address: 9 }),
  pointOf('uint16', { address: 400, access: 'read-write' }),
];
const SPOILT = 2;

async function barePeer(form: 'tcp' | 'rtu' | 'ascii'): Promise<DriverBench> {
  const written = new Map<number, number>();
  let spoilt = false;
  let silent = false;
  const answer = (asked: Asked): Answer => {
    const { id, unit, code, address, count } = asked;
    if (silent || unit !== 1) return undefined;
    if (code === 6) written.set(address, count);
    if (code === 3 && address === 400) {
      const word = written.get(400) ?? wordAt(400);
      return frame(id, unit, [3, 2, word >> 8, word & 0xff]);
    }
    return code === 3 && spoilt && address <= 5 && address + count > 5 ? refusing(asked, 2) : truthful(asked);
  };
  const peer = form === 'tcp' ? await startModbusPeer(answer) : await startLinePeer(form, answer);
  const wide = (address: number): bigint =>
    [0, 1, 2, 3].reduce((sum, at) => sum * 65_536n + BigInt(wordAt(address + at)), 0n);
  return {
    driver: modbus as Driver,
    connection: {
      tcp: `127.0.0.1:${peer.port}`,
      timeout: '100ms',
      ...(form === 'tcp' ? { in_flight: 2 } : { framing: form }),
    },
    device: deviceOf(POINTS),
    dead: deviceOf(POINTS, { unit: 9 }, 'dead'),
    writable: { point: POINTS[7] as Point, raws: [7, 65_535] },
    truth: () => [
      wordAt(0),
      wordAt(2) * 65_536 + wordAt(1),
      wordAt(5),
      wordAt(6),
      wide(100),
      bitAt(3),
      bitAt(9),
      written.get(400) ?? wordAt(400),
    ],
    spoil: () => {
      spoilt = true;
      return SPOILT;
    },
    silence: () => {
      silent = true;
    },
    cut: peer.cut,
    close: peer.close,
  };
}

/** The simulator cannot misbehave; what stands between can. All its points are writable ones, so that they hold still. */
async function simulated(): Promise<DriverBench> {
  const still = POINTS.filter(({ address }) => address.table === 'holding' || address.table === 'coil').map(
    (point) => ({
      ...point,
      access: 'read-write' as const,
    }),
  );
  const device = deviceOf(still);
  const missing = pointOf('uint16', { address: 7 });
  let spoilt = false;
  const points = (): Point<ModbusAddress>[] => (spoilt ? [...still, missing] : still);
  const simulator = await modbus.simulate?.([device], { host: '127.0.0.1', port: 0 });
  if (!simulator) throw new Error('the driver has no simulator');
  const relay = await startRelay(simulator.port);
  const first = await modbus.open(modbus.connection.parse({ tcp: `127.0.0.1:${simulator.port}` }), driverContext());
  const { values } = await first.read(device, still, { signal: new AbortController().signal });
  await first.close();
  return {
    driver: modbus as Driver,
    connection: { tcp: `127.0.0.1:${relay.port}`, timeout: '100ms' },
    get device(): Device {
      return { ...device, points: points() };
    },
    dead: deviceOf(still, { unit: 9 }, 'dead'),
    writable: { point: still[1] as Point, raws: [4_000_000_000, 0] },
    truth: () => (spoilt ? [...values, null] : [...values]) as Value[],
    spoil: () => {
      spoilt = true;
      return still.length;
    },
    silence: relay.silence,
    cut: relay.cut,
    close: async () => {
      await relay.close();
      await simulator.close();
    },
  };
}

for (const form of ['tcp', 'rtu', 'ascii'] as const)
  driverContract(`modbus, ${form}, bare socket`, () => barePeer(form));
driverContract('modbus, simulator', simulated);
