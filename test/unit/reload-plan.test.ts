import { beforeEach, describe, expect, test } from 'vitest';
import type { ProblemList } from '../../src/errors.js';
import { type Changes, isEmpty, planReload, summaryOf } from '../../src/reload/plan.js';
import { meterProfile, SiteFolder, type Written } from '../support/site-folder.js';

const meter = (unit: number, more: object = {}) => ({ profile: 'test/meter', connection: 'bus', unit, ...more });
const WRITTEN = {
  connections: { bus: { driver: 'modbus', tcp: '127.0.0.1:502' }, yard: { driver: 'modbus', tcp: '127.0.0.1:503' } },
  devices: { a: meter(1), b: meter(2), c: { profile: 'test/other', connection: 'yard' } },
  upstreams: { cloud: { url: 'mqtt://127.0.0.1' }, site: { url: 'mqtt://127.0.0.2' } },
} satisfies Written;
const RULES = `- rule: changes
  steps: [{ change: {} }]
  send: cloud
- rule: high
  steps: [{ where: "value > 5" }]
  send: site
`;

let folder: SiteFolder;
beforeEach(() => {
  folder = new SiteFolder();
  folder.write('device-profiles/test/meter.yaml', meterProfile('test/meter', '1s'));
  folder.write('device-profiles/test/other.yaml', meterProfile('test/other', '1s'));
  folder.write('rules/all.yaml', RULES);
});

/** What a reload would do after gateway.yaml, or another file, was written anew. */
async function planned(written: Written, others: Readonly<Record<string, string>> = {}) {
  const old = await folder.load(WRITTEN);
  for (const [name, text] of Object.entries(others)) folder.write(name, text);
  const next = await folder.load(written);
  return { old, ...planReload(old, next) };
}

/** The changes without what is as it was. */
function said(changes: Changes) {
  return Object.fromEntries(
    Object.entries(changes).flatMap(([kind, { added, changed, removed }]) => {
      const names = [
        ...added.map((name) => `+${name}`),
        ...Object.entries(changed).map(([name, keys]) => `~${name} ${keys.join()}`),
        ...removed.map((name) => `-${name}`),
      ];
      return names.length > 0 ? [[kind, names]] : [];
    }),
  );
}

test('the same files are no change, and every object stays what it was', async () => {
  const { old, site, changes } = await planned(WRITTEN);
  expect(isEmpty(changes)).toBe(true);
  expect(summaryOf(changes)).toBe('nothing has changed');
  for (const [index, device] of site.devices.entries()) expect(device).toBe(old.devices[index]);
  for (const [index, rule] of site.rules.entries()) expect(rule).toBe(old.rules[index]);
  for (const [id, upstream] of Object.entries(site.config.upstreams)) expect(upstream).toBe(old.config.upstreams[id]);
  for (const [id, settings] of site.connectionSettings) expect(settings).toBe(old.connectionSettings.get(id));
});

