import { expect, onTestFinished, test, vi } from 'vitest';
import { startGateway } from '../../src/gateway.js';
import { loadSite } from '../../src/site.js';
import type { Snapshot } from '../../src/snapshot.js';
import { TestBroker } from '../support/broker.js';
import { CountingDevice } from '../support/counting-device.js';
import { random } from '../support/random.js';
import { randomSite, writeSite } from '../support/random-site.js';
import { SiteFolder } from '../support/site-folder.js';
import { silent } from '../support/upstream.js';

const SITES = Number(process.env.SITES ?? 12);
const SEED = Number(process.env.SEED ?? 1);

/** What a gateway says that it runs. */
function shape({ devices, upstreams }: Snapshot) {
  return {
    devices: devices.map(({ id, profile, connection, state, points }) => [
      id,
      profile,
      connection,
      state,
      points.map((point) => point.id),
    ]),
    upstreams: upstreams.map(({ id, link }) => [id, link]),
  };
}

test(`a gateway that was changed ${SITES} times at random does what each site says, and nothing else`, async () => {
  const draw = random(SEED);
  const cloud = await TestBroker.start();
  onTestFinished(() => cloud.down());
  const wires = [await CountingDevice.start(), await CountingDevice.start()];
  onTestFinished(() => wires.forEach((wire) => void wire.stop()));
  const around = { ports: wires.map(({ port }) => port), url: cloud.url };
  const folder = new SiteFolder();
  writeSite(folder, randomSite(draw, around));
  const gateway = await startGateway(await loadSite(folder.file), { log: silent });
  onTestFinished(() => gateway.stop());

  for (let round = 0; round < SITES; round++) {
    const site = randomSite(draw, around);
    writeSite(folder, site);
    await gateway.reload({ by: 'request' });
    const fresh = {
      devices: Object.keys(site.polled),
      upstreams: Object.keys(site.written.upstreams ?? {}),
    };
    await vi.waitFor(() => {
      const { devices, upstreams } = shape(gateway.snapshot());
      expect(devices.map(([id, , , state]) => [id, state])).toEqual(fresh.devices.map((id) => [id, 'online']));
      expect(upstreams).toEqual(fresh.upstreams.map((id) => [id, 'online']));
    }, 10_000);
    // From here on all that is polled and sent is this site's.
    const from = wires.map(({ shown }) => shown.length);
    const received = cloud.received.length;
    const polled = () =>
      wires.flatMap((wire, index) => wire.shown.slice(from[index]).map(({ unit }) => `${wire.port} ${unit}`));
    const sent = () =>
      cloud.received
        .slice(received)
        .flatMap(({ topic, payload }) =>
          topic.startsWith('t/') && (JSON.parse(payload) as { late?: true }).late !== true ? [topic.slice(2)] : [],
        );
    const wanted = [...new Set(Object.values(site.polled).map((place) => place.join(' ')))].sort();
    await vi.waitFor(() => {
      expect([...new Set(polled())].sort()).toEqual(wanted);
      expect([...new Set(sent())].sort()).toEqual(site.sent);
    }, 10_000);
  }
});
