/** A driver that does not come with Tidegate, from `check` to a crash. */
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { loadSite } from '../../src/site.js';
import { type Peer, startPeer } from '../plugin/peer.js';
import { type Running, run, runGateway, start } from '../support/command.js';
import { SiteFolder } from '../support/site-folder.js';

const PLUGIN = fileURLToPath(new URL('../plugin/lines.js', import.meta.url));
const PROFILE = `profile: acme/line
title: A line of machines
source: none
driver: lines
points:
  speed: { name: speed, type: float64, unit: Hz, scale: 0.1, access: read-write }
  state: { name: state, type: uint16, states: { 0: off, 1: on } }
examples:
  - { told: { speed: 500, state: 1 }, gives: { speed: 50, state: on } }
`;

let folder: SiteFolder;
beforeEach(() => {
  folder = new SiteFolder();
  folder.write('device-profiles/acme/line.yaml', PROFILE);
});

async function peer(): Promise<Peer> {
  const started = await startPeer();
  onTestFinished(() => started.close());
  started.set(1, 'speed', 500);
  started.set(1, 'state', 1);
  return started;
}

const tidegate = (...words: string[]) => run(words, { cwd: folder.path });
const siteOf = (ports: Record<string, number>) => ({
  plugins: [PLUGIN],
  connections: Object.fromEntries(
    Object.entries(ports).map(([id, port]) => [id, { driver: 'lines', host: '127.0.0.1', port }]),
  ),
  devices: Object.fromEntries(
    Object.keys(ports).map((id) => [`on-${id}`, { profile: 'acme/line', connection: id, unit: 1 }]),
  ),
  upstreams: { cloud: { url: 'mqtt://127.0.0.1:9' } },
});

const gateway = (): Promise<Running> => runGateway(folder.path);

test('its keys are checked, its profiles proven, its devices simulated, read and written', async () => {
  folder.say(siteOf({ wire: 1 }));
  expect((await tidegate('check')).stdout).toMatch(/^ok: 1 device, 2 points/);
  const unknown = await tidegate('simulate', 'gateway.yaml', '--fault', 'drop:1%');
  expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining('the simulator of lines knows no drop')]);
  const simulator = start(['simulate', 'gateway.yaml', '--port', '0', '--json'], { cwd: folder.path });
  onTestFinished(async () => {
    simulator.child.kill('SIGTERM');
    await simulator.finished;
  });
  const [, port] = await simulator.seen(/"driver":"lines","host":"127.0.0.1","port":(\d+)/);
  folder.say(siteOf({ wire: Number(port) }));
  expect((await tidegate('read', 'on-wire')).stdout).toMatch(/speed .* 0 Hz +good\n/);
  expect((await tidegate('write', 'on-wire', 'speed', '47.3')).stdout).toBe(
    'speed is written: raw 473, reads back 47.3 Hz\n',
  );
  folder.say({ ...siteOf({ wire: 1 }), connections: { wire: { driver: 'lines', host: '127.0.0.1', prot: 1 } } });
  const wrong = await tidegate('check');
  expect([wrong.code, wrong.stderr]).toEqual([3, expect.stringContaining('prot')]);
});

test('what its devices push is seen by whoever watches', async () => {
  const line = await peer();
  folder.say(siteOf({ wire: line.port }));
  await gateway();
  const watch = start(['watch', '--json'], { cwd: folder.path });
  await watch.seen(/"state":"online".*"value":50,/);
  line.set(1, 'speed', 512);
  await watch.seen(/"value":51.2,/);
  watch.child.kill('SIGTERM');
  await watch.finished;
});

test('when it crashes, its connection is opened again, and the rest goes on', async () => {
  const [calm, wild] = [await peer(), await peer()];
  folder.say(siteOf({ calm: calm.port, wild: wild.port }));
  const running = await gateway();
  const watch = start(['watch', '--json'], { cwd: folder.path });
  await watch.seen(/("state":"online".*){2}/);
  // The driver takes every line for JSON: this one throws in an event handler that nobody can catch.
  wild.say('garbage');
  await running.seen(/"connection":"wild".*the driver failed: Unexpected token/);
  // What the new session subscribed to is told.
  calm.set(1, 'speed', 777);
  wild.set(1, 'speed', 888);
  await watch.seen(/"value":77.7,.*"value":88.8,/);
  watch.child.kill('SIGTERM');
  await watch.finished;
  expect(running.child.exitCode).toBeNull();
});

describe('what is no plugin is told where it is named', () => {
  const DRIVER = `const any = { safeParse() {} };
export const driver = { name: 'acme', title: 'Acme', connection: any, device: any, address: any, example: any,
  checkPoint() {}, decodeExample() {}, async open() {} };
`;
  const problemsOf = async (plugin: string): Promise<{ code: string; message: string; line?: number }[]> => {
    folder.say({ plugins: [plugin] });
    const caught = await loadSite(folder.file).catch((error: unknown) => error as { errors?: never[] });
    return ((caught as { errors?: { code: string; message: string; place: { line: number } }[] }).errors ?? []).map(
      ({ code, message, place }) => ({ code, message, line: place.line }),
    );
  };

  test.each([
    ['absent', './none.mjs', '', 'there is no ./none.mjs'],
    ['a package that is not installed', 'tidegate-driver-none', '', 'there is no tidegate-driver-none'],
    ['broken', './broken.mjs', 'throw new Error("boom")', './broken.mjs fails as it is loaded: boom'],
    ['no JavaScript', './wrong.mjs', 'export {{', './wrong.mjs fails as it is loaded: '],
    ['empty', './empty.mjs', '', './empty.mjs is no driver: it exports none'],
    [
      'half a driver',
      './half.mjs',
      'export default { name: "half", title: "Half", connection: {} }',
      'connection is not a zod schema, device is not',
    ],
    [
      'a name that is taken',
      './taken.mjs',
      DRIVER.replace("'acme'", "'modbus'"),
      './taken.mjs is a driver called modbus, and there is one already',
    ],
  ])('%s', async (_name, plugin, text, message) => {
    if (plugin.startsWith('.') && _name !== 'absent') folder.write(plugin, text);
    expect(await problemsOf(plugin)).toEqual([
      { code: 'CONFIG_PLUGIN', message: expect.stringContaining(message), line: 4 },
    ]);
  });

  test('and what is one is not, as a path or as an installed package', async () => {
    folder.write('acme.mjs', DRIVER);
    expect(await problemsOf('./acme.mjs')).toEqual([]);
    folder.write('node_modules/tidegate-driver-acme/package.json', '{"type":"module","exports":"./acme.js"}');
    folder.write('node_modules/tidegate-driver-acme/acme.js', DRIVER);
    expect(await problemsOf('tidegate-driver-acme')).toEqual([]);
  });
});
