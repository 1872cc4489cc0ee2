/** What certificates say, what is wrong with them, and who vouches for whom. */
import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Chain, endsSoon, fingerprintOf, inspect, namesOf, readChain } from '../../drivers/opcua/certificate.js';
import { type Authority, makeAuthority, makeOdd, makePem, trustingFolder } from '../support/opcua-identity.js';
import type { PemIdentity } from '../support/opcua-peer.js';

const DAY = 86_400_000;
let good: PemIdentity;
let folder: Awaited<ReturnType<typeof trustingFolder>>;
beforeAll(async () => {
  good = await makePem({ hosts: ['plc-1', 'Plc-1.local', '10.0.0.9'] });
  folder = await trustingFolder();
});
afterAll(() => folder.done());

const chain = (...pems: PemIdentity[]): Chain =>
  readChain(Buffer.from(pems.map(({ certificate }) => certificate).join('')));
const expected = { host: 'plc-1', applicationUri: 'urn:acme:press-7' };

test('PEM, DER, and DER one behind the other', () => {
  const { raw } = new X509Certificate(good.certificate);
  for (const bytes of [Buffer.from(good.certificate), raw]) expect(fingerprintOf(readChain(bytes)[0])).toHaveLength(64);
  expect(readChain(Buffer.concat([raw, raw]))).toHaveLength(2);
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.from('hello'),
    raw.subarray(0, 99),
    Buffer.concat([raw, Buffer.from([1])]),
  ])
    expect(() => readChain(bytes)).toThrow();
});

test('names', () => {
  expect(namesOf(chain(good)[0])).toEqual({ hosts: ['plc-1', 'Plc-1.local', '10.0.0.9'], uri: 'urn:acme:press-7' });
});

describe('findings', () => {
  test.each(['plc-1', 'PLC-1', 'plc-1.local', '10.0.0.9'])('made out to %s', (host) => {
    expect(inspect(chain(good), { ...expected, host })).toEqual({});
  });

  test('another host, another application, another time', () => {
    expect(inspect(chain(good), { ...expected, host: '10.0.0.10' }).names).toMatch(/BadCertificateHostNameInvalid/);
    expect(inspect(chain(good), { ...expected, applicationUri: 'urn:x' }).fatal).toMatch(/BadCertificateUriInvalid/);
    expect(inspect(chain(good), expected, Date.now() + 400 * DAY).time).toMatch(/it expired on/);
    expect(inspect(chain(good), expected, Date.UTC(1980, 0)).time).toMatch(/not valid before/);
  });

  test('a signature that can be forged, a key that is too short or too long, another use', async () => {
    const found = async (odd: Parameters<typeof makeOdd>[0]) => inspect(chain(await makeOdd(odd)), expected);
    expect(await found({})).toEqual({});
    expect((await found({ hash: 'SHA-1' })).fatal).toMatch(/^it is signed with SHA-1.*BadCertificatePolicyCheckFailed/);
    expect((await found({ bits: 1024 })).fatal).toMatch(/^its key has 1024 bits/);
    expect((await found({ bits: 5120 })).fatal).toMatch(/^its key has 5120 bits, not 2048 to 4096/);
    expect((await found({ usage: '1.3.6.1.5.5.7.3.2' })).usage).toMatch(/not meant for servers/);
  });

  test('ends soon: told from thirty days on', () => {
    const [certificate] = chain(good);
    const until = Date.parse(certificate.validTo);
    expect(endsSoon(certificate, until - 32 * DAY)).toBeUndefined();
    expect(endsSoon(certificate, until - 30 * DAY)).toMatch(/, in 30 days$/);
    expect(endsSoon(certificate, until - DAY)).toMatch(/, in 1 day$/);
    expect(endsSoon(certificate, until + DAY)).toMatch(/^expired on/);
  });
});

