/** Certificates made with openssl: an authority, servers good and bad, a client, and a stranger that the authority never saw. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** PEM files of one key pair. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** What a TLS or mTLS broker and its clients need. */
export interface Certificates {
  readonly ca: string;
  /** For 127.0.0.1 and localhost. */
  readonly server: KeyPair;
  /** The same, until yesterday. */
  readonly expired: KeyPair;
  /** For another host. */
  readonly elsewhere: KeyPair;
  readonly client: KeyPair;
  /** Signed by itself. */
  readonly stranger: KeyPair;
}

const HERE = 'subjectAltName=IP:127.0.0.1,DNS:localhost';

/** Makes all of them in `folder`. */
export function makeCertificates(folder: string): Certificates {
  const authority = selfSigned(folder, 'authority');
  return {
    ca: authority.cert,
    server: signed(folder, 'server', authority, HERE),
    expired: signed(folder, 'expired', authority, HERE, -1),
    elsewhere: signed(folder, 'elsewhere', authority, 'subjectAltName=DNS:elsewhere.test'),
    client: signed(folder, 'client', authority, 'extendedKeyUsage=clientAuth'),
    stranger: selfSigned(folder, 'stranger'),
  };
}

function selfSigned(folder: string, name: string): KeyPair {
  const pair = files(folder, name);
  openssl('req', '-x509', '-days', '2', ...newKey(pair.key), '-subj', `/CN=${name}`, '-out', pair.cert);
  return pair;
}

function signed(folder: string, name: string, authority: KeyPair, extension: string, days = 2): KeyPair {
  const pair = files(folder, name);
  const [request, extensions] = [join(folder, `${name}.csr`), join(folder, `${name}.ext`)];
  writeFileSync(extensions, extension);
  openssl('req', '-new', ...newKey(pair.key), '-subj', `/CN=${name}`, '-out', request);
  const by = ['-CA', authority.cert, '-CAkey', authority.key, '-CAcreateserial'];
  openssl('x509', '-req', '-days', String(days), '-in', request, ...by, '-extfile', extensions, '-out', pair.cert);
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
  execFileSync('openssl', args, { stdio: 'pipe' });
}
