/** Devices that a server tells of: what they say of themselves, and again when they say something else. */
import { EventEmitter, once } from 'node:events';
import { afterEach, expect, test, vi } from 'vitest';
import { opcua } from '../../drivers/opcua/index.js';
import type { FoundDevice } from '../../src/driver.js';
import { isKind } from '../../src/errors.js';
import { opcuaBench } from '../support/opcua-bench.js';
import { nodeOf } from '../support/opcua-points.js';

const bench = opcuaBench();
afterEach(() => void vi.useRealTimers());

const PUMP = {
  name: 'Pump',
  settings: { root: nodeOf('Pump') },
  identity: { vendor: 'Acme', model: 'P-7', serial_number: '4711' },
};

test('a device is told by its nameplate, and once more when that has changed', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const told: FoundDevice[] = [];
  const news = new EventEmitter();
  // The hearts beat by the same timers: seldom, then.
  const session = await bench.connect({ keep_alive: '60s' });
  const discovery = await session.discover?.((device) => {
    told.push(device);
    news.emit('told');
  });
  expect(told).toEqual([PUMP]);
  expect(opcua.device.safeParse(PUMP.settings).success).toBe(true);
  await bench.peer.tell({ what: 'set', node: 'Pump.SerialNumber', value: '4712' });
  const changed = once(news, 'told');
  vi.advanceTimersByTime(600_000);
  await changed;
  expect(told).toEqual([PUMP, { ...PUMP, identity: { ...PUMP.identity, serial_number: '4712' } }]);
  await discovery?.close();
  vi.advanceTimersByTime(1_200_000);
  expect(told).toHaveLength(2);
});

test('on a session that has ended it is an error of kind reconnect', async () => {
  const session = await bench.connect();
  await session.close();
  const error = await session.discover?.(() => {}).catch((thrown: unknown) => thrown);
  expect(isKind(error, 'reconnect')).toBe(true);
});
