/** What certificates say, and what is wrong with them (OPC UA Part 4 §6.1.3). */
import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { contentOf, partsOf, splitDer } from './der.js';

/** A certificate with those that vouch for it, as far as it brought them along: the first is the one itself. */
export type Chain = readonly [X509Certificate, ...X509Certificate[]];

/** Days before the end of a certificate at which that is worth a warning. */
const SOON = 30;
const DAY = 86_400_000;
/** Bits of an RSA key in the security policies that are spoken (OPC UA Part 7 §6.6.2). */
const BITS: readonly [least: number, most: number] = [2_048, 4_096];
/** Signatures that can be forged, or nearly, by their object identifiers: with MD2, MD5 and SHA-1 (RFC 3279 §2.2). */
const WEAK: Readonly<Record<string, string>> = {
  '2a864886f70d010102': 'MD2',
  '2a864886f70d010104': 'MD5',
  '2a864886f70d010105': 'SHA-1',
  '2b0e03021d': 'SHA-1',
  '2a8648ce3d0401': 'SHA-1',
};
/** Tags of DER, and the extension that says what an authority may (RFC 5280 §4.1, §4.2.1.9). */
const SEQUENCE = 0x30;
const INTEGER = 0x02;
const EXTENSIONS = 0xa3;
const CONSTRAINTS = '551d13';
/** Extended key usage of a server (RFC 5280 §4.2.1.12). */
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';

/**
 * Reads a certificate or a chain: PEM, or DER one behind the other.
 * @throws Error when it is neither
 */
export function readChain(bytes: Buffer): Chain {
  const text = bytes.toString('latin1');
  const parts = text.includes('-----BEGIN')
    ? [...text.matchAll(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)].map(([pem]) => pem)
    : bytes[0] === SEQUENCE
      ? splitDer(bytes)
      : [];
  const [first, ...others] = parts.map((part) => new X509Certificate(part));
  if (first === undefined) throw new Error('holds no certificate');
  return [first, ...others];
}

/** The hash of its signature, where it is none to rely on. A certificate is what is signed, by which algorithm, and the signature. */
function weakHashOf({ raw }: X509Certificate): string | undefined {
  const [, algorithm] = partsOf(raw);
  return WEAK[contentOf(partsOf(algorithm)[0]).toString('hex')];
}

/** How many authorities may stand between this one and what it vouches for (RFC 5280 §4.2.1.9). */
function pathLengthOf({ raw }: X509Certificate): number {
  const [signed] = partsOf(raw);
  const [extensions] = partsOf(partsOf(signed).find(([tag]) => tag === EXTENSIONS));
  const constraints = partsOf(extensions).find((one) => contentOf(partsOf(one)[0]).toString('hex') === CONSTRAINTS);
  const [inside] = splitDer(contentOf(partsOf(constraints).at(-1)));
  const length = partsOf(inside).find(([tag]) => tag === INTEGER);
  return length === undefined ? Number.POSITIVE_INFINITY : Number(`0x${contentOf(length).toString('hex')}`);
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

/** Whether `issuer` vouches for `certificate`, now, by a signature to rely on, and with so many authorities between it and the first. */
function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate, between: number, now = Date.now()): boolean {
  const current = Date.parse(issuer.validFrom) <= now && now <= Date.parse(issuer.validTo);
  if (!issuer.ca || !current || weakHashOf(certificate) !== undefined) return false;
  if (between > pathLengthOf(issuer)) return false;
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

/** Who signed a certificate, who signed that one, and so on to an authority that is trusted; undefined when none is. */
export function issuersOf(chain: Chain, authorities: readonly X509Certificate[]): X509Certificate[] | undefined {
  const [, ...brought] = chain;
  const issuers: X509Certificate[] = [];
  let at: X509Certificate = chain[0];
  for (let step = 0; step <= brought.length; step++) {
    const authority = authorities.find((one) => isIssuedBy(at, one, step));
    if (authority) return [...issuers, authority];
    const next = brought.find((one) => !issuers.includes(one) && isIssuedBy(at, one, step));
    if (next === undefined) return undefined;
    issuers.push(next);
    at = next;
  }
  return undefined;
}

/** What the other side was expected to be. */
export interface Expected {
  /** Host name or address that was connected to. */
  readonly host: string;
  /** The application URI that the server says to have. */
  readonly applicationUri: string;
}

/** What is wrong with a server's certificate. `time`, `names` and `usage` can be accepted by people, `fatal` never. */
export interface Findings {
  readonly fatal?: string;
  readonly time?: string;
  readonly names?: string;
  readonly usage?: string;
}

/** Looks at everything but trust. */
export function inspect([certificate]: Chain, { host, applicationUri }: Expected, now = Date.now()): Findings {
  const { hosts, uri } = namesOf(certificate);
  const bits = certificate.publicKey.asymmetricKeyDetails?.modulusLength ?? 0;
  const hash = weakHashOf(certificate);
  const wrong: { -readonly [Finding in keyof Findings]: Findings[Finding] } = {};
  if (certificate.checkIssued(certificate) && !certificate.verify(certificate.publicKey))
    wrong.fatal = 'its signature is wrong (BadCertificateInvalid)';
  else if (bits < BITS[0] || bits > BITS[1])
    wrong.fatal = `its key has ${bits} bits, not ${BITS[0]} to ${BITS[1]} (BadCertificatePolicyCheckFailed)`;
  else if (hash !== undefined)
    wrong.fatal = `it is signed with ${hash}, which can be forged (BadCertificatePolicyCheckFailed)`;
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
  if (certificate.keyUsage && !certificate.keyUsage.includes(SERVER_AUTH))
    wrong.usage = 'it is not meant for servers (BadCertificateUseNotAllowed)';
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
