/** `tidegate trust`: the certificates of other sides, and what people decide on them. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { drivers as builtIn } from '../../drivers/index.js';
import type { KnownCertificate, TrustDecision, TrustStore } from '../driver.js';
import { messageOf, TidegateError } from '../errors.js';
import { printable, toJson } from '../ops/text.js';
import { driverFolder } from '../site.js';
import { findSite } from './data.js';
import { EXIT } from './exit.js';
import { formatTable } from './terminal.js';

interface Options {
  readonly config?: string;
  readonly json?: boolean;
}

/** The store of one driver. */
interface Store {
  readonly driver: string;
  readonly store: TrustStore;
}

/** Lists all certificates that are known, those that wait first. Gives the exit code. */
export async function trustList(options: Options = {}): Promise<number> {
  const { stores } = await openStores(options);
  const known = await everything(stores);
  if (options.json) process.stdout.write(`${toJson({ certificates: known.map(({ one }) => one) })}\n`);
  else if (known.length === 0) process.stdout.write('No certificate of any server was met yet.\n');
  else process.stdout.write(`${known.map(({ one }) => textOf(one)).join('\n\n')}\n${nextStep(known)}`);
  return EXIT.ok;
}

/** Trusts a certificate that waits, or was rejected. Gives the exit code. */
export function trustApprove(which: string, options: Options = {}): Promise<number> {
  return decide(which, 'trusted', ['waiting', 'rejected'], options);
}

/** Rejects a certificate that waits. Gives the exit code. */
export function trustReject(which: string, options: Options = {}): Promise<number> {
  return decide(which, 'rejected', ['waiting'], options);
}

/** Takes trust back: a gateway that runs leaves that server within seconds. Gives the exit code. */
export function trustRevoke(which: string, options: Options = {}): Promise<number> {
  return decide(which, 'rejected', ['trusted'], options);
}

/** Trusts a certificate from a file: a server's, or that of an authority that signs them; or takes its revocation list. Gives the exit code. */
export async function trustAdd(file: string, options: Options = {}): Promise<number> {
  const { stores } = await openStores(options);
  const bytes = await readFile(file).catch((cause: unknown) => {
    throw new TidegateError('CONFIG_FILE', `cannot read ${file}: ${messageOf(cause)}`, { cause });
  });
  for (const { store } of stores) tell(await store.add(bytes), 'trusted', options);
  return EXIT.ok;
}

/** Writes our own certificate to a file, for servers to trust. Gives the exit code. */
export async function trustExport(
  file: string | undefined,
  options: Options & { readonly renew?: boolean } = {},
): Promise<number> {
  const { stores, gateway } = await openStores(options);
  for (const { driver, store } of stores) {
    const { der, ...own } = await store.own({ gateway, renew: options.renew ?? false });
    const to = file ?? `tidegate-${driver}.der`;
    const bytes = /\.(pem|crt)$/i.test(to) ? pemOf(der) : der;
    await writeFile(to, bytes).catch((cause: unknown) => {
      throw new TidegateError('FILE_WRITE', `cannot write ${to}: ${messageOf(cause)}`, { cause });
    });
    if (options.json) process.stdout.write(`${toJson({ file: to, ...own })}\n`);
    else process.stdout.write(`${textOf(own)}\nwritten to ${to}: trust it in the server\n`);
  }
  return EXIT.ok;
}

async function decide(
  which: string,
  decision: TrustDecision,
  from: readonly KnownCertificate['state'][],
  options: Options,
): Promise<number> {
  const { stores } = await openStores(options);
  const { one, store } = choose(await everything(stores), which, from);
  await store.decide(one.fingerprint, decision);
  tell(one, decision, options);
  return EXIT.ok;
}

/** The stores of the drivers that the site uses; of all, when it uses none that has one. */
async function openStores({ config: file = 'gateway.yaml' }: Options): Promise<{ stores: Store[]; gateway: string }> {
  const { folder, config } = findSite(file);
  const used = new Set(Object.values(config.connections).map(({ driver }) => driver));
  const all: (Store & { used: boolean })[] = [];
  for (const [name, load] of Object.entries(builtIn)) {
    const driver = await load();
    const place = driverFolder(folder, name);
    const store = driver.trust?.(place);
    if (!store) continue;
    await readdir(place).catch(unreadable);
    all.push({ driver: name, store, used: used.has(name) });
  }
  const own = all.filter((one) => one.used);
  return { stores: own.length > 0 ? own : all, gateway: config.gateway };
}

