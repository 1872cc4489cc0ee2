/**
 * Whom we trust: one PEM file for each certificate in a folder that says what was decided. Nothing gets into `trusted/` but by a
 * person: `tidegate trust`, or a file put there by hand. A certificate authority in `trusted/` vouches for all that it signed.
 */
import type { X509Certificate } from 'node:crypto';
import { access, readdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { KnownCertificate, TrustDecision, TrustStore } from '../../src/driver.js';
import { messageOf, TidegateError } from '../../src/errors.js';
import {
  type Chain,
  day,
  type Findings,
  fingerprintOf,
  isIssuedBy,
  namesOf,
  readChain,
  subjectOf,
} from './certificate.js';
import { makeFolder, writeWhole } from './private-files.js';

const FOLDERS = ['waiting', 'trusted', 'rejected'] as const;
type Folder = (typeof FOLDERS)[number];

/** One file of the store. */
interface Entry {
  readonly folder: Folder;
  readonly file: string;
  readonly chain: Chain;
  /** `press at opc.tcp://10.0.0.9:4840`: where the certificate was met. */
  readonly met: readonly string[];
  readonly notes: readonly string[];
}

/** Who was met, to be put down beside a certificate that waits. */
export interface Meeting {
  readonly connection: string;
  readonly endpoint: string;
  readonly findings: Findings;
}

/** The store of one data folder. */
export class Trust implements TrustStore {
  readonly #folder: string;

  /** @param folder the driver's own folder in the data folder */
  constructor(folder: string) {
    this.#folder = join(folder, 'pki');
  }

  /** What was decided on a certificate, itself or by way of a trusted authority; `unknown` when nobody saw it yet. */
  async judge(chain: Chain): Promise<'trusted' | 'vouched' | 'rejected' | 'waiting' | 'unknown'> {
    const wanted = fingerprintOf(chain[0]);
    const entries = await this.#entries();
    const own = entries.find(({ chain: [certificate] }) => fingerprintOf(certificate) === wanted);
    if (own?.folder === 'trusted' || own?.folder === 'rejected') return own.folder;
    const authorities = entries
      .filter(({ folder }) => folder === 'trusted')
      .map(({ chain: [certificate] }) => certificate);
    if (isVouchedFor(chain, authorities)) return 'vouched';
    return own?.folder ?? 'unknown';
  }

  /** Puts a certificate aside until somebody decides. */
  async putAside(chain: Chain, { connection, endpoint, findings }: Meeting): Promise<void> {
    await this.#prepare();
    const notes = Object.values(findings).map((finding) => `note: ${finding}`);
    const head = [`subject: ${subjectOf(chain[0])}`, `met: ${connection} at ${endpoint}`, ...notes];
    await writeWhole(this.#path('waiting', chain[0]), `${head.join('\n')}\n${pemOf(chain)}`);
  }

  async list(): Promise<KnownCertificate[]> {
    const entries = await this.#entries();
    return entries.map(({ folder, chain: [certificate], met, notes }) => ({
      state: folder,
      ...factsOf(certificate),
      met,
      ...(notes.length > 0 && { notes }),
    }));
  }

  async decide(fingerprint: string, decision: TrustDecision): Promise<void> {
    const entry = (await this.#entries()).find(({ chain: [one] }) => fingerprintOf(one) === fingerprint);
    if (entry === undefined) throw new TidegateError('USAGE', `no certificate has the fingerprint ${fingerprint}`);
    if (entry.folder === decision) return;
    await rename(entry.file, this.#path(decision, entry.chain[0]));
  }

  async add(bytes: Buffer): Promise<KnownCertificate> {
    const chain = parse(bytes, 'the file');
    await this.#prepare();
    await writeWhole(this.#path('trusted', chain[0]), `subject: ${subjectOf(chain[0])}\n${pemOf(chain)}`);
    return { state: 'trusted', ...factsOf(chain[0]), met: [] };
  }

  async own(options: {
    readonly renew?: boolean;
    readonly gateway: string;
  }): Promise<KnownCertificate & { readonly der: Buffer }> {
    const { loadLibrary } = await import('./library.js');
    await loadLibrary();
    const { ownIdentity } = await import('./own.js');
    const { certificate } = await ownIdentity(this.#folder, options);
    return { state: 'own', ...factsOf(certificate), met: [], der: certificate.raw };
  }

  /** Whether the certificate itself still lies in `trusted/`, or is vouched for. */
  async holds(chain: Chain): Promise<boolean> {
    const there = await access(this.#path('trusted', chain[0])).then(
      () => true,
      () => false,
    );
    if (there) return true;
    const judged = await this.judge(chain);
    return judged === 'trusted' || judged === 'vouched';
  }

  /** The folder of certificates and keys. */
  get folder(): string {
    return this.#folder;
  }

  #path(folder: Folder, certificate: X509Certificate): string {
    return join(this.#folder, folder, `${fingerprintOf(certificate)}.pem`);
  }

  async #prepare(): Promise<void> {
    for (const folder of FOLDERS) await makeFolder(join(this.#folder, folder));
  }

  /** All certificates, those that wait first. A file that is none is told by its name. */
  async #entries(): Promise<Entry[]> {
    const entries: Entry[] = [];
    for (const folder of FOLDERS)
      for (const name of (await namesIn(join(this.#folder, folder))).sort()) {
        const file = join(this.#folder, folder, name);
        const bytes = await readFile(file).catch(() => undefined);
        if (bytes === undefined) continue;
        const head = (key: string): string[] =>
          [...bytes.toString('utf8').matchAll(new RegExp(`^${key}: (.*)$`, 'gm'))].map(([, text]) => text ?? '');
        entries.push({ folder, file, chain: parse(bytes, file), met: head('met'), notes: head('note') });
      }
    return entries;
  }
}

async function namesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => /\.(pem|der|crt|cer)$/i.test(name));
}

function parse(bytes: Buffer, file: string): Chain {
  try {
    return readChain(bytes);
  } catch (cause) {
    const hint = 'Give a certificate as PEM or DER, or remove the file.';
    throw new TidegateError('CONFIG_FILE', `${file} ${messageOf(cause)}`, { hint, cause });
  }
}

/** Follows the chain upwards until an authority that is trusted. */
function isVouchedFor(chain: Chain, authorities: readonly X509Certificate[]): boolean {
  const [, ...brought] = chain;
  let at: X509Certificate = chain[0];
  for (let step = 0; step <= brought.length; step++) {
    if (authorities.some((authority) => isIssuedBy(at, authority))) return true;
    const next = brought.find((one) => one !== at && isIssuedBy(at, one) && isCurrent(one));
    if (next === undefined) return false;
    at = next;
  }
  return false;
}

function isCurrent({ validFrom, validTo }: X509Certificate, now = Date.now()): boolean {
  return Date.parse(validFrom) <= now && now <= Date.parse(validTo);
}

function pemOf(chain: Chain): string {
  return chain.map((certificate) => certificate.toString()).join('');
}

function factsOf(certificate: X509Certificate): Omit<KnownCertificate, 'state' | 'met'> {
  return {
    subject: subjectOf(certificate),
    fingerprint: fingerprintOf(certificate),
    sha1: certificate.fingerprint.replaceAll(':', '').toLowerCase(),
    from: day(Date.parse(certificate.validFrom)),
    until: day(Date.parse(certificate.validTo)),
    hosts: namesOf(certificate).hosts,
    ...(namesOf(certificate).uri !== undefined && { uri: namesOf(certificate).uri }),
    authority: certificate.ca,
  };
}
