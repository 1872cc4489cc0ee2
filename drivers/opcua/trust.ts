/**
 * Whom we trust: one PEM file for each certificate in a folder that says what was decided. Nothing gets into `trusted/` but by a
 * person: `tidegate trust`, or a file put there by hand. A certificate authority in `trusted/` vouches for what it signed, as long as its
 * revocation list (`.crl`) lies there too.
 */
import { X509Certificate } from 'node:crypto';
import { readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { KnownCertificate, TrustDecision, TrustStore } from '../../src/driver.js';
import { messageOf, TidegateError } from '../../src/errors.js';
import { type Chain, day, endsSoon, fingerprintOf, issuersOf, namesOf, readChain, subjectOf } from './certificate.js';
import { makeFolder, writeWhole } from './private-files.js';
import { askIssuers, newestList, type RevocationList, readRevocationList, wordsOnList } from './revocation.js';

const FOLDERS = ['waiting', 'trusted', 'rejected'] as const;
type Folder = (typeof FOLDERS)[number];

const HOUR = 3_600_000;
/** Most certificates that wait: who makes up ever new ones must not fill the disk. */
const MOST_WAITING = 100;

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
  /** What whoever decides should know. */
  readonly notes: readonly string[];
}

/** What was decided on a certificate: itself, or `vouched` by way of a trusted authority, which may have taken it back since. */
export interface Verdict {
  readonly is: 'trusted' | 'vouched' | 'revoked' | 'rejected' | 'waiting' | 'unknown';
  /** What whoever decides, or trusts the list, should know. */
  readonly note?: string;
}

/** The store of one data folder. */
export class Trust implements TrustStore {
  readonly #folder: string;
  /** What `holds` found last, and what it saw then. */
  #held: { readonly chain: Chain; readonly seen: string; readonly holds: boolean } | undefined;

  /** @param folder the driver's own folder in the data folder */
  constructor(folder: string) {
    this.#folder = join(folder, 'pki');
  }

