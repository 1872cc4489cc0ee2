/** `tidegate outbox` beside a gateway that runs: what it has in memory only is seen, too. */

import { expect, onTestFinished, test, vi } from 'vitest';
import { readOutboxStatus } from '../../src/delivery/status.js';
import { startGateway } from '../../src/gateway.js';
import { Database } from '../../src/ops/sqlite.js';
import { loadSite } from '../../src/site.js';
import { run } from '../support/command.js';
import { CountingDevice } from '../support/counting-device.js';
import { writeCountingSite } from '../support/counting-site.js';
import { silent, temporaryFolder } from '../support/upstream.js';

/** Devices of the site, each with the news that it is there. */
const DEVICES = 5;

/** A gateway without a broker that has accepted some events, and will not write them by itself for a long time. */
async function holding(): Promise<{ folder: string; numbers: number[] }> {
  const device = await CountingDevice.start();
  onTestFinished(() => device.stop());
  const folder = temporaryFolder();
  const site = { folder, device: device.port, url: 'mqtt://127.0.0.1:9', connection: { timeout: '60s' } };
  const file = writeCountingSite({ ...site, upstream: { buffer: { flush: '60s', live_for: '60s' } } });
  const gateway = await startGateway(await loadSite(file), { log: silent });
  onTestFinished(() => gateway.stop());
  await vi.waitFor(() => expect(device.shown.length).toBeGreaterThan(50), 5_000);
  device.hold();
  const accepted = () => gateway.snapshot().upstreams[0]?.accepted;
  await vi.waitFor(() => expect(accepted()).toBe(device.shown.length + DEVICES), 5_000);
  return { folder, numbers: device.shown.map(({ n }) => n) };
}

test('export writes what the gateway has in memory only', async () => {
  const { folder, numbers } = await holding();
  expect(await readOutboxStatus(folder)).toMatchObject([{ backlog: 0 }]);
  const { code, stdout } = await run(['outbox', 'export', '--lane', 'live'], { cwd: folder });
  expect(code).toBe(0);
  const lines = stdout.trimEnd().split('\n');
  expect(lines.map((line) => (JSON.parse(line) as { values: { n: number } }).values.n)).toEqual(numbers);
});

test('peek says how much the disk of the gateway does not take', async () => {
  const { folder, numbers } = await holding();
  const thief = new Database(`${folder}/outbox/cloud.sqlite`);
  thief.exec('BEGIN IMMEDIATE');
  onTestFinished(() => void thief.close());
  const { code, stdout, stderr } = await run(['outbox', 'peek'], { cwd: folder });
  thief.exec('ROLLBACK');
  expect([code, stdout]).toEqual([0, 'Nothing is kept.\n']);
  expect(stderr).toBe(
    `cloud: ${numbers.length + DEVICES} more in the memory of the gateway: its disk does not take them.\n`,
  );
});
