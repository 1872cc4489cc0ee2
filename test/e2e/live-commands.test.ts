import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { UpstreamStatus } from '../../src/snapshot.js';
import { type Running, run, start } from '../support/command.js';

/** A simulated meter, a gateway that polls it, and a broker that is not there. */
let cwd: string;
let simulator: Running;
let gateway: Running;

beforeAll(async () => {
  cwd = mkdtempSync(join(tmpdir(), 'tidegate-test-'));
  simulator = start(['simulate', 'eastron/sdm120', '--port', '0', '--json'], { cwd });
  const [line] = await simulator.seen(/^\{.*\}$/m);
  const { connections } = JSON.parse(line) as { connections: { host: string; port: number }[] };
  const { host, port } = connections[0] ?? {};
  const nobody = await freePort();
  writeFileSync(
    join(cwd, 'gateway.yaml'),
    `gateway: plant-7
connections: { plc: { driver: modbus, tcp: "${host}:${port}" } }
devices: { meter-1: { profile: eastron/sdm120, connection: plc, unit: 1 } }
upstreams: { cloud: { url: "mqtt://127.0.0.1:${nobody}", password: "\${env:SECRET}" } }
`,
  );
  gateway = start(['run'], { cwd, env: { SECRET: 'plant-7' } });
  await gateway.seen(/"gateway started"/);
});

afterAll(async () => {
  for (const { child } of [gateway, simulator]) child.kill('SIGKILL');
  await Promise.all([gateway.finished, simulator.finished]);
  rmSync(cwd, { recursive: true, force: true });
});

/** A port that was free a moment ago. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

const env = { SECRET: 'plant-7' };
const json = <T>(text: string) => JSON.parse(text) as T;

describe('read', () => {
  test('a table: address, words on the wire, decoded, scaled with its unit', async () => {
    const { code, stdout } = await run(['read', 'meter-1', 'voltage', 'active_power'], { cwd, env });
    expect(code).toBe(0);
    const [head, voltage, power] = stdout.split('\n');
    expect(head).toMatch(/^point +address +raw +decoded +value +quality$/);
    expect(voltage).toMatch(/^voltage +input 0x0000 +[0-9a-f]{4} [0-9a-f]{4} +[\d.]+ +[\d.]+ V +good$/);
    expect(power).toMatch(/^active_power +input 0x000C /);
  });

  test('as JSON, all points when none is named', async () => {
    const { code, stdout } = await run(['read', 'meter-1', '--json'], { cwd, env });
    const { device, profile, points } = json<{ device: string; profile: string; points: object[] }>(stdout);
    expect([code, device, profile]).toEqual([0, 'meter-1', 'eastron/sdm120']);
    expect(points.length).toBeGreaterThan(10);
    expect(points).toContainEqual({
      id: 'voltage',
      address: expect.objectContaining({ table: 'input', address: 0 }),
      raw: expect.any(String),
      decoded: expect.any(Number),
      value: expect.any(Number),
      unit: 'V',
      quality: 'good',
    });
  });

  test('names that are not there: exit code 2, with a suggestion', async () => {
    const wrongPoint = await run(['read', 'meter-1', 'voltag'], { cwd, env });
    expect([wrongPoint.code, wrongPoint.stderr]).toEqual([2, expect.stringContaining('"voltage"')]);
    const wrongDevice = await run(['read', 'meter-2'], { cwd, env });
    expect([wrongDevice.code, wrongDevice.stderr]).toEqual([2, expect.stringContaining('"meter-1"')]);
  });

  test('where a value is, over MQTT: its topic and pointer', async () => {
    const plug = start(['simulate', 'tasmota/plug', '--port', '0', '--json'], { cwd });
    const [, port, topic] = await plug.seen(/"port":(\d+).*?"topic":"([^"]+)"/);
    const folder = mkdtempSync(join(cwd, 'plug-'));
    writeFileSync(
      join(folder, 'gateway.yaml'),
      `gateway: x
connections: { floor: { driver: mqtt, broker: "mqtt://127.0.0.1:${port}" } }
devices: { plug: { profile: tasmota/plug, connection: floor, topic: "${topic}" } }
`,
    );
    const { stdout } = await run(['read', 'plug', 'relay', 'voltage'], { cwd: folder });
    plug.child.kill();
    expect(stdout).toMatch(/^relay +stat\/\{topic\}\/POWER +(ON|OFF) /m);
    expect(stdout).toMatch(/^voltage +tele\/\{topic\}\/SENSOR \/ENERGY\/Voltage +[\d.]+ /m);
    await plug.finished;
  });

  test('a device that is not there: exit code 1', async () => {
    const away = mkdtempSync(join(cwd, 'away-'));
    writeFileSync(
      join(away, 'gateway.yaml'),
      `gateway: x
connections: { plc: { driver: modbus, tcp: "127.0.0.1:${await freePort()}" } }
devices: { meter-1: { profile: eastron/sdm120, connection: plc } }
`,
    );
    const { code, stdout, stderr } = await run(['read', 'meter-1'], { cwd: away });
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain('[LINK_DOWN]');
  });

  test('a unit that does not answer: the table says so, exit code 1', async () => {
    const { code, stdout } = await run(['read', 'meter-1', '--json'], { cwd: await withUnit(9), env });
    expect(code).toBe(1);
    const { points } = json<{ points: { quality: string; reason: string; value: unknown }[] }>(stdout);
    expect(points.every(({ quality, value, reason }) => quality === 'bad' && value === null && reason)).toBe(true);
  });

  /** The same site with another unit id. */
  async function withUnit(unit: number): Promise<string> {
    const folder = mkdtempSync(join(cwd, 'unit-'));
    const { readFileSync } = await import('node:fs');
    const text = readFileSync(join(cwd, 'gateway.yaml'), 'utf8').replace('unit: 1', `unit: ${unit}`);
    writeFileSync(join(folder, 'gateway.yaml'), text);
    return folder;
  }
});