describe('the store', () => {
  test('lists what waits, what was decided, and our own', async () => {
    const one = chain(await makePem({ until: new Date(Date.now() + 10 * DAY) }));
    await folder.trust.putAside(one, { connection: 'a', endpoint: 'opc.tcp://a', notes: ['another host'] });
    await folder.trust.own({ gateway: 'test' });
    const [waiting, own] = await folder.trust.list();
    expect(waiting).toMatchObject({
      state: 'waiting',
      notes: ['another host'],
      ends: expect.stringMatching(/in 9 days|in 10 days/),
    });
    expect(own).toMatchObject({ state: 'own', subject: 'Tidegate test (Tidegate)' });
    await folder.trust.decide(fingerprintOf(one[0]), 'rejected');
    expect(await folder.trust.judge(one)).toEqual({ is: 'rejected' });
  });

  test('one certificate on two connections waits once, for both', async () => {
    const store = await trustingFolder();
    const aside = (connection: string) =>
      store.trust.putAside(chain(good), { connection, endpoint: 'opc.tcp://a', notes: [`for ${connection}`] });
    expect([await aside('a'), await aside('b'), await aside('a')]).toEqual([true, true, false]);
    expect(await store.trust.list()).toMatchObject([
      { state: 'waiting', met: ['a at opc.tcp://a', 'b at opc.tcp://a'], notes: ['for a', 'for b'] },
    ]);
    store.done();
  });

  test('what is decided last counts, whatever was before', async () => {
    const store = await trustingFolder();
    const states = async () => (await store.trust.list()).map(({ state }) => state);
    await store.trust.putAside(chain(good), { connection: 'a', endpoint: 'opc.tcp://a', notes: [] });
    await store.trust.add(Buffer.from(good.certificate));
    expect([(await store.trust.judge(chain(good))).is, await states()]).toEqual(['trusted', ['trusted']]);
    await store.trust.decide(fingerprintOf(chain(good)[0]), 'rejected');
    expect([(await store.trust.judge(chain(good))).is, await states()]).toEqual(['rejected', ['rejected']]);
    await store.trust.add(Buffer.from(good.certificate));
    expect([(await store.trust.judge(chain(good))).is, await states()]).toEqual(['trusted', ['trusted']]);
    store.done();
  });

  test('one that lies in two folders, put there by hand, is rejected', async () => {
    const store = await trustingFolder(good);
    writeFileSync(join(store.data, 'pki', 'rejected', 'by-hand.der'), new X509Certificate(good.certificate).raw);
    expect(await store.trust.judge(chain(good))).toEqual({ is: 'rejected' });
    await store.trust.decide(fingerprintOf(chain(good)[0]), 'trusted');
    expect((await store.trust.list()).map(({ state }) => state)).toEqual(['trusted']);
    store.done();
  });

  test('does not fill the disk with certificates that somebody makes up', async () => {
    const crowded = await trustingFolder();
    const aside = async (pem: PemIdentity) =>
      crowded.trust.putAside(chain(pem), { connection: 'a', endpoint: 'opc.tcp://a', notes: [] });
    expect(await aside(good)).toBe(true);
    const waiting = join(crowded.data, 'pki', 'waiting');
    for (let count = 0; count < 100; count++) writeFileSync(join(waiting, `${count}.pem`), good.certificate);
    expect(await aside(await makePem())).toBe(false);
    crowded.done();
  });

  test('a file that is no certificate is named', async () => {
    const file = join(folder.data, 'pki', 'trusted', 'notes.der');
    writeFileSync(file, 'not a certificate');
    await expect(folder.trust.list()).rejects.toThrow(/notes\.der holds no certificate/);
    await expect(folder.trust.add(Buffer.from('x'))).rejects.toThrow(/holds no certificate/);
  });
});

