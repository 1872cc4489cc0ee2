/** Certificates for tests: made once in a file, with 2048 bits. */
import { mkdtempSync, rmSync } from 'node:fs';
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
    dns: (wanted.hosts ?? ['127.0.0.1']).filter((host) => !/^[\d.]+$/.test(host)),
    ip: (wanted.hosts ?? ['127.0.0.1']).filter((host) => /^[\d.]+$/.test(host)),
    notBefore: wanted.from ?? new Date(Date.now() - 86_400_000),
    notAfter: wanted.until ?? new Date(Date.now() + 365 * 86_400_000),
    purpose: crypto.CertificatePurpose.ForApplication,
  });
  return { certificate: cert, key: privPem };
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
