/** Upstreams are added, removed, renamed and pointed elsewhere in gateway.yaml: no event of another is touched, and none is forgotten. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { type Gateway, startGateway } from '../../src/gateway.js';
import { lockData } from '../../src/ops/lock.js';
import type { UpstreamStatus } from '../../src/snapshot.js';
import { TestBroker } from '../support/broker.js';
import { run, start } from '../support/command.js';
import { CountingDevice } from '../support/counting-device.js';
import { judge } from '../support/ledger.js';
import { ScriptedBroker } from '../support/scripted-broker.js';
import { meterProfile, SiteFolder, type Written } from '../support/site-folder.js';

const NOBODY = 'mqtt://127.0.0.1:1';

let folder: SiteFolder;
let device: CountingDevice;
let logged: { msg: string; upstream?: string; [key: string]: unknown }[];
beforeEach(async () => {
  folder = new SiteFolder();
  folder.write('device-profiles/test/meter.yaml', meterProfile('test/meter', '10ms'));
  device = await CountingDevice.start();
  onTestFinished(() => device.stop());
  logged = [];
});

/** Starts the gateway with these upstreams, by the address of their broker. */
async function gatewayTo(upstreams: Record<string, string>, more: object = {}): Promise<Gateway> {
  const site = await folder.load({
    connections: { bus: { driver: 'modbus', tcp: `127.0.0.1:${device.port}` } },
    devices: { a: { profile: 'test/meter', connection: 'bus', unit: 1 } },
    upstreams: Object.fromEntries(
      Object.entries(upstreams).map(([id, url]) => [
        id,
        {
          url,
          version: 'auto',
          buffer: { flush: '40ms', live_for: '40ms' },
          reconnect: { min: '10ms', max: '40ms' },
          ...more,
        },
      ]),
    ),
  });
  const log = pino({ level: 'info' }, { write: (line: string) => void logged.push(JSON.parse(line)) });
  const gateway = await startGateway(site, { log });
  onTestFinished(() => gateway.stop());
  return gateway;
}

async function broker(): Promise<TestBroker> {
  const started = await TestBroker.start();
  onTestFinished(() => started.down());
  return started;
}

/** Runs a gateway until so many events wait for an upstream that cannot be reached, and the news that its device is there. Gives the numbers that wait. */
async function outage(id: string, events = 40): Promise<number[]> {
  const gateway = await gatewayTo({ [id]: NOBODY });
  const waits = () => gateway.snapshot().upstreams[0]?.waiting.backlog ?? 0;
  await vi.waitFor(() => expect(waits()).toBeGreaterThan(events), 5000);
  await gateway.stop();
  const { stdout } = await outbox('export', '--upstream', id, '--lane', 'live');
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { values: { n: number } }).values.n);
}

const outbox = (...words: string[]) => run(['outbox', ...words], { cwd: folder.path });
const fileOf = (id: string) => join(folder.path, `data/outbox/${id}.sqlite`);
const telemetry = (cloud: TestBroker) => cloud.received.filter(({ topic }) => topic === 'tidegate/g/a/telemetry');
const numbers = (cloud: TestBroker) =>
  telemetry(cloud).map(({ payload }) => (JSON.parse(payload) as { values: { n: number } }).values.n);
const warnings = (id: string) =>
  logged.filter(({ msg, upstream }) => upstream === id && msg.includes('not in gateway.yaml'));

