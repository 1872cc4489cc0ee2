/** The command line with an OPC UA server: trust in three commands, from browsing to a profile, and the simulator. */

import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run, start } from '../support/command.js';
import { makePem } from '../support/opcua-identity.js';
import { type Peer, type PemIdentity, PRESS, startPeer } from '../support/opcua-peer.js';

/** Within the days of warning. */
const soon = new Date(Date.now() + 20 * 86_400_000);

let cwd: string;
let identity: PemIdentity;
let peer: Peer;

beforeAll(async () => {
  cwd = mkdtempSync(join(tmpdir(), 'tidegate-opcua-cli-'));
  identity = await makePem();
  peer = await startPeer({ identity });
  writeFileSync(
    join(cwd, 'gateway.yaml'),
    `gateway: plant-7
connections:
  press: { driver: opcua, endpoint: "${peer.endpoint}", publishing: 50ms }
devices:
  server: { profile: opcfoundation/server-status, connection: press }
upstreams: {}
`,
  );
}, 60_000);
afterAll(async () => {
  await peer.kill();
  rmSync(cwd, { recursive: true, force: true });
});

const tidegate = (...words: string[]) => run(words, { cwd });

describe('in this order', () => {
  test('reading says what is to be done', async () => {
    const { code, stderr } = await tidegate('read', 'server');
    expect(code).toBe(1);
    expect(stderr).toMatch(/waiting for trust: the certificate of Press 7 \(Acme\).*\[LINK_UNTRUSTED\]/);
  });

  test('trust list shows the certificate that waits', async () => {
    const { code, stdout } = await tidegate('trust', 'list');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^waiting: Press 7 \(Acme\)/);
    expect(stdout).toContain(`press at ${peer.endpoint}`);
    const fingerprint = new X509Certificate(identity.certificate).fingerprint256.replaceAll(':', '').toLowerCase();
    expect(stdout.replaceAll(' ', '')).toContain(fingerprint);
    expect(stdout).toContain(`tidegate trust approve ${fingerprint.slice(0, 12)}`);
    const { certificates } = JSON.parse((await tidegate('trust', 'list', '--json')).stdout) as {
      certificates: object[];
    };
    expect(certificates).toMatchObject([{ state: 'waiting', fingerprint }, { state: 'own' }]);
  });

  test('a name that fits nothing is told', async () => {
    const { code, stderr } = await tidegate('trust', 'approve', 'nobody');
    expect(code).toBe(2);
    expect(stderr).toMatch(/no certificate that is waiting or rejected fits "nobody"/);
  });

  test('approved by the name of its connection, all reads', async () => {
    const { code, stdout } = await tidegate('trust', 'approve', 'press');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^trusted: Press 7 \(Acme\)/);
    const read = await tidegate('read', 'server', 'state', '--json');
    expect(read.code).toBe(0);
    expect(JSON.parse(read.stdout)).toMatchObject({
      points: [{ id: 'state', value: 'running', quality: 'good', raw: 'Int32 0' }],
    });
  });

  test('our own certificate is written for the server to trust', async () => {
    const { code, stdout } = await tidegate('trust', 'export');
    expect(code).toBe(0);
    const own = new X509Certificate(readFileSync(join(cwd, 'tidegate-opcua.der')));
    expect(own.subject).toContain('CN=Tidegate plant-7');
    expect(stdout.replaceAll(' ', '')).toContain(own.fingerprint.replaceAll(':', '').toLowerCase());
  });

  test('certificates that end soon are warned of, in check, in the list and in the live view', async () => {
    const [old, ours] = [await makePem({ name: 'Old press', until: soon }), await makePem({ name: 'Us', until: soon })];
    const pki = join(cwd, 'data', 'opcua', 'pki');
    writeFileSync(join(pki, 'trusted', 'old.pem'), old.certificate);
    const own = readFileSync(join(pki, 'own', 'certificate.pem'));
    writeFileSync(join(pki, 'own', 'certificate.pem'), ours.certificate);
    const { code, stderr } = await tidegate('check');
    const list = await tidegate('trust', 'list');
    const watch = start(['watch'], { cwd });
    await watch.seen(
      /⚠ the certificate of Old press \(Acme\) expires on .*\n⚠ our own certificate Us \(Acme\) expires on/,
    );
    watch.child.kill();
    writeFileSync(join(pki, 'own', 'certificate.pem'), own);
    rmSync(join(pki, 'trusted', 'old.pem'));
    expect(code).toBe(0);
    expect(stderr).toMatch(/the certificate of Old press \(Acme\) expires on \d{4}-\d\d-\d\d, in \d+ days/);
    expect(stderr).toMatch(/our own certificate Us \(Acme\) expires on .*\n.*trust export --renew/);
    expect(stderr.match(/expires/g)).toHaveLength(2);
    expect(list.stdout).toMatch(/valid .*: expires on/);
  }, 60_000);

  test('a place is named as it is shown, one name behind the other; the standard’s own is not gone into', async () => {
    const named = await tidegate('browse', 'press', 'Press', '--match', 'Setpo*');
    expect(named.stdout).toMatch(/^Setpoint {2}int16 = -5$/m);
    expect((await tidegate('browse', 'press', 'Press/Nobody')).stderr).toMatch(/there is no Nobody below Press/);
    expect((await tidegate('browse', 'press', 'Pres')).stderr).toMatch(
      /there is no Pres at the top.*\n.*did you mean "Press"/,
    );
    const none = await tidegate('browse', 'press', 'Press', '--match', 'Nobody');
    expect([none.code, none.stdout]).toEqual([1, expect.stringContaining('No value fits')]);
    const whole = await tidegate('browse', 'press', '--depth', '9');
    expect(whole.stdout).toMatch(/^ {2}Flow {2}/m);
    expect(whole.stdout).not.toMatch(/ServerStatus/);
  }, 60_000);

  test('a profile of everything is one of the plant', async () => {
    const everything = await tidegate('browse', 'press', '--save', 'acme/everything');
    expect(everything.stdout).toMatch(/^37 points written/);
    expect(readFileSync(join(cwd, 'device-profiles/acme/everything.yaml'), 'utf8')).not.toMatch(
      /eu_range|server_status/,
    );
    rmSync(join(cwd, 'device-profiles/acme/everything.yaml'));
  }, 60_000);

  test('browsing, and a profile made of it that reads', async () => {
    const tree = await tidegate('browse', 'press');
    expect(tree.stdout).toMatch(/^Server\/$/m);
    expect(tree.stdout).toMatch(/^Press\/$/m);
    const inside = await tidegate('browse', 'press', `/Objects/nsu=${PRESS};Press`, '--json', '--match', 'Setpo*');
    expect(JSON.parse(inside.stdout)).toMatchObject({ name: 'Setpoint', kind: 'value', point: { type: 'int16' } });

    const saved = await tidegate('browse', 'press', `/Objects/nsu=${PRESS};Press`, '--save', 'acme/press');
    expect(saved.stdout).toMatch(/^\d+ points written to .*device-profiles\/acme\/press\.yaml/);
    const checked = await tidegate('check', 'device-profiles/acme/press.yaml');
    expect(`${checked.stdout}${checked.stderr}`).toMatch(/^ok: 1 profile/);
    const again = await tidegate('browse', 'press', '--save', 'acme/press');
    expect(again.code).toBe(2);
    expect(again.stderr).toMatch(/is there already/);
    const yaml = readFileSync(join(cwd, 'gateway.yaml'), 'utf8');
    writeFileSync(
      join(cwd, 'gateway.yaml'),
      yaml.replace('devices:\n', 'devices:\n  press-1: { profile: acme/press, connection: press }\n'),
    );
    expect((await tidegate('read', 'press-1', 'temp', 'setpoint')).stdout).toMatch(/^temp .* 21\.5 /m);
  }, 60_000);

  test('a gateway that runs shows its values, is asked by browse, and says what waits for trust', async () => {
    const gateway = start(['run'], { cwd });
    try {
      await gateway.seen(/gateway started/);
      const watch = start(['watch', '--json'], { cwd });
      await watch.seen(/"id":"state"[^}]*"value":"running"/);
      expect((await tidegate('browse', 'press')).stdout).toMatch(/^Press\/$/m);
      expect(((await peer.tell({ what: 'count' })) as { sessions: number }).sessions).toBe(1);
      expect((await tidegate('trust', 'revoke', 'press')).code).toBe(0);
      await watch.seen(/"state":"offline","reason":"[^"]*(no longer trusted|was rejected)/);
      watch.child.kill();
      await watch.finished;
    } finally {
      gateway.child.kill();
      await gateway.finished;
    }
  });
});

test('the simulator serves a profile to whoever comes', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidegate-opcua-sim-'));
  const simulator = start(['simulate', 'opcfoundation/server-status', '--port', '0', '--json'], { cwd: folder });
  try {
    const [, port] = await simulator.seen(/"port":(\d+)/);
    writeFileSync(
      join(folder, 'gateway.yaml'),
      `gateway: sim
connections: { any: { driver: opcua, endpoint: "opc.tcp://127.0.0.1:${port}", security: None } }
devices: { server: { profile: opcfoundation/server-status, connection: any } }
upstreams: {}
`,
    );
    const { code, stdout } = await run(['read', 'server'], { cwd: folder });
    expect(stdout).toMatch(/^state .* running /m);
    expect(code).toBe(0);
  } finally {
    simulator.child.kill();
    await simulator.finished;
    rmSync(folder, { recursive: true, force: true });
  }
}, 60_000);