  /** What was decided on a certificate (OPC UA Part 4 §6.1.3: trust list, revocation list). */
  async judge(chain: Chain): Promise<Verdict> {
    const wanted = fingerprintOf(chain[0]);
    const entries = await this.#entries();
    const own = entries.find(({ chain: [certificate] }) => fingerprintOf(certificate) === wanted)?.folder ?? 'unknown';
    if (own === 'rejected') return { is: own };
    const issuers = issuersOf(chain, trustedIn(entries));
    const said = issuers ? await askIssuers(chain[0], issuers, this.#folderOf('trusted')) : {};
    if (said.is === 'revoked' || (said.is === 'vouched' && own !== 'trusted')) return { is: said.is, ...said };
    return own === 'trusted' ? { is: own } : { ...said, is: own };
  }

  /** Puts a certificate aside until somebody decides. Gives false when it was met there before, or too many wait. */
  async putAside(chain: Chain, { connection, endpoint, notes }: Meeting): Promise<boolean> {
    await this.#prepare();
    const waiting = (await this.#files()).filter(({ folder }) => folder === 'waiting');
    const before = waiting.find((one) => isOf(one, chain[0]));
    const met = `${connection} at ${endpoint}`;
    if (before?.met.includes(met) || (!before && waiting.length >= MOST_WAITING)) return false;
    const lines = [
      `subject: ${subjectOf(chain[0])}`,
      ...[...(before?.met ?? []), met].map((where) => `met: ${where}`),
      ...new Set([...(before?.notes ?? []), ...notes].map((note) => `note: ${note}`)),
    ];
    await writeWhole(this.#path('waiting', chain[0]), `${lines.join('\n')}\n${pemOf(chain)}`);
    return true;
  }

  async list(): Promise<KnownCertificate[]> {
    const known = (await this.#entries()).map(({ folder: state, chain: [certificate], met, notes }) =>
      this.#known(state, certificate, met, notes),
    );
    const own = await readFile(join(this.#folder, 'own', 'certificate.pem'))
      .then((pem) => new X509Certificate(pem))
      .catch(() => undefined);
    return Promise.all(own ? [...known, this.#known('own', own)] : known);
  }

  async decide(fingerprint: string, decision: TrustDecision): Promise<void> {
    const entry = (await this.#entries()).find(({ chain: [one] }) => fingerprintOf(one) === fingerprint);
    if (entry === undefined) throw new TidegateError('USAGE', `no certificate has the fingerprint ${fingerprint}`);
    const file = this.#path(decision, entry.chain[0]);
    await rename(entry.file, file);
    await this.#keepOnly(file, entry.chain[0]);
  }

  /** What was decided on a certificate is in this file, and in no other. */
  async #keepOnly(file: string, certificate: X509Certificate): Promise<void> {
    for (const one of await this.#files()) if (one.file !== file && isOf(one, certificate)) await rm(one.file);
  }

  async add(bytes: Buffer): Promise<KnownCertificate> {
    let chain: Chain;
    try {
      chain = parse(bytes, 'the file');
    } catch (error) {
      const list = await readRevocationList(bytes).catch(() => undefined);
      if (list) return this.#addList(list, bytes);
      throw error;
    }
    await this.#prepare();
    const file = this.#path('trusted', chain[0]);
    await writeWhole(file, `subject: ${subjectOf(chain[0])}\n${pemOf(chain)}`);
    await this.#keepOnly(file, chain[0]);
    return this.#known('trusted', chain[0]);
  }

  async #addList(list: RevocationList, bytes: Buffer): Promise<KnownCertificate> {
    for (const authority of trustedIn(await this.#entries())) {
      if (!(await list.isOf(authority))) continue;
      const present = await newestList(this.#folderOf('trusted'), authority);
      if (present && present.made > list.made)
        throw new TidegateError('USAGE', `a newer revocation list is here already, of ${day(present.made)}`);
      await writeWhole(this.#path('trusted', authority, 'crl'), bytes);
      return this.#known('trusted', authority);
    }
    throw new TidegateError('USAGE', 'no authority that is trusted has signed this revocation list', {
      hint: "Add the authority's certificate first.",
    });
  }

  async own(options: {
    readonly renew?: boolean;
    readonly gateway: string;
  }): Promise<KnownCertificate & { readonly der: Buffer }> {
    const { loadLibrary } = await import('./library.js');
    await loadLibrary();
    const { ownIdentity } = await import('./own.js');
    const { certificate } = await ownIdentity(this.#folder, options);
    return { ...(await this.#known('own', certificate)), der: certificate.raw };
  }

  /** Whether what was let in would still be. Judges anew when a file has changed, and each hour: time ends authorities too. */
  async holds(chain: Chain): Promise<boolean> {
    const seen = await this.#look();
    if (this.#held?.chain !== chain || this.#held.seen !== seen) {
      const { is } = await this.judge(chain);
      this.#held = { chain, seen, holds: is === 'trusted' || is === 'vouched' };
    }
    return this.#held.holds;
  }

  /** Is otherwise when a file that may decide has changed, or another hour has come. */
  async #look(): Promise<string> {
    const seen = [`${Math.floor(Date.now() / HOUR)}`];
    for (const folder of ['trusted', 'rejected'] as const)
      for (const name of await readdir(this.#folderOf(folder)).catch(() => [])) {
        const file = join(this.#folderOf(folder), name);
        const is = await stat(file).catch(() => undefined);
        seen.push(`${file} ${is?.mtimeMs} ${is?.size}`);
      }
    return seen.join('\n');
  }

  /** The folder of certificates and keys. */
  get folder(): string {
    return this.#folder;
  }

  #folderOf(folder: Folder): string {
    return join(this.#folder, folder);
  }

  #path(folder: Folder, certificate: X509Certificate, ending = 'pem'): string {
    return join(this.#folder, folder, `${fingerprintOf(certificate)}.${ending}`);
  }

  async #known(
    state: KnownCertificate['state'],
    certificate: X509Certificate,
    met: readonly string[] = [],
    before: readonly string[] = [],
  ): Promise<KnownCertificate> {
    const notes = [...before];
    const ends = endsSoon(certificate);
    if (state === 'trusted' && certificate.ca && !namesOf(certificate).uri)
      notes.push(wordsOnList(await newestList(this.#folderOf('trusted'), certificate)));
    return {
      state,
      ...factsOf(certificate),
      ...(ends !== undefined && { ends }),
      met,
      ...(notes.length > 0 && { notes }),
    };
  }

  async #prepare(): Promise<void> {
    for (const folder of FOLDERS) await makeFolder(join(this.#folder, folder));
  }

  /** All certificates, those that wait first. Of one that lies in several folders, put there by hand: rejected counts before trusted. */
  async #entries(): Promise<Entry[]> {
    const entries = new Map<string, Entry>();
    for (const entry of await this.#files()) {
      const fingerprint = fingerprintOf(entry.chain[0]);
      entries.delete(fingerprint);
      entries.set(fingerprint, entry);
    }
    return [...entries.values()];
  }

  /** All files, by folder. One that is no certificate is told by its name. */
  async #files(): Promise<Entry[]> {
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

function isOf({ chain: [held] }: Entry, certificate: X509Certificate): boolean {
  return held.raw.equals(certificate.raw);
}

function trustedIn(entries: readonly Entry[]): X509Certificate[] {
  return entries.filter(({ folder }) => folder === 'trusted').map(({ chain: [certificate] }) => certificate);
}

function parse(bytes: Buffer, file: string): Chain {
  try {
    return readChain(bytes);
  } catch (cause) {
    const hint = 'Give a certificate as PEM or DER, or remove the file.';
    throw new TidegateError('CONFIG_FILE', `${file} ${messageOf(cause)}`, { hint, cause });
  }
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