describe('an upstream that is', () => {
  test('added leaves those of others alone, and gets what comes from now on', async () => {
    const waiting = await outage('cloud');
    const site = await broker();
    const cloud = await broker();
    const gateway = await gatewayTo({ site: site.url, cloud: cloud.url });
    await vi.waitFor(() => expect(numbers(cloud)).toEqual(expect.arrayContaining(waiting)), 5000);
    await site.until(() => numbers(site).length > 5);
    await gateway.stop();
    expect(judge(telemetry(cloud), waiting)).toMatchObject({ lost: [], duplicates: 0, outOfOrder: [] });
    expect(numbers(site).filter((n) => waiting.includes(n))).toEqual([]);
    expect(logged.filter(({ msg }) => msg.includes('not in gateway.yaml'))).toEqual([]);
  });

  test('removed keeps its file, and is named in the log, in status and in snapshots, until it is back', async () => {
    const waiting = await outage('cloud');
    const site = await broker();
    const gateway = await gatewayTo({ site: site.url });
    expect(warnings('cloud')).toMatchObject([
      { level: 40, file: fileOf('cloud'), backlog: waiting.length, rejected: 0 },
    ]);
    expect(warnings('cloud')[0]?.msg).toContain('tidegate outbox');
    expect(gateway.snapshot().orphans).toMatchObject([{ id: 'cloud', backlog: waiting.length, alarm: 1 }]);
    const status = JSON.parse((await outbox('status', '--json')).stdout) as { running: boolean; outboxes: object[] };
    expect(status).toMatchObject({
      running: true,
      outboxes: [
        { id: 'site', configured: true },
        { id: 'cloud', configured: false, backlog: waiting.length },
      ],
    });
    expect((await outbox('status')).stdout).toMatch(/^cloud +not in gateway\.yaml /m);
    expect((await outbox('peek', '--upstream', 'cloud', '-n', '1')).stdout).toMatch(/a: n \d+$/m);
    await site.until(() => numbers(site).length > 5);
    await gateway.stop();
    expect((await outbox('status')).stdout).toMatch(/^cloud +not in gateway\.yaml /m);

    const cloud = await broker();
    await gatewayTo({ site: site.url, cloud: cloud.url });
    await vi.waitFor(() => expect(numbers(cloud)).toEqual(expect.arrayContaining(waiting)), 5000);
    expect(judge(telemetry(cloud), waiting)).toMatchObject({ lost: [], duplicates: 0, outOfOrder: [], reused: [] });
  });

  test('renamed is another one: what waited for the former stays, and is named', async () => {
    const waiting = await outage('cloud');
    const cloud = await broker();
    const gateway = await gatewayTo({ edge: cloud.url });
    await cloud.until(() => numbers(cloud).length > 5);
    await gateway.stop();
    expect(warnings('cloud')).toHaveLength(1);
    expect(numbers(cloud).filter((n) => waiting.includes(n))).toEqual([]);
    expect((await outbox('export', '--upstream', 'cloud', '--lane', 'live')).stdout.trimEnd().split('\n')).toHaveLength(
      waiting.length,
    );
  });

  test('pointed elsewhere takes along what waits', async () => {
    const waiting = await outage('cloud');
    const elsewhere = await broker();
    await gatewayTo({ cloud: elsewhere.url });
    await vi.waitFor(() => expect(numbers(elsewhere)).toEqual(expect.arrayContaining(waiting)), 5000);
    expect(judge(telemetry(elsewhere), waiting)).toMatchObject({ lost: [], duplicates: 0, outOfOrder: [] });
    expect(warnings('cloud')).toEqual([]);
  });
});

test('an upstream that a reload removes is named from then on, until another brings it back', async () => {
  const gateway = await gatewayTo({ cloud: NOBODY, site: NOBODY });
  await vi.waitFor(() => expect(gateway.snapshot().upstreams[0]?.waiting.backlog).toBeGreaterThan(5), 5000);
  const { upstreams, ...rest } = JSON.parse(readFileSync(folder.file, 'utf8')) as Written;
  const { cloud, ...others } = upstreams ?? {};
  folder.say({ ...rest, upstreams: others });
  await gateway.reload({ by: 'request' });
  expect(gateway.snapshot().orphans).toMatchObject([{ id: 'cloud', backlog: expect.any(Number) }]);
  expect(warnings('cloud')).toHaveLength(1);
  folder.say({ ...rest, upstreams: { ...others, ...(cloud && { cloud }) } });
  await gateway.reload({ by: 'request' });
  expect(gateway.snapshot().orphans).toEqual([]);
});

/** `tidegate run` as a process that can be killed; resolves once so many events of a kind are there. */
async function gatewayProcess(kind: 'backlog' | 'rejected', count: number): Promise<() => Promise<unknown>> {
  const process = start(['run'], { cwd: folder.path });
  onTestFinished(() => void process.child.kill('SIGKILL'));
  await process.seen(/gateway started/);
  const status = async () =>
    (JSON.parse((await outbox('status', '--json')).stdout) as { outboxes: Record<typeof kind, number>[] }).outboxes[0];
  await vi.waitFor(async () => expect((await status())?.[kind]).toBeGreaterThan(count), {
    timeout: 10_000,
    interval: 100,
  });
  return () => {
    process.child.kill('SIGKILL');
    return process.finished;
  };
}

