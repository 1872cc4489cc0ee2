/** Two sides that trust each other, or do not: against a server in a process of its own. */
import { createPublicKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { type AddressInfo, createConnection, createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { opcua } from '../../drivers/opcua/index.js';
import type { OpcuaConnection } from '../../drivers/opcua/schema.js';
import type { Session } from '../../src/driver.js';
import { TidegateError } from '../../src/errors.js';
import { driverContext } from '../support/driver-context.js';
import { makeAuthority, makePem, trustingFolder } from '../support/opcua-identity.js';
import { Told } from '../support/opcua-listener.js';
import { type Peer, type PemIdentity, startPeer } from '../support/opcua-peer.js';
import { deviceOf, pointOf } from '../support/opcua-points.js';

const device = deviceOf([pointOf('float64', 'Temp')]);
const signal = new AbortController().signal;

let identity: PemIdentity;
let peer: Peer;
let folder: Awaited<ReturnType<typeof trustingFolder>>;
const open: Session[] = [];

beforeAll(async () => {
  identity = await makePem();
  folder = await trustingFolder(identity);
  peer = await startPeer({ identity, users: { gateway: 'open sesame' } });
}, 60_000);
afterEach(async () => {
  await Promise.all(open.splice(0).map((session) => session.close()));
});
afterAll(async () => {
  await peer.kill();
  folder.done();
});

async function connect(keys: object = {}, data = folder.data, endpoint = peer.endpoint): Promise<Session> {
  const connection = opcua.connection.parse({ endpoint, ...keys }) as OpcuaConnection;
  const session = (await opcua.open(connection, driverContext(data, { connection: 'press' }))) as Session;
  open.push(session);
  return session;
}

async function failure(work: Promise<unknown>): Promise<TidegateError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(TidegateError);
  return error as TidegateError;
}

const read = async (session: Session) => (await session.read(device, device.points, { signal })).values;

const POLICIES = ['Basic256Sha256', 'Aes128_Sha256_RsaOaep', 'Aes256_Sha256_RsaPss'];
const MODES = ['Sign', 'SignAndEncrypt'];
const ways: [policy: string, mode: string | undefined][] = [
  ['None', undefined],
  ...POLICIES.flatMap((policy) => MODES.map((mode): [string, string] => [policy, mode])),
];

describe.each(ways)('%s %s', (security, mode) => {
  test('anonymous', async () => {
    expect(await read(await connect({ security, mode }))).toEqual([21.5]);
  });

  test('with a user name and password', async () => {
    expect(await read(await connect({ security, mode, username: 'gateway', password: 'open sesame' }))).toEqual([21.5]);
  });

  test('with a user certificate', async () => {
    const { certificate, key } = identity;
    expect(await read(await connect({ security, mode, certificate, key }))).toEqual([21.5]);
  });
});

test('a wrong password is refused, and told as such', async () => {
  const error = await failure(connect({ username: 'gateway', password: 'wrong' }));
  expect(error.code).toBe('LINK_REFUSED');
  expect(error.message).toMatch(/refuses to sign us in \(Bad(UserAccessDenied|IdentityToken\w+)\)/);
  expect(error.message).not.toContain('wrong');
});

describe('a server that nobody approved yet', () => {
  test('waits, is approved, and is left when trust is taken back', async () => {
    const fresh = await trustingFolder();
    try {
      const error = await failure(connect({ keep_alive: '100ms' }, fresh.data));
      expect(error.code).toBe('LINK_UNTRUSTED');
      expect(error.message).toMatch(/^waiting for trust: the certificate of Press 7 \(Acme\)/);
      const [waiting, ...others] = await fresh.trust.list();
      expect(others.map(({ state }) => state)).toEqual(['own']);
      const parsed = new X509Certificate(identity.certificate);
      expect(waiting).toMatchObject({
        state: 'waiting',
        subject: 'Press 7 (Acme)',
        fingerprint: parsed.fingerprint256.replaceAll(':', '').toLowerCase(),
        sha1: parsed.fingerprint.replaceAll(':', '').toLowerCase(),
        hosts: ['127.0.0.1'],
        uri: 'urn:acme:press-7',
        met: [`press at ${peer.endpoint}`],
      });
      expect((await failure(connect({}, fresh.data))).message).toMatch(/^waiting for trust/);

      await fresh.trust.decide(waiting?.fingerprint ?? '', 'trusted');
      const session = await connect({ keep_alive: '100ms' }, fresh.data);
      expect(await read(session)).toEqual([21.5]);

      const told = new Told();
      await session.subscribe?.(device, device.points, told);
      await fresh.trust.decide(waiting?.fingerprint ?? '', 'rejected');
      await told.until(() => told.error !== undefined);
      expect(String(told.error)).toMatch(/no longer trusted/);
      expect((await failure(connect({}, fresh.data))).message).toMatch(/was rejected/);
    } finally {
      fresh.done();
    }
  });

  test('has its password kept from it, also without security', async () => {
    const fresh = await trustingFolder();
    const keys = { security: 'None', username: 'gateway', password: 'open sesame' };
    expect((await failure(connect(keys, fresh.data))).code).toBe('LINK_UNTRUSTED');
    fresh.done();
  });
});

test('a server that does not trust us: told, with what to do', async () => {
  await peer.tell({ what: 'accept', fingerprints: [] });
  const error = await failure(connect());
  await peer.tell({ what: 'accept' });
  const own = await folder.trust.own({ gateway: 'test' });
  expect(error).toMatchObject({ code: 'LINK_REFUSED', hint: expect.stringContaining('tidegate trust export') });
  expect(error.message).toContain(own.sha1);
});

test('a server that does not trust us, and only ends the connection: told alike', async () => {
  const mute = createServer((client) => {
    const server = createConnection(peer.port, '127.0.0.1');
    for (const end of [client, server]) end.on('error', () => {});
    server.pipe(client);
    client.on('data', (chunk) => {
      // OPC UA Part 6 §7.1.2.2 and §6.7.2: a message that opens a channel, and under which policy.
      if (chunk.subarray(0, 3).toString() === 'OPN' && chunk.includes('Basic256Sha256')) client.destroy();
      else server.write(chunk);
    });
    client.on('close', () => server.destroy());
  }).listen(0, '127.0.0.1');
  await once(mute, 'listening');
  const { port } = mute.address() as AddressInfo;
  const error = await failure(connect({}, folder.data, `opc.tcp://127.0.0.1:${port}`));
  mute.close();
  expect(error).toMatchObject({ code: 'LINK_REFUSED', hint: expect.stringContaining('tidegate trust export') });
  expect(error.message).toContain('the server does not trust our certificate');
});

test('our certificate is made once; its key is for nobody else', async () => {
  const first = await folder.trust.own({ gateway: 'test' });
  const again = await folder.trust.own({ gateway: 'test' });
  expect(again.fingerprint).toBe(first.fingerprint);
  expect(first.uri).toMatch(/^urn:[^:]+:tidegate:test$/);
  const certificate = new X509Certificate(first.der);
  expect(certificate.ca).toBe(false);
  expect(
    createPublicKey(certificate.publicKey.export({ type: 'spki', format: 'pem' })).asymmetricKeyDetails,
  ).toMatchObject({
    modulusLength: 2048,
  });
  expect(statSync(join(folder.data, 'pki', 'own', 'key.pem')).mode & 0o077).toBe(0);
  const renewed = await folder.trust.own({ gateway: 'test', renew: true });
  expect(renewed.fingerprint).not.toBe(first.fingerprint);
  expect(await read(await connect())).toEqual([21.5]);
});

test('an expired certificate needs both: approval, and accept_expired', async () => {
  const expired = await makePem({ from: new Date(2020, 0), until: new Date(2021, 0), hosts: ['elsewhere'] });
  const old = await startPeer({ identity: expired });
  const trusting = await trustingFolder(expired);
  try {
    const error = await failure(connect({}, trusting.data, old.endpoint));
    expect(error.message).toMatch(
      /cannot be accepted: it expired on 2020-12-31 \(BadCertificateTimeInvalid\)|2021-01-01/,
    );
    // Approved by its fingerprint, it may be made out to another host.
    expect(await read(await connect({ accept_expired: true }, trusting.data, old.endpoint))).toEqual([21.5]);
  } finally {
    await old.kill();
    trusting.done();
  }
}, 60_000);

test('an authority vouches for a server, by its host name, until it takes the certificate back', async () => {
  const authority = await makeAuthority();
  const [right, wrong] = [await authority.sign({}), await authority.sign({ hosts: ['plc-8'] })];
  const fresh = await trustingFolder({ certificate: authority.certificate, key: '' });
  const [signed, elsewhere] = await Promise.all([startPeer({ identity: right }), startPeer({ identity: wrong })]);
  try {
    const missing = await failure(connect({}, fresh.data, signed.endpoint));
    expect(missing.message).toMatch(
      /^waiting for trust: .*; Plant CA has signed it, but its revocation list is not here/,
    );
    await fresh.trust.add(Buffer.from(await authority.takeBack([])));
    const session = await connect({ keep_alive: '100ms' }, fresh.data, signed.endpoint);
    expect(await read(session)).toEqual([21.5]);
    const other = await failure(connect({}, fresh.data, elsewhere.endpoint));
    expect(other.message).toMatch(/made out to plc-8, not to 127\.0\.0\.1 \(BadCertificateHostNameInvalid\)/);

    const told = new Told();
    await session.subscribe?.(device, device.points, told);
    await fresh.trust.add(Buffer.from(await authority.takeBack([right])));
    await told.until(() => told.error !== undefined);
    const revoked = await failure(connect({}, fresh.data, signed.endpoint));
    expect(revoked.message).toMatch(/Plant CA has taken back Press 8 \(BadCertificateRevoked\)/);
  } finally {
    await Promise.all([signed.kill(), elsewhere.kill()]);
    fresh.done();
  }
}, 60_000);

test('a server that says to be another application than its certificate is never accepted', async () => {
  const false_ = await startPeer({ identity, applicationUri: 'urn:acme:somebody-else' });
  try {
    const error = await failure(connect({}, folder.data, false_.endpoint));
    expect(error.code).toBe('LINK_UNTRUSTED');
    expect(error.message).toMatch(/BadCertificateUriInvalid/);
  } finally {
    await false_.kill();
  }
}, 60_000);

test('what we sign in with, and where our own certificate is kept, is told when it cannot be used', async () => {
  const { certificate, key } = identity;
  const stranger = (await makePem()).key;
  for (const keys of [
    { certificate: 'none', key },
    { certificate, key: 'none' },
    { certificate, key: stranger },
  ]) {
    const error = await failure(connect(keys));
    expect(error.code).toBe('LINK_REFUSED');
    expect(error.message).toMatch(/^the certificate and key to sign in with cannot be used: /);
  }
  const nowhere = join(folder.data, 'pki', 'own', 'key.pem', 'below');
  expect((await failure(connect({}, nowhere))).code).toBe('CONFIG_FILE');
});

test('nothing of the library is written to the console', async () => {
  const said = [vi.spyOn(console, 'log'), vi.spyOn(console, 'warn'), vi.spyOn(console, 'error')];
  await failure(connect({ username: 'gateway', password: 'wrong' }));
  for (const spy of said) expect(spy.mock.calls).toEqual([]);
  vi.restoreAllMocks();
});
