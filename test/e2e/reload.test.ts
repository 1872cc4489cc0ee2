import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { readOutboxStatus } from '../../src/delivery/status.js';
import type { TidegateError } from '../../src/errors.js';
import { type Gateway, startGateway } from '../../src/gateway.js';
import { TestBroker } from '../support/broker.js';
import { CountingDevice } from '../support/counting-device.js';
import { judge } from '../support/ledger.js';
import { ScriptedBroker } from '../support/scripted-broker.js';
import { meterProfile, SiteFolder, type Written } from '../support/site-folder.js';
import { silent } from '../support/upstream.js';

/** Milliseconds between two polls of what must not be disturbed. */
const EVERY = 300;

let folder: SiteFolder;
let kept: CountingDevice;
let other: CountingDevice;
beforeEach(async () => {
  folder = new SiteFolder();
  folder.write('device-profiles/test/meter.yaml', meterProfile('test/meter', `${EVERY}ms`));
  folder.write('device-profiles/test/other.yaml', meterProfile('test/other', '20ms'));
  [kept, other] = [await CountingDevice.start(), await CountingDevice.start()];
  onTestFinished(() => [kept, other].forEach((device) => void device.stop()));
});

async function broker(): Promise<TestBroker> {
  const started = await TestBroker.start();
  onTestFinished(() => started.down());
  return started;
}

async function running(written: Written): Promise<Gateway> {
  const gateway = await startGateway(await folder.load(written), { log: silent });
  onTestFinished(() => gateway.stop());
  return gateway;
}

const modbus = (device: CountingDevice, more: object = {}) => ({
  driver: 'modbus',
  tcp: `127.0.0.1:${device.port}`,
  ...more,
});
const meter = (connection: string, unit: number, more: object = {}) => ({
  profile: 'test/meter',
  connection,
  unit,
  ...more,
});
const other1 = { profile: 'test/other', connection: 'other', unit: 1 };
const upstream = (to: TestBroker, more: object = {}) => ({
  url: to.url,
  version: '3.1.1',
  reconnect: { min: '10ms', max: '40ms' },
  ...more,
});

/** What a gateway is asked to take up. */
function reload(gateway: Gateway, written: Written) {
  folder.say(written);
  return gateway.reload({ by: 'request' });
}

/** What arrived of a device. */
const telemetry = (cloud: TestBroker, device: string) =>
  cloud.received.filter(({ topic }) => topic === `tidegate/g/${device}/telemetry`);
const numbers = (cloud: TestBroker, device: string) =>
  telemetry(cloud, device).map(({ payload }) => (JSON.parse(payload) as { values: { n: number } }).values.n);

test('twenty reloads of everything else: not one poll more or less, no connection, no event out of its place', async () => {
  const [cloud, elsewhere] = [await broker(), await broker()];
  const base = {
    connections: { bus: modbus(kept), other: modbus(other) },
    devices: { a: meter('bus', 1), c: other1 },
    upstreams: { cloud: upstream(cloud), site: upstream(elsewhere) },
  } satisfies Written;
  const gateway = await running(base);
  await cloud.until(() => telemetry(cloud, 'a').length > 2);
  const steps: Written[] = [
    { ...base, devices: { ...base.devices, d: { ...other1, unit: 2 } } },
    { ...base, devices: { a: base.devices.a, late: { ...other1, unit: 9 } } },
    { ...base, connections: { bus: base.connections.bus, other: modbus(other, { timeout: '2s' }) } },
    { ...base, upstreams: { cloud: base.upstreams.cloud, site: upstream(elsewhere, { client_id: 'another' }) } },
    { ...base, upstreams: { cloud: base.upstreams.cloud, more: upstream(elsewhere) } },
  ];
  for (let round = 0; round < 20; round++) {
    const { changes } = await reload(gateway, steps[round % steps.length] as Written);
    expect(changes.connections.changed).not.toHaveProperty('bus');
    expect(Object.values(changes).some(({ untouched, added }) => untouched + added.length > 0)).toBe(true);
    const [mine, others] = [kept.shown.length, other.shown.length];
    await vi.waitFor(
      () => expect([kept.shown.length > mine, other.shown.length > others]).toEqual([true, true]),
      10_000,
    );
  }
  await gateway.stop();

  expect(kept.connections).toBe(1);
  // The first read comes beside the schedule.
  const times = kept.shown.slice(1).map(({ at }) => at);
  expect(times.length).toBe(Math.round(((times.at(-1) as number) - (times[0] as number)) / EVERY) + 1);
  const shown = kept.shown.map(({ n }) => n);
  // The last of them may be on disk.
  const waiting = (await readOutboxStatus(join(folder.path, 'data'))).find(({ id }) => id === 'cloud');
  const verdict = judge(telemetry(cloud, 'a'), shown.slice(0, shown.length - 1 - (waiting?.backlog ?? 0)));
  expect(verdict).toMatchObject({ lost: [], duplicates: 0, outOfOrder: [], reused: [] });
  // Each connection begins with a birth.
  expect(cloud.json<{ state: string }>('g/status').map(({ state }) => state)).toEqual(['online', 'offline']);
});