describe('kill -9', () => {
  test('after a requeue: what was taken back arrives, once', async () => {
    const refusing = await ScriptedBroker.start({
      publish: (_, { topic }) => ({ reasonCode: topic.endsWith('telemetry') ? 0x90 : 0 }),
    });
    onTestFinished(() => refusing.stop());
    await (await gatewayTo({ cloud: refusing.url })).stop();
    const kill = await gatewayProcess('rejected', 20);
    // Nothing is refused any more, nor taken.
    refusing.stop();
    const { stdout } = await outbox('export', '--lane', 'rejected');
    const refused = stdout
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { values: { n: number } }).values.n);
    expect((await outbox('requeue')).stdout).toContain('are back in the outbox');
    await kill();
    const cloud = await broker();
    const gateway = await gatewayTo({ cloud: cloud.url });
    await vi.waitFor(() => expect(numbers(cloud)).toEqual(expect.arrayContaining(refused)), 10_000);
    expect(judge(telemetry(cloud), refused)).toMatchObject({ lost: [], duplicates: 0, outOfOrder: [], reused: [] });
    expectBalance(gateway.snapshot().upstreams[0]?.accounts);
  });

  test('after a purge: what was removed does not come back, and is told', async () => {
    await (await gatewayTo({ cloud: NOBODY })).stop();
    const kill = await gatewayProcess('backlog', 50);
    const last = device.shown.length;
    const removed = Number(/removed (\d+) live/.exec((await outbox('purge', '--lane', 'live', '--yes')).stdout)?.[1]);
    expect(removed).toBeGreaterThan(50);
    await kill();
    const cloud = await broker();
    const gateway = await gatewayTo({ cloud: cloud.url });
    await vi.waitFor(() => {
      const gaps = cloud.json<{ gap: { cause: string; count: number } }>('g/gap').map(({ gap }) => gap);
      expect(gaps.filter(({ cause }) => cause === 'purged').reduce((sum, { count }) => sum + count, 0)).toBe(removed);
    }, 10_000);
    expect(numbers(cloud).filter((n) => n < last)).toEqual([]);
    expectBalance(gateway.snapshot().upstreams[0]?.accounts);
  });
});

/** In each lane, each event that was accepted is somewhere. */
function expectBalance(accounts: UpstreamStatus['accounts'] | undefined): void {
  for (const { accepted, ...places } of Object.values(accounts ?? {}))
    expect(Object.values(places).reduce((sum, count) => sum + count, 0)).toBe(accepted);
}

describe('purge', () => {
  test.skipIf(process.platform !== 'linux')('asks at a terminal, and does what is answered', async () => {
    const waiting = await outage('cloud');
    const main = fileURLToPath(new URL('../../src/main.js', import.meta.url));
    /** script(1) is a terminal for it. */
    const ask = (answer: string): Promise<string> =>
      new Promise((resolve) => {
        const command = `"${process.execPath}" "${main}" outbox purge`;
        const child = spawn('script', ['-qec', command, '/dev/null'], { cwd: folder.path });
        let shown = '';
        child.stdout.setEncoding('utf8').on('data', (text: string) => {
          if (!shown.includes('[y/N]') && (shown + text).includes('[y/N]')) child.stdin.write(`${answer}\n`);
          shown += text;
        });
        child.on('close', () => resolve(shown));
      });
    const no = await ask('');
    expect(no).toContain(`cloud: 1 alarm, ${waiting.length} live, 0 rejected`);
    expect(no).toContain('Nothing was removed.');
    expect(await ask('y')).toContain(`cloud: removed 1 alarm, ${waiting.length} live, 0 rejected.`);
  });

  test('of a removed upstream, by the running gateway: its file goes, nothing else', async () => {
    const waiting = await outage('cloud');
    const gateway = await gatewayTo({ site: NOBODY });
    await vi.waitFor(() => expect(gateway.snapshot().upstreams[0]?.waiting.backlog).toBeGreaterThan(5), 5000);
    const refused = await outbox('purge', '--upstream', 'cloud');
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes') });
    expect(gateway.snapshot().orphans).toHaveLength(1);
    const { code, stdout } = await outbox('purge', '--upstream', 'cloud', '--yes');
    expect([code, stdout]).toEqual([
      0,
      `cloud: removed 1 alarm, ${waiting.length} live, 0 rejected; its file is gone.\n`,
    ]);
    expect(existsSync(fileOf('cloud'))).toBe(false);
    expect(gateway.snapshot()).toMatchObject({ orphans: [], upstreams: [{ id: 'site', dropped: 0 }] });
    expect(await outbox('purge', '--upstream', 'cloud', '--yes')).toMatchObject({ code: 2 });
  });

  test('of a removed upstream, while none runs; a lane alone leaves the file', async () => {
    const waiting = await outage('cloud');
    await folder.load({ upstreams: {} });
    expect(await outbox('purge', '--lane', 'alarm', '--yes')).toMatchObject({ stdout: 'cloud: removed 1 alarm.\n' });
    expect(existsSync(fileOf('cloud'))).toBe(true);
    expect(await outbox('purge', '--yes')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('its file is gone'),
    });
    expect(existsSync(fileOf('cloud'))).toBe(false);
    expect(waiting.length).toBeGreaterThan(0);
    expect(await outbox('purge', '--yes')).toMatchObject({ code: 0, stdout: 'Nothing to purge.\n' });
  });

  test('of an upstream that waits, by the running gateway: the broker is told', async () => {
    const cloud = await broker();
    await cloud.down();
    const gateway = await gatewayTo({ cloud: cloud.url });
    const status = () => gateway.snapshot().upstreams[0];
    await vi.waitFor(() => expect(status()?.waiting.backlog).toBeGreaterThan(20), 5000);
    const { stdout } = await outbox('purge', '--lane', 'live', '--yes');
    const removed = Number(/^cloud: removed (\d+) live\.$/m.exec(stdout)?.[1]);
    expect(removed).toBeGreaterThan(20);
    expect(status()?.accounts?.live.purged).toBe(removed);
    await cloud.up();
    const told = () => cloud.json<{ gap: { cause: string; count: number } }>('g/gap').map(({ gap }) => gap);
    await vi.waitFor(() => expect(told().reduce((sum, { count }) => sum + count, 0)).toBe(removed), 5000);
    expect(told().every(({ cause }) => cause === 'purged')).toBe(true);
  });

  test('while a gateway runs that cannot be asked changes nothing: exit code 4', async () => {
    const waiting = await outage('cloud');
    const lock = await lockData(join(folder.path, 'data'));
    expect(await outbox('purge', '--yes')).toMatchObject({ code: 4, stderr: expect.stringContaining('DATA_IN_USE') });
    lock.release();
    expect((await outbox('export', '--lane', 'live')).stdout.trimEnd().split('\n')).toHaveLength(waiting.length);
  });
});

