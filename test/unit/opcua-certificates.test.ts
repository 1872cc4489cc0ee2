/** What certificates say, what is wrong with them, and who vouches for whom. */
import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Chain, endsSoon, fingerprintOf, inspect, namesOf, readChain } from '../../drivers/opcua/certificate.js';
import { loadLibrary } from '../../drivers/opcua/library.js';
import { makePem, trustingFolder } from '../support/opcua-identity.js';
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
  test('an authority that is trusted vouches for what it signed, and for nothing else', async () => {
    const { crypto_utils: crypto } = await loadLibrary();
    const authority = await crypto.generateKeyPair(2048);
    const { cert: authorityPem } = await crypto.createSelfSignedCertificate({
      privateKey: authority.privateKey,
      subject: 'CN=Plant CA',
      purpose: crypto.CertificatePurpose.ForCertificateAuthority,
      notBefore: new Date(Date.now() - DAY),
      notAfter: new Date(Date.now() + DAY),
    });
    const { csr } = await crypto.createCertificateSigningRequest({
      privateKey: (await crypto.generateKeyPair(2048)).privateKey,
      subject: 'CN=Press 8',
      applicationUri: 'urn:acme:press-8',
      dns: ['plc-8'],
      purpose: crypto.CertificatePurpose.ForApplication,
    });
    const { cert } = await crypto.createCertificateFromCsr({
      csr,
      issuerName: 'CN=Plant CA',
      issuerPublicKey: authority.publicKey as never,
      signingKey: authority.privateKey,
      signingAlgorithm: { name: 'RSASSA-PKCS1-v1_5', hash: { name: 'SHA-256' } },
      purpose: crypto.CertificatePurpose.ForApplication,
      notBefore: new Date(Date.now() - DAY),
      notAfter: new Date(Date.now() + DAY),
    });
    const leaf = chain({ certificate: cert, key: '' });
    expect(await folder.trust.judge(leaf)).toBe('unknown');
    await folder.trust.add(Buffer.from(authorityPem));
    expect(await folder.trust.judge(leaf)).toBe('vouched');
    expect(await folder.trust.judge(chain(good))).toBe('unknown');
    await folder.trust.putAside(leaf, {
      connection: 'a',
      endpoint: 'opc.tcp://a',
      findings: { names: 'another host' },
    });
    await folder.trust.decide(fingerprintOf(leaf[0]), 'rejected');
    expect(await folder.trust.judge(leaf)).toBe('rejected');
    const known = await folder.trust.list();
    expect(known.map(({ state, authority: is, notes }) => [state, is, notes])).toEqual([
      ['trusted', true, undefined],
      ['rejected', false, ['another host']],
    ]);
  });

  test('a file that is no certificate is named', async () => {
    const file = join(folder.data, 'pki', 'trusted', 'notes.der');
    writeFileSync(file, 'not a certificate');
    await expect(folder.trust.list()).rejects.toThrow(/notes\.der holds no certificate/);
    await expect(folder.trust.add(Buffer.from('x'))).rejects.toThrow(/holds no certificate/);
  });
});
