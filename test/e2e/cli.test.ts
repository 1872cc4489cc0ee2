import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { MAIN, run } from '../support/command.js';

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'tidegate-test-'));
});
afterEach(() => rmSync(cwd, { recursive: true, force: true }));

const write = (name: string, text: string) => writeFileSync(join(cwd, name), text);
const json = (text: string) => JSON.parse(text) as Record<string, unknown>;

describe('the command line itself', () => {
  test.each([
    [['--help'], 0, /Usage: tidegate.*Exit codes:/s],
    [['--version'], 0, /^\d+\.\d+\.\d+\n$/],
    [['help', 'read'], 0, /Usage: tidegate read/],
    [['outbox', 'status', '--help'], 0, /Usage: tidegate outbox status/],
    [['demo', '--help'], 0, /--cut-after <duration> .*\(default: 20s\)/],
  ])('%j prints', async (words, code, pattern) => {
    expect(await run(words, { cwd })).toEqual({ code, stdout: expect.stringMatching(pattern), stderr: '' });
  });

  test.each([
    [[], /Usage: tidegate/],
    [['reed'], /unknown command 'reed'\n\(Did you mean read\?\)/],
    [['run', '--jsno'], /unknown option '--jsno'\n\(Did you mean --json\?\)/],
    [['read'], /missing required argument 'device'/],
    [['check', 'a', 'b'], /too many arguments/],
    [['simulate', 'eastron/sdm630', '--port', '70000'], /Write a number from 0 to 65535/],
    [['demo', '--cut-after', '20'], /such as 500ms, 10s or 2m/],
    [['devices', 'aprove', 'x'], /no command of devices is called "aprove".*\n.*did you mean "approve"/],
    [['devices', 'add', 'm', '--set', 'unit=1', '--set', 'unit=2'], /unit= was given before/],
    [['scan', 'meters', '--from', 'one'], /Write a whole number/],
    [['decode', 'meter-1', '52', '--expect', '230,5'], /Write a number, such as 230\.5/],
    [['simulate', 'eastron/sdm630', '--baud', '9600'], /--serial/],
  ])('%j is wrong: exit code 2', async (words, pattern) => {
    expect(await run(words, { cwd })).toEqual({ code: 2, stdout: '', stderr: expect.stringMatching(pattern) });
  });
});

test('output that a full disk does not take is told: exit code 1', () => {
  write('gateway.yaml', 'gateway: x\n');
  const full = openSync('/dev/full', 'w');
  for (const words of [['check'], ['check', '--json'], ['devices', '--json'], ['outbox', 'status'], ['--help']]) {
    const { status, stderr } = spawnSync(process.execPath, [MAIN, ...words], { cwd, stdio: ['ignore', full, 'pipe'] });
    expect([words, status, `${stderr}`]).toEqual([
      words,
      1,
      expect.stringContaining('the output cannot be written: ENOSPC'),
    ]);
  }
  closeSync(full);
});

test('certificates that cannot be looked at are not taken for none', async () => {
  write('gateway.yaml', 'gateway: x\nconnections: { p: { driver: opcua, endpoint: "opc.tcp://127.0.0.1" } }\n');
  expect(await run(['trust', 'list'], { cwd })).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^No certificate/),
  });
  mkdirSync(join(cwd, 'data'));
  write('data/opcua', 'where a folder should be');
  expect(await run(['trust', 'list'], { cwd })).toEqual({
    code: 3,
    stdout: '',
    stderr: expect.stringMatching(/the certificates cannot be read: .*data\/opcua.*\n.*Run this as the user/),
  });
});