describe('requeue', () => {
  /** A broker that refuses readings until it is told otherwise. */
  async function refusing(right: { granted: boolean }): Promise<ScriptedBroker> {
    const started = await ScriptedBroker.start({
      publish: (_, { topic }) => ({ reasonCode: topic.endsWith('telemetry') && !right.granted ? 0x90 : 0 }),
    });
    onTestFinished(() => started.stop());
    return started;
  }

  const told = (cloud: ScriptedBroker, from: number) =>
    cloud.published
      .slice(from)
      .filter(({ topic }) => topic.endsWith('telemetry'))
      .map(({ payload }) => JSON.parse(payload) as { late?: true; values: { n: number } });

  test.each(['by the running gateway', 'while none runs'])(
    '%s: what was refused arrives once the broker takes it',
    async (how) => {
      const right = { granted: false };
      const cloud = await refusing(right);
      const gateway = await gatewayTo({ cloud: cloud.url });
      await vi.waitFor(() => expect(gateway.snapshot().upstreams[0]?.rejections?.kept).toBeGreaterThan(20), 5000);
      if (how === 'while none runs') await gateway.stop();
      const { stdout: exported } = await outbox('export', '--lane', 'rejected');
      const refused = exported
        .trimEnd()
        .split('\n')
        .map((line) => (JSON.parse(line) as { values: { n: number } }).values.n);
      right.granted = true;
      const from = cloud.published.length;
      const { code, stdout } = await outbox('requeue');
      expect([code, stdout]).toEqual([0, expect.stringMatching(/^cloud: \d+ events are back in the outbox\.\n$/)]);
      if (how === 'while none runs') await gatewayTo({ cloud: cloud.url });
      await vi.waitFor(() => {
        const late = told(cloud, from).filter((message) => message.late);
        expect(late.map(({ values }) => values.n)).toEqual(expect.arrayContaining(refused));
      }, 5000);
      expect(await outbox('requeue')).toMatchObject({
        code: 0,
        stdout: 'Nothing to requeue: no refused event is kept.\n',
      });
    },
  );

  test('for an upstream that is not there any more is refused', async () => {
    await outage('cloud');
    await folder.load({ upstreams: {} });
    const { code, stderr } = await outbox('requeue', '--upstream', 'cloud');
    expect([code, stderr]).toEqual([2, expect.stringContaining('Put the upstream back first')]);
  });
});
