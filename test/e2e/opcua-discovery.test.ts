/** Devices that a server tells of: what they say of themselves, and again when they say something else. */
import { EventEmitter, once } from 'node:events';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { opcua } from '../../drivers/opcua/index.js';
import type { OpcuaConnection } from '../../drivers/opcua/schema.js';
import type { FoundDevice, Session } from '../../src/driver.js';
import { isKind } from '../../src/errors.js';
import { driverContext } from '../support/driver-context.js';
import { makePem, trustingFolder } from '../support/opcua-identity.js';
import { type Peer, startPeer } from '../support/opcua-peer.js';
import { nodeOf } from '../support/opcua-points.js';

let peer: Peer;
let folder: Awaited<ReturnType<typeof trustingFolder>>;
let session: Session;
beforeAll(async () => {
  const identity = await makePem();
  folder = await trustingFolder(identity);
  peer = await startPeer({ identity });
}, 60_000);
afterEach(async () => {
  vi.useRealTimers();
  await session.close();
});
afterAll(async () => {
  await peer.kill();
  folder.done();
});

async function connect(): Promise<Session> {
  const connection = opcua.connection.parse({ endpoint: peer.endpoint }) as OpcuaConnection;
  session = (await opcua.open(connection, driverContext(folder.data))) as Session;
  return session;
}

const PUMP = {
  name: 'Pump',
  settings: { root: nodeOf('Pump') },
  identity: { vendor: 'Acme', model: 'P-7', serial_number: '4711' },
};

test('a device is told by its nameplate, and once more when that has changed', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const told: FoundDevice[] = [];
  const news = new EventEmitter();
  const discovery = await (await connect()).discover?.((device) => {
    told.push(device);
    news.emit('told');
  });
  expect(told).toEqual([PUMP]);
  expect(opcua.device.safeParse(PUMP.settings).success).toBe(true);
  await peer.tell({ what: 'set', node: 'Pump.SerialNumber', value: '4712' });
  const changed = once(news, 'told');
  vi.advanceTimersByTime(600_000);
  await changed;
  expect(told).toEqual([PUMP, { ...PUMP, identity: { ...PUMP.identity, serial_number: '4712' } }]);
  await discovery?.close();
  vi.advanceTimersByTime(1_200_000);
  expect(told).toHaveLength(2);
});

test('on a session that has ended it is an error of kind reconnect', async () => {
  await (await connect()).close();
  const error = await session.discover?.(() => {}).catch((thrown: unknown) => thrown);
  expect(isKind(error, 'reconnect')).toBe(true);
});
