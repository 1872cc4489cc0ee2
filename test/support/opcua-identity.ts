/** Certificates for tests: made once in a file, with 2048 bits. */
import type { webcrypto } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { isIP } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadLibrary } from '../../drivers/opcua/library.js';
import { Trust } from '../../drivers/opcua/trust.js';
import type { PemIdentity } from './opcua-peer.js';

/** What a certificate is to say. */
export interface Wanted {
  readonly uri?: string;
  readonly hosts?: readonly string[];
  readonly from?: Date;
  readonly until?: Date;
  readonly name?: string;
}

/** A key and a certificate that it signed. */
export async function makePem(wanted: Wanted = {}): Promise<PemIdentity> {
  const { crypto_utils: crypto } = await loadLibrary();
  const { privateKey } = await crypto.generateKeyPair(2048);
  const { privPem } = await crypto.privateKeyToPEM(privateKey);
  const { cert } = await crypto.createSelfSignedCertificate({
    privateKey,
    subject: `CN=${wanted.name ?? 'Press 7'}/O=Acme`,
    applicationUri: wanted.uri ?? 'urn:acme:press-7',
    ...namesOf(wanted.hosts ?? ['127.0.0.1']),
    ...validity(wanted),
    purpose: crypto.CertificatePurpose.ForApplication,
  });
  return { certificate: cert, key: privPem };
}

/** A certificate of other strength, or for another use, than what servers have today. */
export async function makeOdd({ bits = 2048, hash = 'SHA-256', usage = '1.3.6.1.5.5.7.3.1' }): Promise<PemIdentity> {
  const { x509, getCrypto } = (await loadLibrary()).crypto_utils;
  const signingAlgorithm = {
    name: 'RSASSA-PKCS1-v1_5',
    hash,
    modulusLength: bits,
    publicExponent: Uint8Array.of(1, 0, 1),
  };
  const keys = await getCrypto().subtle.generateKey(signingAlgorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: 'CN=Press 7',
      keys,
      signingAlgorithm,
      ...validity(),
      extensions: [
        new x509.SubjectAlternativeNameExtension([
          { type: 'url', value: 'urn:acme:press-7' },
          { type: 'dns', value: 'plc-1' },
        ]),
        new x509.ExtendedKeyUsageExtension([usage]),
      ],
    },
    getCrypto(),
  );
  return { certificate: certificate.toString('pem'), key: '' };
}

/** Who signs certificates, and takes them back. */
export interface Authority {
  readonly certificate: string;
  sign(
    wanted: Wanted & { readonly purpose?: 'server' | 'authority' },
  ): Promise<PemIdentity & { authority(): Authority }>;
  /** A list of those that it takes back, PEM; the next one is due when it is said, else tomorrow. */
  takeBack(
    certificates: readonly PemIdentity[],
    when?: { readonly made?: Date; readonly next?: Date },
  ): Promise<string>;
}

/** An authority that signed itself, and so many others at most may stand between it and what it vouches for. */
export async function makeAuthority(name = 'Plant CA', pathLength?: number): Promise<Authority> {
  const { x509, getCrypto, generateKeyPair } = (await loadLibrary()).crypto_utils;
  const keys = await generateKeyPair(2048);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: `CN=${name}`,
      keys,
      signingAlgorithm: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
      ...validity(),
      extensions: [
        new x509.BasicConstraintsExtension(true, pathLength, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      ],
    },
    getCrypto(),
  );
  return authorityOf(certificate.toString('pem'), keys);
}

async function authorityOf(certificate: string, keys: webcrypto.CryptoKeyPair): Promise<Authority> {
  const { crypto_utils: crypto } = await loadLibrary();
  const issuerName = new crypto.x509.X509Certificate(certificate).subject;
  const signer = {
    issuerName,
    issuerPublicKey: keys.publicKey as never,
    signingKey: keys.privateKey,
    signingAlgorithm: { name: 'RSASSA-PKCS1-v1_5', hash: { name: 'SHA-256' } },
  } as const;
  return {
    certificate,
    async sign({ name = 'Press 8', uri = 'urn:acme:press-8', hosts = ['127.0.0.1'], purpose, ...when }) {
      const own = await crypto.generateKeyPair(2048);
      const meant =
        purpose === 'authority'
          ? crypto.CertificatePurpose.ForCertificateAuthority
          : crypto.CertificatePurpose.ForApplication;
      const asked = { privateKey: own.privateKey, subject: `CN=${name}`, purpose: meant };
      const { csr } = await crypto.createCertificateSigningRequest(asked);
      const names = purpose === 'authority' ? {} : { applicationUri: uri, ...namesOf(hosts) };
      const granted = { purpose: meant, ...names, ...validity(when) };
      const { cert } = await crypto.createCertificateFromCsr({ ...signer, csr, ...granted });
      const { privPem } = await crypto.privateKeyToPEM(own.privateKey);
      const signed = await authorityOf(cert, own);
      return { certificate: cert, key: privPem, authority: () => signed };
    },
    async takeBack(certificates, { made = new Date(), next = new Date(Date.now() + DAY) } = {}) {
      const entries = certificates.map((one) => ({
        serialNumber: new crypto.x509.X509Certificate(one.certificate).serialNumber,
      }));
      return (await crypto.createCrl({ ...signer, entries, crlNumber: 1, thisUpdate: made, nextUpdate: next })).crl;
    },
  };
}

const DAY = 86_400_000;

function validity({ from, until }: Wanted = {}): { notBefore: Date; notAfter: Date } {
  return { notBefore: from ?? new Date(Date.now() - DAY), notAfter: until ?? new Date(Date.now() + 365 * DAY) };
}

function namesOf(hosts: readonly string[]): { dns: string[]; ip: string[] } {
  return { dns: hosts.filter((host) => isIP(host) === 0), ip: hosts.filter((host) => isIP(host) > 0) };
}

/** A data folder that trusts these certificates; removed by `done`. */
export async function trustingFolder(
  ...trusted: readonly PemIdentity[]
): Promise<{ data: string; trust: Trust; done(): void }> {
  const data = mkdtempSync(join(tmpdir(), 'tidegate-opcua-'));
  const trust = new Trust(data);
  for (const { certificate } of trusted) await trust.add(Buffer.from(certificate));
  return { data, trust, done: () => rmSync(data, { recursive: true, force: true }) };
}
