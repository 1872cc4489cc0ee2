import { beforeEach, expect, test } from 'vitest';
import { type Running, run, runGateway } from '../support/command.js';
import { SiteFolder, type Written } from '../support/site-folder.js';

/** Devices and a broker that nobody answers for, on a port that refuses. */
const NOWHERE = '127.0.0.1:9';
const meter = (unit: number) => ({ profile: 'eastron/sdm120', connection: 'plc', unit });
const base = {
  connections: { plc: { driver: 'modbus', tcp: NOWHERE } },
  devices: { 'meter-1': meter(1) },
  upstreams: { cloud: { url: `mqtt://${NOWHERE}` } },
} satisfies Written;

let folder: SiteFolder;
beforeEach(() => {
  folder = new SiteFolder();
});

function gateway(written: Written): Promise<Running> {
  folder.say(written);
  return runGateway(folder.path);
}

const reload = (...flags: string[]) => run(['reload', ...flags], { cwd: folder.path });

test('what changes is shown, first only said, then done', async () => {
  const running = await gateway(base);
  folder.say({
    ...base,
    devices: { 'meter-1': meter(7), 'meter-2': meter(2) },
    upstreams: { site: { url: 'mqtt://127.0.0.1:9' } },
  });
  const told = `devices: 1 added, 1 changed; upstreams: 1 added, 1 removed
  + device meter-2
  ~ device meter-1 (settings)
  + upstream site
  - upstream cloud: what waits for it stays in data/outbox/cloud.sqlite
`;
  expect(await reload('--dry-run')).toEqual({ code: 0, stdout: `would reload: ${told}`, stderr: '' });
  expect(await reload()).toEqual({ code: 0, stdout: `reloaded: ${told}`, stderr: '' });
  await running.seen(
    /"by":"request","devices":"\+meter-2 ~meter-1","upstreams":"\+site -cloud","msg":"reloaded: devices/,
  );
  const { stdout } = await reload('--json');
  expect(JSON.parse(stdout)).toMatchObject({
    ok: true,
    dryRun: false,
    file: folder.file,
    changes: { devices: { added: [], changed: {}, removed: [], untouched: 2 } },
  });
  expect((await reload()).stdout).toBe('reloaded: nothing has changed\n');
});

test('mistakes are told as `check` tells them, on the terminal and in the log: exit code 3', async () => {
  const running = await gateway(base);
  folder.write('rules/all.yaml', '- rule: all\n  send: clowd\n');
  const checked = await run(['check'], { cwd: folder.path });
  const { code, stdout, stderr } = await reload();
  expect([code, stdout]).toEqual([3, '']);
  expect(stderr).toMatch(/rules\/all\.yaml:2:9: .*"clowd".*\n.*\| {3}send: clowd\n +\| +\^{5}/);
  expect(stderr).toBe(checked.stderr);
  await running.seen(/"code":"CONFIG_UNKNOWN_NAME","file":"[^"]*all\.yaml","line":2,"column":9/);
  folder.write('gateway.yaml', 'gateway: [\n');
  expect(await reload()).toMatchObject({ code: 3, stderr: expect.stringContaining('[CONFIG_SYNTAX]') });
});

test('a key that only a restart can change: which, where, and what to do', async () => {
  await gateway(base);
  folder.say({ ...base, gateway: 'h' });
  const { code, stderr } = await reload();
  expect([code, stderr]).toEqual([
    3,
    expect.stringMatching(
      /gateway\.yaml:2:14: "gateway" was g and cannot change.*Restart the gateway.*\[CONFIG_RESTART\]/s,
    ),
  ]);
});

test('where no gateway runs: exit code 1', async () => {
  folder.say(base);
  expect(await reload()).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/no gateway runs on the data folder/),
  });
});

test('with `watch: true` changes are taken up by themselves; the log takes its level, and masks what is new', async () => {
  folder.write('secret', 'open-sesame');
  const running = await gateway({ ...base, watch: true });
  folder.write('gateway.yaml', 'gateway: g\nwatch: tru');
  await running.seen(/"by":"watch","problems":1,"msg":"not reloaded/);
  folder.say({ ...base, watch: true, log: { level: 'debug' } });
  await running.seen(/"by":"watch","settings":"~log","msg":"reloaded: settings: 1 changed/);
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a placeholder as people write it
  const cloud = { url: `mqtt://${NOWHERE}`, username: 'u', password: '${file:secret}' };
  folder.say({ ...base, watch: true, upstreams: { cloud } });
  await running.seen(/"upstreams":"~cloud","settings":"~log"/);
  folder.write('secret', 'swordfish');
  await running.seen(/"by":"watch","upstreams":"~cloud","msg"/);
  // The device's name is the secret: wherever it would stand, it is masked.
  folder.say({ ...base, watch: true, upstreams: { cloud }, devices: { swordfish: meter(1) } });
  await running.seen(/"devices":"\+\*\*\* -meter-1"/);
  folder.say({ ...base, upstreams: { cloud } });
  await running.seen(/"settings":"~watch"/);
});
