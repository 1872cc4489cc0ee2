/** What a start does first: the promise holds for all that is read, so nothing is read before there is an outbox that keeps it. */
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';
import { type Gateway, startGateway } from '../../src/gateway.js';
import { Database } from '../../src/ops/sqlite.js';
import { loadSite } from '../../src/site.js';
import { TestBroker } from '../support/broker.js';
import { CountingDevice } from '../support/counting-device.js';
import { writeCountingSite } from '../support/counting-site.js';
import { silent, temporaryFolder } from '../support/upstream.js';

/** The unit that only the test asks. */
const OURS = 200;

async function scene() {
  const [cloud, device] = [await TestBroker.start(), await CountingDevice.start()];
  onTestFinished(() => cloud.down());
  onTestFinished(() => device.stop());
  const folder = temporaryFolder();
  mkdirSync(`${folder}/outbox`);
  const site = await loadSite(writeCountingSite({ folder, device: device.port, url: cloud.url }));
  const thief = new Database(`${folder}/outbox/cloud.sqlite`);
  onTestFinished(() => void thief.close());
  const start = (): Promise<Gateway> => startGateway(site, { log: silent });
  return { cloud, device, folder, thief, start };
}

/** Asks the device so often, one question after the other: whoever else wanted to ask it had all the time. */
async function ask(device: CountingDevice, times: number): Promise<void> {
  const socket = connect(device.port, '127.0.0.1');
  for (let n = 0; n < times; n++) {
    socket.write(Buffer.from([0, n, 0, 0, 0, 6, OURS, 3, 0, 0, 0, 2]));
    await once(socket, 'data');
  }
  socket.destroy();
}

const read = (device: CountingDevice) => device.shown.filter(({ unit }) => unit !== OURS);

test('wires are opened while an outbox is still being opened; nothing is read before, and the first that is read arrives', async () => {
  const { cloud, device, thief, start } = await scene();
  thief.exec('BEGIN EXCLUSIVE');
  const starting = start();
  await vi.waitFor(() => expect(device.connections).toBe(1), 4_000);
  await ask(device, 100);
  expect(read(device)).toEqual([]);

  thief.exec('ROLLBACK');
  const gateway = await starting;
  onTestFinished(() => gateway.stop());
  const n = (): unknown[] => cloud.json<{ values?: { n?: number } }>('/telemetry').map(({ values }) => values?.n);
  await cloud.until(() => n().includes(read(device)[0]?.n));
});

test('an outbox that cannot be opened ends the start, with nothing read', async () => {
  const { device, folder, thief, start } = await scene();
  thief.pragma('user_version = 99');
  await expect(start()).rejects.toMatchObject({ code: 'OUTBOX_OPEN', message: expect.stringContaining(folder) });
  expect(read(device)).toEqual([]);
});