describe('an upstream', () => {
  const devices = { a: other1 };

  test.each(['gone', 'silent'])(
    'that is pointed elsewhere, away from a broker that is %s, takes along what waits, in its order',
    async (how) => {
      const [gone, cloud] = [await ScriptedBroker.start({ publish: () => 'silence' }), await broker()];
      onTestFinished(() => gone.stop());
      const { url } = gone;
      if (how === 'gone') gone.stop();
      const site = { connections: { other: modbus(other) }, devices };
      const buffer = { flush: '100ms', live_for: '200ms' };
      const before = { ...upstream(cloud), url, buffer };
      const gateway = await running({ ...site, upstreams: { cloud: before } });
      await vi.waitFor(() => {
        const { live = 0, backlog = 0 } = gateway.snapshot().upstreams[0]?.waiting ?? {};
        expect(live + backlog).toBeGreaterThan(50);
      }, 10_000);
      expect(gone.published.length > 0).toBe(how === 'silent');
      const { changes } = await reload(gateway, {
        ...site,
        upstreams: { cloud: upstream(cloud, { buffer }) },
      });
      expect(changes.upstreams.changed).toEqual({ cloud: ['url'] });
      const { length } = other.shown;
      const shown = other.shown.map(({ n }) => n);
      await cloud.until(() => {
        const arrived = new Set(numbers(cloud, 'a'));
        return arrived.has(length + 1) && shown.every((n) => arrived.has(n));
      });
      await gateway.stop();
      expect(judge(telemetry(cloud, 'a'), shown)).toMatchObject({ lost: [], outOfOrder: [], reused: [] });
      expect(
        new Set(telemetry(cloud, 'a').map(({ payload }) => (JSON.parse(payload) as { id: string }).id.split(':')[1]))
          .size,
      ).toBe(1);
    },
  );

  test('whose link is opened anew sends nothing twice, while its broker is there', async () => {
    const cloud = await broker();
    const site = { connections: { other: modbus(other) }, devices };
    const gateway = await running({ ...site, upstreams: { cloud: upstream(cloud) } });
    for (const client of ['a', 'b', 'c', 'd', 'e']) {
      const { length } = numbers(cloud, 'a');
      await cloud.until(() => numbers(cloud, 'a').length > length + 10);
      await reload(gateway, { ...site, upstreams: { cloud: upstream(cloud, { client_id: client }) } });
    }
    const last = other.shown.length;
    await cloud.until(() => numbers(cloud, 'a').some((n) => n > last));
    const shown = other.shown.map(({ n }) => n).filter((n) => n <= last);
    expect(judge(telemetry(cloud, 'a'), shown)).toMatchObject({ lost: [], duplicates: 0, outOfOrder: [] });
    expect(cloud.json<{ state: string }>('g/status').filter(({ state }) => state === 'online')).toHaveLength(6);
  });

  test('that is gone keeps its file; when it is back, all of it arrives', async () => {
    const [cloud, site] = [await broker(), await broker()];
    await cloud.down();
    const both = {
      connections: { other: modbus(other) },
      devices,
      upstreams: { cloud: upstream(cloud), site: upstream(site) },
    };
    const gateway = await running(both);
    await site.until(() => numbers(site, 'a').length > 20);
    await reload(gateway, { ...both, upstreams: { site: both.upstreams.site } });
    expect(gateway.snapshot().upstreams.map(({ id }) => id)).toEqual(['site']);
    const before = other.shown.length;
    expect(existsSync(join(folder.path, 'data/outbox/cloud.sqlite'))).toBe(true);
    const { length } = numbers(site, 'a');
    await site.until(() => numbers(site, 'a').length > length + 20);

    await reload(gateway, both);
    const back = other.shown.length;
    await cloud.up();
    await cloud.until(() => numbers(cloud, 'a').some((n) => n > back) && numbers(cloud, 'a').some((n) => n < before));
    await vi.waitFor(() => expect(gateway.snapshot().upstreams[0]?.waiting.backlog).toBe(0), 10_000);
    await gateway.stop();
    // What was read in between was not for it.
    const mine = other.shown
      .map(({ n }) => n)
      .filter((n) => n < before - 2 || (n > back + 2 && n < other.shown.length - 20));
    expect(judge(telemetry(cloud, 'a'), mine)).toMatchObject({ lost: [], outOfOrder: [], reused: [] });
    expect(numbers(cloud, 'a').filter((n) => n > before + 2 && n < back - 2)).toEqual([]);
  });

  test('gets by with less room from the moment on that it is told', async () => {
    const cloud = await broker();
    await cloud.down();
    const site = { connections: { other: modbus(other) }, devices };
    const buffer = { flush: '40ms', live_for: '40ms', when_full: { live: 'drop-oldest' } };
    const gateway = await running({ ...site, upstreams: { cloud: upstream(cloud, { buffer }) } });
    const status = () => gateway.snapshot().upstreams[0];
    await vi.waitFor(() => expect(status()?.waiting.backlog).toBeGreaterThan(100), 10_000);
    expect(status()?.dropped).toBe(0);
    await reload(gateway, {
      ...site,
      upstreams: { cloud: upstream(cloud, { buffer: { ...buffer, size: '1MB', age: '1s' } }) },
    });
    await vi.waitFor(() => expect(status()?.dropped).toBeGreaterThan(20), 20_000);
    const { accepted, waiting, ...ends } = gateway.snapshot().upstreams[0]?.accounts.live ?? {
      accepted: -1,
      waiting: 0,
    };
    expect(Object.values(ends).reduce((sum, count) => sum + count, waiting)).toBe(accepted);
    expect(ends).toMatchObject({ expired: expect.any(Number), dropped: 0 });
  });
});