describe('an authority that is trusted', () => {
  let authority: Authority;
  let leaf: PemIdentity;
  let store: Awaited<ReturnType<typeof trustingFolder>>;
  beforeAll(async () => {
    authority = await makeAuthority();
    leaf = await authority.sign({});
  });
  beforeEach(async () => {
    store = await trustingFolder();
  });
  afterEach(() => store.done());
  const judge = (...pems: PemIdentity[]) => store.trust.judge(chain(...pems));
  const add = (pem: string) => store.trust.add(Buffer.from(pem));
  const notes = async () => (await store.trust.list())[0]?.notes;

  test('vouches for what it signed, once its revocation list is here, and for nothing else', async () => {
    expect(await judge(leaf)).toEqual({ is: 'unknown' });
    await expect(add(await authority.takeBack([]))).rejects.toThrow(/no authority that is trusted has signed/);
    await add(authority.certificate);
    const note = 'Plant CA has signed it, but its revocation list is not here';
    expect(await judge(leaf)).toEqual({ is: 'unknown', note });
    expect(await notes()).toEqual([expect.stringMatching(/vouches for nobody/)]);
    await add(await authority.takeBack([]));
    expect(await judge(leaf)).toEqual({ is: 'vouched' });
    expect(await notes()).toEqual([
      expect.stringMatching(/^has taken back 0 certificates: list of .*, the next is due/),
    ]);
    expect(await judge(good)).toEqual({ is: 'unknown' });
  });

  test('takes certificates back: those too that a person trusted', async () => {
    await add(authority.certificate);
    await add(leaf.certificate);
    expect(await judge(leaf)).toEqual({ is: 'trusted' });
    const held = chain(leaf);
    expect(await store.trust.holds(held)).toBe(true);
    await add(await authority.takeBack([leaf]));
    expect(await judge(leaf)).toEqual({ is: 'revoked', note: 'Plant CA has taken back Press 8' });
    expect(await store.trust.holds(held)).toBe(false);
    await expect(add(await authority.takeBack([], { made: new Date(Date.now() - DAY) }))).rejects.toThrow(/newer/);
  });

  test('with a list that is old still vouches, and that is told', async () => {
    await add(authority.certificate);
    const [made, next] = [new Date(Date.now() - 2 * DAY), new Date(Date.now() - DAY)];
    await add(await authority.takeBack([], { made, next }));
    expect(await judge(leaf)).toEqual({
      is: 'vouched',
      note: expect.stringMatching(/^the revocation list of Plant CA is old/),
    });
  });

  test('vouches by way of others, as long as each has its list, and is of today', async () => {
    const line = await authority.sign({ name: 'Line CA', purpose: 'authority' });
    const press = await line.authority().sign({ name: 'Press 9' });
    await add(authority.certificate);
    await add(await authority.takeBack([]));
    expect(await judge(press, line)).toEqual({ is: 'unknown', note: expect.stringContaining('Line CA has signed it') });
    writeFileSync(join(store.data, 'pki', 'trusted', 'line.crl'), await line.authority().takeBack([]));
    expect(await judge(press, line)).toEqual({ is: 'vouched' });
    expect(await judge(press)).toEqual({ is: 'unknown' });
    await add(await authority.takeBack([line]));
    expect(await judge(press, line)).toEqual({ is: 'revoked', note: 'Plant CA has taken back Line CA' });
    const old = await authority.sign({ name: 'Old CA', purpose: 'authority', until: new Date(Date.now() - 1000) });
    expect(await judge(await old.authority().sign({}), old)).toEqual({ is: 'unknown' });
  });

  test('vouches by way of no more others than it may', async () => {
    for (const [allowed, is] of [
      [0, 'unknown'],
      [1, 'vouched'],
    ] as const) {
      const own = await trustingFolder();
      const root = await makeAuthority('Root CA', allowed);
      const line = await root.sign({ name: 'Line CA', purpose: 'authority' });
      const press = await line.authority().sign({ name: 'Press 9' });
      await own.trust.add(Buffer.from(root.certificate));
      await own.trust.add(Buffer.from(await root.takeBack([])));
      writeFileSync(join(own.data, 'pki', 'trusted', 'line.crl'), await line.authority().takeBack([]));
      expect((await own.trust.judge(chain(press, line))).is).toBe(is);
      expect((await own.trust.judge(chain(await root.sign({})))).is).toBe('vouched');
      own.done();
    }
  });

  test('is none by signing without being an authority', async () => {
    await add(leaf.certificate);
    const forged = await (await authority.sign({})).authority().sign({ name: 'Press 10' });
    await add(await authority.takeBack([])).catch(() => {});
    expect(await judge(forged)).toEqual({ is: 'unknown' });
  });
});
