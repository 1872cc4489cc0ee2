/** Certificates made with openssl: an authority, a server for 127.0.0.1, a client, and a client that the authority never saw. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './programs.js';

/** PEM files of one key pair. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** What a TLS or mTLS broker and its clients need. */
export interface Certificates {
  readonly ca: string;
  readonly server: KeyPair;
  readonly client: KeyPair;
  readonly stranger: KeyPair;
}

/** Makes all of them in `folder`. */
export function makeCertificates(folder: string): Certificates {
  const authority = selfSigned(folder, 'authority');
  return {
    ca: authority.cert,
    server: signed(folder, 'server', authority, 'subjectAltName=IP:127.0.0.1,DNS:localhost'),
    client: signed(folder, 'client', authority, 'extendedKeyUsage=clientAuth'),
    stranger: selfSigned(folder, 'stranger'),
  };
}

function selfSigned(folder: string, name: string): KeyPair {
  const pair = files(folder, name);
  openssl('req', '-x509', '-days', '2', ...newKey(pair.key), '-subj', `/CN=${name}`, '-out', pair.cert);
  return pair;
}

function signed(folder: string, name: string, authority: KeyPair, extension: string): KeyPair {
  const pair = files(folder, name);
  const [request, extensions] = [join(folder, `${name}.csr`), join(folder, `${name}.ext`)];
  writeFileSync(extensions, extension);
  openssl('req', '-new', ...newKey(pair.key), '-subj', `/CN=${name}`, '-out', request);
  const by = ['-CA', authority.cert, '-CAkey', authority.key, '-CAcreateserial'];
  openssl('x509', '-req', '-days', '2', '-in', request, ...by, '-extfile', extensions, '-out', pair.cert);
  return pair;
}

function files(folder: string, name: string): KeyPair {
  return { cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
}

/** A new elliptic-curve key, without a pass phrase. */
function newKey(file: string): string[] {
  return ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', file];
}

function openssl(...args: string[]): void {
  run('openssl', args);
}
