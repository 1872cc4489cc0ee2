/** Our own certificate: made once, kept with its key, shown to every server. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { crypto_utils as crypto } from 'node-opcua-client';
import { messageOf, TidegateError } from '../../src/errors.js';
import { namesOf } from './certificate.js';
import { writeWhole } from './private-files.js';

/** What proves to servers who we are. */
export interface Identity {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
  /** The application URI that the certificate is made out to (OPC UA Part 4 §7.2). */
  readonly uri: string;
}

const BITS = 2_048;
/** Ten years, in milliseconds: every server has to be told of a new one. */
const VALIDITY = 3_650 * 86_400_000;
/** A clock that shows less is not set. */
const RECENT = Date.UTC(2026, 0, 1);

const making = new Map<string, Promise<Identity>>();

/**
 * Our certificate from the store's folder; made when there is none yet, or when it is to be renewed.
 * @param options.gateway name of the gateway, part of the application URI of a new one
 * @throws TidegateError CONFIG_FILE when it cannot be read or written
 */
export async function ownIdentity(folder: string, options: { gateway: string; renew?: boolean }): Promise<Identity> {
  const busy = making.get(folder);
  if (busy && !options.renew) return busy;
  const work = options.renew
    ? make(folder, options.gateway)
    : read(folder).then((own) => own ?? make(folder, options.gateway));
  making.set(folder, work);
  try {
    return await work;
  } finally {
    making.delete(folder);
  }
}

async function read(folder: string): Promise<Identity | undefined> {
  try {
    const certificate = new X509Certificate(await readFile(join(folder, 'own', 'certificate.pem')));
    const key = createPrivateKey(await readFile(join(folder, 'own', 'key.pem')));
    if (!certificate.checkPrivateKey(key)) throw new Error('key.pem does not belong to certificate.pem');
    return { certificate, key, uri: namesOf(certificate).uri ?? '' };
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new TidegateError(
      'CONFIG_FILE',
      `our OPC UA certificate in ${folder}/own cannot be used: ${messageOf(cause)}`,
      {
        hint: 'Make both files readable, or `tidegate trust export --renew` to make new ones; servers must then trust us anew.',
        cause,
      },
    );
  }
}

async function make(folder: string, gateway: string): Promise<Identity> {
  const identity = await makeIdentity(gateway, [hostname()]);
  const key = identity.key.export({ type: 'pkcs8', format: 'pem' });
  try {
    await writeWhole(join(folder, 'own', 'key.pem'), key);
    await writeWhole(join(folder, 'own', 'certificate.pem'), identity.certificate.toString());
  } catch (cause) {
    throw new TidegateError(
      'CONFIG_FILE',
      `our OPC UA certificate cannot be kept in ${folder}/own: ${messageOf(cause)}`,
      {
        cause,
      },
    );
  }
  return identity;
}

/** A new key with a certificate that it signed itself, made out to these host names and addresses. */
export async function makeIdentity(gateway: string, hosts: readonly string[]): Promise<Identity> {
  const uri = `urn:${hostname()}:tidegate:${encodeURIComponent(gateway)}`;
  const { privateKey } = await crypto.generateKeyPair(BITS);
  const { privPem } = await crypto.privateKeyToPEM(privateKey);
  const { cert } = await crypto.createSelfSignedCertificate({
    privateKey,
    subject: `CN=Tidegate ${gateway.replaceAll(/[/,=]/g, ' ')}/O=Tidegate`,
    applicationUri: uri,
    dns: hosts.filter((host) => isIP(host) === 0),
    ip: hosts.filter((host) => isIP(host) > 0),
    notBefore: new Date(Date.now() - 86_400_000),
    notAfter: new Date(Math.max(Date.now(), RECENT) + VALIDITY),
    purpose: crypto.CertificatePurpose.ForApplication,
  });
  return { certificate: new X509Certificate(cert), key: createPrivateKey(privPem), uri };
}
