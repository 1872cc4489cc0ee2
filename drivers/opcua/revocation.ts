/** Revocation lists (CRL, RFC 5280 §5): which certificates an authority has taken back. */
import type { X509Certificate } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { day, subjectOf } from './certificate.js';
import { loadLibrary } from './library.js';

/** A list, and whose it is. */
export interface RevocationList {
  /** When it was made, and when its authority wanted to have made the next; milliseconds since 1970. */
  readonly made: number;
  readonly next: number | undefined;
  /** How many certificates it names. */
  readonly count: number;
  /** Whether this authority has signed it. */
  isOf(authority: X509Certificate): Promise<boolean>;
  names(certificate: X509Certificate): boolean;
}

/**
 * Reads a list: PEM or DER.
 * @throws Error when it is none
 */
export async function readRevocationList(bytes: Buffer): Promise<RevocationList> {
  const { x509 } = (await loadLibrary()).crypto_utils;
  const pem = bytes.toString('latin1').match(/-----BEGIN X509 CRL-----([^-]+)-----END X509 CRL-----/);
  const list = new x509.X509Crl(pem ? Buffer.from(pem[1] ?? '', 'base64') : bytes);
  const serials = new Set(list.entries.map(({ serialNumber }) => numberOf(serialNumber)));
  return {
    made: list.thisUpdate.getTime(),
    next: list.nextUpdate?.getTime(),
    count: serials.size,
    isOf: async (authority) => {
      const publicKey = new x509.X509Certificate(authority.raw);
      return list.issuer === publicKey.subject && (await list.verify({ publicKey }).catch(() => false));
    },
    names: ({ serialNumber }) => serials.has(numberOf(serialNumber)),
  };
}

/** The newest list in a folder that this authority has signed. */
export async function newestList(folder: string, authority: X509Certificate): Promise<RevocationList | undefined> {
  let newest: RevocationList | undefined;
  const names = await readdir(folder).catch(() => []);
  for (const name of names.filter((one) => /\.crl$/i.test(one))) {
    const bytes = await readFile(join(folder, name)).catch(() => Buffer.alloc(0));
    const list = await readRevocationList(bytes).catch(() => undefined);
    if (list && list.made > (newest?.made ?? 0) && (await list.isOf(authority))) newest = list;
  }
  return newest;
}

/**
 * Whether none of a certificate and its issuers was taken back. `is` is absent when nobody can know: a list is missing. One that is old
 * is still used, and told: a gateway that nobody attends must not stop because a list was not renewed.
 */
export async function askIssuers(
  certificate: X509Certificate,
  issuers: readonly X509Certificate[],
  folder: string,
): Promise<{ readonly is?: 'vouched' | 'revoked'; readonly note?: string }> {
  let note: string | undefined;
  for (const [step, issuer] of issuers.entries()) {
    const one = issuers[step - 1] ?? certificate;
    const list = await newestList(folder, issuer);
    if (!list) return { note: `${subjectOf(issuer)} has signed it, but its revocation list is not here` };
    if (list.names(one)) return { is: 'revoked', note: `${subjectOf(issuer)} has taken back ${subjectOf(one)}` };
    if (list.next !== undefined && list.next < Date.now())
      note = `the revocation list of ${subjectOf(issuer)} is old: the next was due on ${day(list.next)}`;
  }
  return { is: 'vouched', ...(note !== undefined && { note }) };
}

/** What people should know of an authority's list. */
export function wordsOnList(list: RevocationList | undefined): string {
  if (!list) return 'its revocation list is not here, so it vouches for nobody: `tidegate trust add` brings it';
  const next = list.next === undefined ? '' : `, the next is due on ${day(list.next)}`;
  return `has taken back ${list.count} certificate${list.count === 1 ? '' : 's'}: list of ${day(list.made)}${next}`;
}

function numberOf(serial: string): bigint {
  return BigInt(`0x${serial}`);
}
