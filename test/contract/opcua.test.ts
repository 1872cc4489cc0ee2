/** The contract, over OPC UA: against a server in a process of its own, messages signed and encrypted, through a relay that can misbehave. */
import { afterAll, beforeAll } from 'vitest';
import { opcua } from '../../drivers/opcua/index.js';
import type { Driver } from '../../src/driver.js';
import type { Point, Value } from '../../src/model.js';
import { makePem, trustingFolder } from '../support/opcua-identity.js';
import { type Peer, startPeer } from '../support/opcua-peer.js';
import { deviceOf, pointOf } from '../support/opcua-points.js';
import { startRelay } from '../support/tcp-relay.js';
import { type DriverBench, driverContract } from './driver.js';

const POINTS = [
  pointOf('float64', 'Temp'),
  pointOf('float32', 'Speed'),
  pointOf('uint64', 'Total'),
  pointOf('bool', 'Running'),
  pointOf('string', 'Name'),
  pointOf('int16', 'Setpoint', { access: 'read-write' }),
];
const MISSING = pointOf('float64', 'Nowhere');
const whole = deviceOf(POINTS);
const withMissing = deviceOf([...POINTS, MISSING]);
const WRITTEN = POINTS[5] as Point;

let peer: Peer;
let folder: Awaited<ReturnType<typeof trustingFolder>>;
beforeAll(async () => {
  const identity = await makePem();
  folder = await trustingFolder(identity);
  peer = await startPeer({ identity });
}, 30_000);
afterAll(async () => {
  await peer.kill();
  folder.done();
});

async function overRelay(): Promise<DriverBench> {
  await peer.tell({ what: 'set', node: 'Setpoint', value: -5 });
  const relay = await startRelay(peer.port);
  const truth: Value[] = [21.5, 230.15, 0x7fff_ffff_ffff_ffffn, true, 'Press 7', -5];
  let spoilt = false;
  return {
    driver: opcua as Driver,
    data: folder.data,
    connection: {
      endpoint: `opc.tcp://127.0.0.1:${relay.port}`,
      timeout: '1s',
      connect_timeout: '5s',
      keep_alive: '400ms',
    },
    get device() {
      return spoilt ? withMissing : whole;
    },
    dead: deviceOf([pointOf('float64', 'Gone.A'), pointOf('float64', 'Gone.B')], 'dead'),
    writable: { point: WRITTEN, raws: [7, -32_768] },
    truth: () => (spoilt ? [...truth, null] : truth),
    spoil: () => {
      spoilt = true;
      return POINTS.length;
    },
    change: () => {
      truth[5] = 1234;
      void peer.tell({ what: 'set', node: 'Setpoint', value: 1234 });
      return 5;
    },
    tree: POINTS.map(({ id }) => id),
    silence: relay.silence,
    cut: relay.cut,
    close: relay.close,
  };
}

driverContract('opcua', overRelay, ['subscribe', 'browse']);