describe('while the gateway runs', () => {
  test('its log is JSON, and the password is not in it', async () => {
    const [line] = await gateway.seen(/^\{.*"gateway started".*\}$/m);
    // The password is the gateway's name: wherever it would stand, it is masked.
    expect(json(line)).toMatchObject({ level: 'info', gateway: '***', devices: 1, upstreams: 1 });
    await gateway.seen(/"connected"/);
  });

  test('watch shows what it sees', async () => {
    // Whoever looks on need not hold the gateway's secrets.
    const watch = start(['watch', '--json'], { cwd });
    const [line] = await watch.seen(/^\{.*"state":"online".*\}$/m);
    expect(json(line)).toMatchObject({
      gateway: 'plant-7',
      connections: [{ id: 'plc', load: expect.any(Number), planned: expect.any(Number) }],
      devices: [{ id: 'meter-1', profile: 'eastron/sdm120', state: 'online' }],
      upstreams: [{ id: 'cloud' }],
    });
    watch.child.kill('SIGINT');
    expect(await watch.finished).toMatchObject({ code: 0, stderr: '' });
  });

  test('outbox status asks it', async () => {
    const { code, stdout } = await run(['outbox', 'status', '--json'], { cwd });
    expect(code).toBe(0);
    expect(json(stdout)).toEqual({
      running: true,
      outboxes: [
        expect.objectContaining({
          id: 'cloud',
          link: expect.any(String),
          alarm: expect.any(Number),
          live: expect.any(Number),
          rate: expect.any(Number),
          accounts: {
            alarm: expect.objectContaining({ acknowledged: 0, unreadable: 0 }),
            live: expect.objectContaining({ acknowledged: 0, dropped: 0 }),
          },
        }),
      ],
    });
    const { stdout: table } = await run(['outbox', 'status'], { cwd, env });
    expect(table).toMatch(
      /^From the running gateway\.\n\nupstream +link +alarm +live +backlog .* readings\/s +drained in +room for\n/,
    );
    expect(table).toMatch(
      /\ncloud: the broker closed the connection before it answered; check that the port speaks MQTT/,
    );
    expect(table).toMatch(
      /\n\nupstream +lane +accepted +waiting +acknowledged +dropped .*\ncloud +alarm +[1-9] .*\ncloud +live +[1-9]/,
    );
  });

  test('a second one on the same data folder is refused: exit code 4', async () => {
    const { code, stderr } = await run(['run'], { cwd, env });
    expect([code, stderr]).toEqual([4, expect.stringContaining('[DATA_IN_USE]')]);
  });
});