describe('what is said of', () => {
  const { connections, devices, upstreams } = WRITTEN;
  test.each<[string, Written, object]>([
    ['a device that is new', { ...WRITTEN, devices: { ...devices, d: meter(3) } }, { devices: ['+d'] }],
    ['a device that is gone', { ...WRITTEN, devices: { a: devices.a, c: devices.c } }, { devices: ['-b'] }],
    ['a unit id', { ...WRITTEN, devices: { ...devices, a: meter(9) } }, { devices: ['~a settings'] }],
    ['a tag', { ...WRITTEN, devices: { ...devices, a: meter(1, { tags: { hall: 'x' } }) } }, { devices: ['~a tags'] }],
    [
      'an address: all devices behind it are read anew',
      { ...WRITTEN, connections: { ...connections, bus: { driver: 'modbus', tcp: '127.0.0.9:502' } } },
      { connections: ['~bus tcp'], devices: ['~a connection', '~b connection'] },
    ],
    [
      'a connection that is renamed',
      {
        ...WRITTEN,
        connections: { bus: connections.bus, field: connections.yard },
        devices: { ...devices, c: { profile: 'test/other', connection: 'field' } },
      },
      { connections: ['+field', '-yard'], devices: ['~c connection'] },
    ],
    [
      'an upstream that is pointed elsewhere: who gets its events begins anew',
      { ...WRITTEN, upstreams: { ...upstreams, cloud: { url: 'mqtt://127.0.0.3' } } },
      { upstreams: ['~cloud url'], rules: ['~all.yaml: changes destinations'] },
    ],
    [
      'a password: the same receiver',
      { ...WRITTEN, upstreams: { ...upstreams, cloud: { ...upstreams.cloud, username: 'u', password: 'p' } } },
      { upstreams: ['~cloud username,password'] },
    ],
    ['a local broker', { ...WRITTEN, broker: {} }, { settings: ['+broker'] }],
    ['the log', { ...WRITTEN, log: { level: 'debug' } }, { settings: ['~log level'] }],
  ])('%s', async (_, written, expected) => {
    const { changes } = await planned(written);
    expect(said(changes)).toEqual(expected);
  });

  test('a profile: the devices that use it', async () => {
    const { old, site, changes } = await planned(WRITTEN, {
      'device-profiles/test/meter.yaml': meterProfile('test/meter', '2s'),
    });
    expect(said(changes)).toEqual({ devices: ['~a points', '~b points'] });
    expect(site.devices[2]).toBe(old.devices[2]);
    expect(site.devices[0]?.points).toBe(site.devices[1]?.points);
    expect(summaryOf(changes)).toBe('devices: 2 changed, 1 untouched');
  });

  test('a file that a secret is in, and one that a certificate is in', async () => {
    const pem = (text: string) => `-----BEGIN CERTIFICATE-----\n${text}\n`;
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a placeholder as people write it
    const secret = { password: '${file:secret}', username: 'u' };
    const written = {
      ...WRITTEN,
      upstreams: { cloud: { ...upstreams.cloud, ...secret }, site: { url: 'mqtts://127.0.0.2', ca: 'ca.pem' } },
    };
    folder.write('secret', 'one');
    folder.write('ca.pem', pem('one'));
    const old = await folder.load(written);
    folder.write('secret', 'two');
    folder.write('ca.pem', pem('two'));
    const { changes } = planReload(old, await folder.load(written));
    expect(said(changes)).toEqual({ upstreams: ['~cloud password', '~site certificates'] });
    expect(old.readFrom.files.map((file) => file.slice(folder.path.length + 1))).toEqual([
      'gateway.yaml',
      'secret',
      'ca.pem',
    ]);
  });

  test('keys of the local broker, each by its name', async () => {
    const broker = { listen: '127.0.0.1:0', anonymous: { read: ['site/#'] } };
    const old = await folder.load({ ...WRITTEN, broker });
    const next = await folder.load({
      ...WRITTEN,
      broker: { ...broker, anonymous: { read: ['#'] }, limits: { clients: 5 } },
    });
    expect(said(planReload(old, next).changes)).toEqual({ settings: ['~broker anonymous,limits'] });
  });

  test('rules: each by itself, whatever is written round it', async () => {
    const { old, site, changes } = await planned(WRITTEN, {
      'rules/all.yaml': `# moved down\n${RULES.replace('value > 5', 'value > 6')}- rule: third\n  send: site\n`,
    });
    expect(said(changes)).toEqual({ rules: ['+all.yaml: third', '~all.yaml: high steps'] });
    expect(site.rules[0]).toBe(old.rules[0]);
    expect(site.rules[1]).not.toBe(old.rules[1]);
  });
});

describe('what only a restart can change is refused, with its place', () => {
  test.each([
    ['gateway', { ...WRITTEN, gateway: 'h' }, '"gateway": "h",'],
    ['data', { ...WRITTEN, data: 'elsewhere' }, '"data": "elsewhere"'],
  ])('%s', async (key, written, line) => {
    const error = (await planned(written).catch((cause: unknown) => cause)) as ProblemList;
    const [problem] = error.errors;
    expect(problem).toMatchObject({ code: 'CONFIG_RESTART', message: expect.stringContaining(`"${key}"`) });
    expect(problem?.place?.text.trim()).toBe(line);
  });

  test('but not another way to write the same folder', async () => {
    const { changes } = await planned({ ...WRITTEN, data: './data' });
    expect(isEmpty(changes)).toBe(true);
  });
});