describe('what cannot be taken up changes nothing:', () => {
  const written = () => ({
    connections: { bus: modbus(kept), other: modbus(other) },
    devices: { a: meter('bus', 1), c: other1 },
  });

  test('an outbox that cannot be opened', async () => {
    const cloud = await broker();
    const base = { ...written(), upstreams: { cloud: upstream(cloud) } };
    const gateway = await running(base);
    await cloud.until(() => telemetry(cloud, 'c').length > 3);
    mkdirSync(join(folder.path, 'data/outbox/bad.sqlite'));
    const wanted = {
      ...base,
      devices: { a: base.devices.a },
      upstreams: { good: upstream(cloud), bad: upstream(cloud) },
    };
    await expect(reload(gateway, wanted)).rejects.toMatchObject({ code: 'OUTBOX_OPEN' });
    const { length } = telemetry(cloud, 'c');
    await cloud.until(() => telemetry(cloud, 'c').length > length + 3);
    const { devices, upstreams } = gateway.snapshot();
    expect([devices.map(({ id }) => id), upstreams.map(({ id }) => id)]).toEqual([['a', 'c'], ['cloud']]);
    expect([kept.connections, other.connections]).toEqual([1, 1]);
    // And once it can be, it is.
    const { changes } = await reload(gateway, { ...wanted, upstreams: { good: upstream(cloud) } });
    expect(changes.upstreams).toMatchObject({ added: ['good'], removed: ['cloud'] });
  });

  test('a mistake, as `check` tells it', async () => {
    const gateway = await running(written());
    const before = gateway.snapshot().devices;
    folder.say({ ...written(), devices: { a: { profile: 'test/metre', connection: 'bus' } } });
    const error = (await gateway.reload({ by: 'request' }).catch((cause: unknown) => cause)) as {
      errors: TidegateError[];
    };
    expect(error.errors).toMatchObject([
      { code: 'CONFIG_UNKNOWN_NAME', place: { text: expect.stringContaining('metre') } },
    ]);
    expect(gateway.snapshot().devices.map(({ id }) => id)).toEqual(before.map(({ id }) => id));
  });

  test('a dry run', async () => {
    const gateway = await running(written());
    folder.say({ ...written(), devices: { a: meter('bus', 2) } });
    const report = await gateway.reload({ by: 'request', dryRun: true });
    expect(report).toMatchObject({
      dryRun: true,
      changes: { devices: { changed: { a: ['settings'] }, removed: ['c'] } },
    });
    expect(gateway.snapshot().devices.map(({ id }) => id)).toEqual(['a', 'c']);
  });
});

test('reloads take turns, the last one holds, and none is begun once the gateway stops', async () => {
  const cloud = await broker();
  const base = {
    connections: { bus: modbus(kept) },
    devices: { a: meter('bus', 1) },
    upstreams: { cloud: upstream(cloud) },
  };
  const gateway = await running(base);
  folder.say({ ...base, devices: { b: meter('bus', 2) } });
  const first = gateway.reload({ by: 'request' });
  const second = gateway.reload({ by: 'signal' });
  expect((await first).changes.devices).toMatchObject({ added: ['b'], removed: ['a'] });
  expect((await second).changes.devices).toMatchObject({ added: [], removed: [], untouched: 1 });
  folder.say(base);
  const third = gateway.reload({ by: 'request' });
  const stopped = gateway.stop();
  // Asked in time: done in full, or not at all.
  await third.then(
    ({ changes }) => expect(changes.devices.added).toEqual(['a']),
    (error) => expect(error).toMatchObject({ code: 'GATEWAY_GONE' }),
  );
  await stopped;
  await expect(gateway.reload({ by: 'request' })).rejects.toMatchObject({ code: 'GATEWAY_GONE' });
});