describe('check', () => {
  const good = `gateway: plant-7
connections: { plc: { driver: modbus, tcp: 10.0.0.5:502 } }
devices: { meter-1: { profile: eastron/sdm630, connection: plc } }
upstreams: { cloud: { url: mqtt://broker.example.com } }
`;

  test('a sound site: what it holds, and what will be read', async () => {
    write('gateway.yaml', good);
    expect(await run(['check'], { cwd })).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^ok: 1 device, \d+ points, 0 rules, 1 upstream; [\d.]+ readings\/s planned\n$/),
      stderr: '',
    });
    const asked = await run(['check', cwd, '--json']);
    expect(json(asked.stdout)).toMatchObject({ ok: true, gateway: 'plant-7', devices: 1, upstreams: 1, warnings: [] });
  });

  test('every problem, with its place, on stderr: exit code 3', async () => {
    write(
      'gateway.yaml',
      good.replace('eastron/sdm630', 'eastron/sdm631').replace('gateway: plant-7', 'gatway: plant-7'),
    );
    const { code, stdout, stderr } = await run(['check'], { cwd });
    expect([code, stdout]).toEqual([3, '']);
    expect(stderr).toMatch(/gateway\.yaml:1:1/);
    expect(stderr).toMatch(/gateway\.yaml:3:32/);
    expect(stderr).toContain('did you mean "eastron/sdm630"?');
    expect(stderr).toMatch(/\n\d problems\n$/);
    expect(stderr).not.toContain('\u001b');
  });

  test('every problem as JSON', async () => {
    write('gateway.yaml', good.replace('eastron/sdm630', 'eastron/sdm631'));
    const { code, stdout, stderr } = await run(['check', '--json'], { cwd });
    expect([code, stderr]).toEqual([3, '']);
    expect(json(stdout)).toMatchObject({
      ok: false,
      problems: [{ code: 'CONFIG_UNKNOWN_NAME', file: expect.stringMatching(/gateway\.yaml$/), line: 3, column: 32 }],
    });
  });

  test('rules are proven by the tests beside them', async () => {
    write('gateway.yaml', good);
    mkdirSync(join(cwd, 'rules'));
    write('rules/all.yaml', '- rule: all\n  match: { device: "meter-*" }\n  send: cloud\n');
    const proof = (voltage: number) => `- test: what comes in goes out
  given:
    - { at: 0s, device: meter-1, values: { voltage_l1: 230 } }
  expect:
    - { at: 0s, to: cloud, values: { voltage_l1: ${voltage} } }
`;
    write('rules/all.test.yaml', proof(230));
    expect(await run(['check'], { cwd })).toMatchObject({ code: 0, stdout: expect.stringContaining('1 rule,') });
    write('rules/all.test.yaml', proof(231));
    expect(await run(['check'], { cwd })).toMatchObject({ code: 3, stderr: expect.stringContaining('[RULE_TEST]') });
  });

  test('a file that is not there: exit code 3', async () => {
    const { code, stderr } = await run(['check', 'nowhere.yaml'], { cwd });
    expect(code).toBe(3);
    expect(stderr).toMatch(/nowhere\.yaml.*\[CONFIG_FILE\]/s);
  });

  describe('profiles', () => {
    const profile = readFileSync(new URL('../../../device-profiles/eastron/sdm120.yaml', import.meta.url), 'utf8');
    beforeEach(() => {
      mkdirSync(join(cwd, 'device-profiles', 'eastron'), { recursive: true });
      write('device-profiles/eastron/sdm120.yaml', profile);
    });

    test.each(['device-profiles/eastron/sdm120.yaml', 'device-profiles/eastron', 'device-profiles'])(
      '%s',
      async (path) => {
        expect(await run(['check', path], { cwd })).toEqual({ code: 0, stdout: 'ok: 1 profile\n', stderr: '' });
      },
    );

    test('whose examples do not hold: exit code 3', async () => {
      write('device-profiles/eastron/sdm120.yaml', profile.replace('order: ABCD', 'order: CDAB'));
      const { code, stderr } = await run(['check', 'device-profiles'], { cwd });
      expect(code).toBe(3);
      expect(stderr).toContain('PROFILE_EXAMPLE');
    });

    test('a folder that holds none: exit code 3', async () => {
      mkdirSync(join(cwd, 'empty'));
      const { code, stderr } = await run(['check', 'empty'], { cwd });
      expect([code, stderr]).toEqual([3, expect.stringContaining('neither a gateway.yaml nor profiles')]);
    });
  });
});

describe('init', () => {
  test('--yes writes a gateway.yaml that check finds sound', async () => {
    expect(await run(['init', 'site', '--yes'], { cwd })).toMatchObject({ code: 0, stderr: '' });
    const checked = await run(['check', 'site'], { cwd });
    expect(checked).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('ok: 1 device') });
  });

  test('asks, asks again after a wrong answer, and takes what is offered for an empty one', async () => {
    const input = 'true\npress 1\npress-1\n\n10.0.0.5:502\n300\n7\nmqtts://broker.example.com:8883\n';
    const { code, stderr } = await run(['init'], { cwd, input });
    expect(code).toBe(0);
    expect(stderr).toContain('A number from 0 to 255.');
    const { stdout } = await run(['check', '--json'], { cwd });
    expect(json(stdout)).toMatchObject({ ok: true, gateway: 'true', devices: 1 });
    const text = readFileSync(join(cwd, 'gateway.yaml'), 'utf8');
    expect(text).toContain('press-1: { profile: eastron/sdm630, connection: field, unit: 7 }');
    expect(text).toContain('tcp: "10.0.0.5:502"');
  });

  test('never overwrites, unless forced', async () => {
    write('gateway.yaml', '# mine');
    expect(await run(['init', '--yes'], { cwd })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--force overwrites it'),
    });
    expect(readFileSync(join(cwd, 'gateway.yaml'), 'utf8')).toBe('# mine');
    expect(await run(['init', '--yes', '--force'], { cwd })).toMatchObject({ code: 0 });
    expect(readFileSync(join(cwd, 'gateway.yaml'), 'utf8')).toContain('gateway:');
  });
});