describe('when the gateway is told to stop', () => {
  test('it ends cleanly, those who watch end too, and what waits is on disk', async () => {
    const watch = start(['watch', '--json'], { cwd, env });
    await watch.seen(/"accepted":[1-9]/);
    gateway.child.kill('SIGTERM');
    const { code, stdout } = await gateway.finished;
    expect(code).toBe(0);
    expect(stdout.trimEnd().split('\n').at(-1)).toContain('"stopped"');
    expect(await watch.finished).toMatchObject({ code: 0, stderr: 'The gateway has ended.\n' });

    const { stdout: status } = await run(['outbox', 'status', '--json'], { cwd });
    const { running, outboxes } = json<{
      running: boolean;
      outboxes: { id: string; backlog: number; accounts: UpstreamStatus['accounts'] }[];
    }>(status);
    expect([running, outboxes.length, outboxes[0]?.id]).toEqual([false, 1, 'cloud']);
    const [{ backlog = 0, accounts } = {}] = outboxes;
    expect(backlog).toBeGreaterThan(0);
    expect(accounts?.live).toMatchObject({ accepted: backlog, waiting: backlog, acknowledged: 0 });
    const { stdout: table } = await run(['outbox', 'status'], { cwd });
    expect(table).toMatch(
      /^No gateway runs; .*\n\nupstream [^\n]*\ncloud [^\n]*\n\nupstream +lane [^\n]*\ncloud +alarm +\d+ /,
    );
  });

  test('watch polls by itself, and delivers nothing', async () => {
    const before = await run(['outbox', 'status', '--json'], { cwd });
    const watch = start(['watch'], { cwd, env });
    await watch.seen(/No gateway runs on this data folder: polling here, delivering nothing/);
    await watch.seen(/voltage +[\d.]+ V/);
    watch.child.kill('SIGINT');
    expect(await watch.finished).toMatchObject({ code: 0 });
    const after = await run(['outbox', 'status', '--json'], { cwd });
    expect(after.stdout).toBe(before.stdout);
  });

  test('simulate serves each connection of a site on a port of its own', async () => {
    const folder = mkdtempSync(join(cwd, 'two-'));
    writeFileSync(
      join(folder, 'gateway.yaml'),
      `gateway: x
connections:
  north: { driver: modbus, tcp: 10.0.0.5 }
  south: { driver: modbus, tcp: 10.0.0.6 }
devices:
  meter-1: { profile: eastron/sdm120, connection: north }
  meter-2: { profile: eastron/sdm120, connection: south }
`,
    );
    const both = start(['simulate', 'gateway.yaml', '--port', '0'], { cwd: folder });
    const [, first, second] = await both.seen(/127\.0\.0\.1:(\d+) +meter-1 .*127\.0\.0\.1:(\d+) +meter-2 /s);
    expect(first).not.toBe(second);
    both.child.kill('SIGINT');
    expect(await both.finished).toMatchObject({ code: 0, stderr: '' });
  });

  test('simulate ends cleanly too', async () => {
    simulator.child.kill('SIGINT');
    expect(await simulator.finished).toMatchObject({ code: 0, stderr: '' });
  });
});