/** A store that is not there yet is empty; one that this user may not look into is not. */
function unreadable(cause: NodeJS.ErrnoException): void {
  if (cause.code === 'ENOENT') return;
  throw new TidegateError('CONFIG_FILE', `the certificates cannot be read: ${cause.message}`, {
    cause,
    hint: 'Run this as the user that runs the gateway, or as root.',
  });
}

interface Held extends Store {
  readonly one: KnownCertificate;
}

async function everything(stores: readonly Store[]): Promise<Held[]> {
  const lists = await Promise.all(
    stores.map(async (held) => (await held.store.list()).map((one) => ({ ...held, one }))),
  );
  return lists.flat();
}

/** The one certificate that is meant: by the beginning of a fingerprint, or by the connection that it waits for. */
function choose(known: readonly Held[], which: string, from: readonly KnownCertificate['state'][]): Held {
  const open = known.filter(({ one }) => from.includes(one.state));
  const start = which.replaceAll(':', '').toLowerCase();
  const isStart = /^[0-9a-f]{6,}$/.test(start);
  const found = open.filter(
    ({ one: { fingerprint, sha1, met } }) =>
      (isStart && (fingerprint.startsWith(start) || sha1.startsWith(start))) ||
      met.some((where) => where.startsWith(`${which} at `)),
  );
  const [first] = found;
  if (first && found.length === 1) return first;
  const words = from.join(' or ');
  const message = first
    ? `several certificates that are ${words} fit "${which}"`
    : `no certificate that is ${words} fits "${which}"`;
  const hint =
    open.length === 0
      ? `None is ${words}. \`tidegate trust list\` shows all.`
      : `Write the name of a connection, or the first six or more digits of a fingerprint: ${open.map(({ one }) => one.fingerprint.slice(0, 12)).join(', ')}`;
  throw new TidegateError('USAGE', message, { hint });
}

function tell(one: KnownCertificate, decision: TrustDecision, { json }: Options): void {
  if (json) {
    process.stdout.write(`${toJson({ ...one, state: decision })}\n`);
    return;
  }
  const notes = (one.notes ?? []).map((note) => `note: ${printable(note)}`);
  const next = decision === 'trusted' ? ['A running gateway connects at its next attempt, within a minute.'] : [];
  const lines = [`${decision}: ${printable(one.subject)}, SHA-256 ${grouped(one.fingerprint)}`, ...notes, ...next];
  process.stdout.write(`${lines.join('\n')}\n`);
}

function nextStep(known: readonly Held[]): string {
  const waiting = known.find(({ one }) => one.state === 'waiting')?.one;
  if (!waiting) return '';
  return `\nCompare the fingerprint with what the server shows, then: tidegate trust approve ${waiting.fingerprint.slice(0, 12)}\n`;
}

function textOf({
  state,
  subject,
  fingerprint,
  sha1,
  from,
  until,
  hosts,
  uri,
  authority,
  ends,
  met,
  notes,
}: KnownCertificate): string {
  const rows: [string, string][] = [
    ['SHA-256', grouped(fingerprint)],
    ['SHA-1', grouped(sha1)],
    ['valid', `${from} to ${until}${ends === undefined ? '' : `: ${ends}`}`],
    ['made out to', [...hosts, ...(uri === undefined ? [] : [uri])].join(', ') || 'nobody'],
    ...(authority ? [['authority', 'vouches for certificates that it signed'] satisfies [string, string]] : []),
    ...met.map((where): [string, string] => ['connection', where]),
    ...(notes ?? []).map((note): [string, string] => ['note', note]),
  ];
  const [, ...lines] = formatTable(
    ['', ''],
    rows.map(([name, text]) => [`  ${name}`, printable(text)]),
  );
  return [`${state}: ${printable(subject)}`, ...lines].join('\n');
}

/** Four digits at a time, to be compared by eye. */
function grouped(fingerprint: string): string {
  return fingerprint.replaceAll(/(.{4})(?=.)/g, '$1 ');
}

function pemOf(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}
