/** What certificates say, and what is wrong with them (OPC UA Part 4 §6.1.3). */
import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';

/** A certificate with those that vouch for it, as far as it brought them along: the first is the one itself. */
export type Chain = readonly [X509Certificate, ...X509Certificate[]];

/** Days before the end of a certificate at which that is worth a warning. */
const SOON = 30;
const DAY = 86_400_000;
/** Least bits of an RSA key in the security policies that are spoken (OPC UA Part 7 §6.6.2). */
const LEAST_BITS = 2_048;

/**
 * Reads a certificate or a chain: PEM, or DER one behind the other.
 * @throws Error when it is neither
 */
export function readChain(bytes: Buffer): Chain {
  const text = bytes.toString('latin1');
  const parts = text.includes('-----BEGIN')
    ? [...text.matchAll(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)].map(([pem]) => pem)
    : splitDer(bytes);
  const [first, ...others] = parts.map((part) => new X509Certificate(part));
  if (first === undefined) throw new Error('holds no certificate');
  return [first, ...others];
}

/** Cuts DER elements apart by their lengths. */
function splitDer(bytes: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const short = bytes[at + 1] ?? 0;
    const count = short & 0x80 ? short & 0x7f : 0;
    if (bytes[at] !== 0x30 || count > 4 || at + 2 + count > bytes.length) throw new Error('holds no certificate');
    const length = count === 0 ? short : bytes.readUIntBE(at + 2, count);
    const end = at + 2 + count + length;
    parts.push(bytes.subarray(at, end));
    at = end;
  }
  return parts;
}

/** SHA-256 fingerprint in small letters without colons: how the store names a certificate. */
export function fingerprintOf(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(':', '').toLowerCase();
}

/** `PLC-1 (Acme)`: common name and organisation. */
export function subjectOf({ subject }: X509Certificate): string {
  const part = (key: string): string | undefined => new RegExp(`^${key}=(.*)$`, 'm').exec(subject ?? '')?.[1];
  const [name, maker] = [part('CN'), part('O')];
  if (name === undefined) return (subject ?? '').replaceAll('\n', ', ') || 'no name';
  return maker === undefined ? name : `${name} (${maker})`;
}

/** Names that a certificate is made out to. */
export interface MadeOutTo {
  /** Host names and IP addresses. */
  readonly hosts: readonly string[];
  /** The application URI. */
  readonly uri: string | undefined;
}

/** The alternative names of the subject. */
export function namesOf({ subjectAltName }: X509Certificate): MadeOutTo {
  const hosts: string[] = [];
  let uri: string | undefined;
  for (const [, kind, quoted, bare] of (subjectAltName ?? '').matchAll(/([\w ]+):(?:"((?:[^"\\]|\\.)*)"|([^,]*))/g)) {
    const name = quoted === undefined ? (bare ?? '') : (JSON.parse(`"${quoted}"`) as string);
    if (kind?.trim() === 'URI') uri ??= name;
    else if (kind?.trim() === 'DNS' || kind?.trim() === 'IP Address') hosts.push(name);
  }
  return { hosts, uri };
}

/** Whether the certificate signed itself. */
export function isSelfSigned(certificate: X509Certificate): boolean {
  return certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey);
}

/** Whether `issuer` vouches for `certificate`. */
export function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

/** What the other side was expected to be. */
export interface Expected {
  /** Host name or address that was connected to. */
  readonly host: string;
  /** The application URI that the server says to have. */
  readonly applicationUri: string;
}

/** What is wrong with a server's certificate. `names` and `time` can be accepted by people, `fatal` never. */
export interface Findings {
  readonly fatal?: string;
  readonly time?: string;
  readonly names?: string;
}

/** Looks at everything but trust. */
export function inspect([certificate]: Chain, { host, applicationUri }: Expected, now = Date.now()): Findings {
  const { hosts, uri } = namesOf(certificate);
  const bits = certificate.publicKey.asymmetricKeyDetails?.modulusLength ?? 0;
  const wrong: { fatal?: string; time?: string; names?: string } = {};
  if (certificate.checkIssued(certificate) && !certificate.verify(certificate.publicKey))
    wrong.fatal = 'its signature is wrong (BadCertificateInvalid)';
  else if (bits < LEAST_BITS)
    wrong.fatal = `its key has ${bits} bits, fewer than ${LEAST_BITS} (BadCertificatePolicyCheckFailed)`;
  else if (uri !== applicationUri)
    wrong.fatal = `it is made out to the application ${uri ?? '(none)'}, the server says it is ${applicationUri} (BadCertificateUriInvalid)`;
  const from = Date.parse(certificate.validFrom);
  const until = Date.parse(certificate.validTo);
  if (now < from) wrong.time = `it is not valid before ${day(from)} (BadCertificateTimeInvalid)`;
  else if (now > until) wrong.time = `it expired on ${day(until)} (BadCertificateTimeInvalid)`;
  if (
    !hosts.some((name) => name.toLowerCase() === host.toLowerCase()) &&
    !(isIP(host) > 0 && certificate.checkIP(host))
  )
    wrong.names = `it is made out to ${hosts.join(', ') || 'no host'}, not to ${host} (BadCertificateHostNameInvalid)`;
  return wrong;
}

/** A warning for a certificate that ends soon or has ended; undefined when there is time. */
export function endsSoon(certificate: X509Certificate, now = Date.now()): string | undefined {
  const until = Date.parse(certificate.validTo);
  const left = Math.floor((until - now) / DAY);
  if (left > SOON) return undefined;
  return left < 0 ? `expired on ${day(until)}` : `expires on ${day(until)}, in ${left} day${left === 1 ? '' : 's'}`;
}

/** `2027-03-01` */
export function day(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}
