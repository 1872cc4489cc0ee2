/** Node ids and browse paths as people write them: namespaces by URI, since a server may number them anew at every start. */

/** Which namespace: its URI, or its number on the server as it is now. */
export type Namespace = string | number;

/** A node id (OPC UA Part 3 §8.2), its namespace not yet looked up. */
export interface WrittenNodeId {
  readonly namespace: Namespace;
  /** `i` number, `s` text, `g` GUID, `b` bytes in Base64. */
  readonly kind: 'i' | 's' | 'g' | 'b';
  readonly value: string;
}

/** One step of a browse path: a name (OPC UA Part 3 §8.3). */
export interface WrittenName {
  readonly namespace: Namespace;
  readonly name: string;
}

/** A browse path (OPC UA Part 4 Annex A). */
export interface WrittenPath {
  /** From the root of all, else from the device's own root. */
  readonly absolute: boolean;
  readonly names: readonly WrittenName[];
}

const PREFIX = /^(?:nsu=([^;]+);|ns=(\d{1,5});)?([isgb])=(.+)$/s;
const FORMS: Readonly<Record<WrittenNodeId['kind'], RegExp>> = {
  i: /^\d{1,10}$/,
  s: /./,
  g: /^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$/,
  b: /^[A-Za-z0-9+/]+={0,2}$/,
};

/** A namespace's number is one of 16 bits. */
const MOST_NAMESPACES = 0xffff;
const tooMany = (index = ''): string =>
  `${index} is no namespace: write nsu=URI; or a number from 0 to ${MOST_NAMESPACES}`;

/** Reads a node id; gives what is wrong with it as text. */
export function parseNodeId(text: string): WrittenNodeId | string {
  const [, uri, index, letter, value = ''] = PREFIX.exec(text) ?? [];
  const kind = letter as WrittenNodeId['kind'] | undefined;
  if (kind === undefined)
    return 'write nsu=URI;s=text (or i=number, g=GUID, b=Base64), such as nsu=http://acme.com/UA/;s=Temp';
  if (!FORMS[kind].test(value) || (kind === 'i' && Number(value) > 0xffff_ffff))
    return `"${value}" is no ${{ i: 'number from 0 to 4294967295', s: 'text', g: 'GUID', b: 'Base64' }[kind]}`;
  if (Number(index ?? 0) > MOST_NAMESPACES) return tooMany(index);
  return { namespace: uri === undefined ? Number(index ?? 0) : unescaped(uri), kind, value };
}

/** Reads a browse path: names behind `/`, each of the namespace that `nsu=URI;` or `number:` before it says; `&` takes the next character as it is. */
export function parseBrowsePath(text: string): WrittenPath | string {
  const absolute = text.startsWith('/');
  const names: WrittenName[] = [];
  let rest = absolute ? text.slice(1) : text;
  while (true) {
    const [whole = '', uri, index, written = ''] = /^(?:nsu=([^;]+);|(\d{1,5}):)?((?:[^/&]|&.)*)/s.exec(rest) ?? [];
    const name = written.replaceAll(/&(.)/gs, '$1');
    if (name === '') return 'write names behind "/", such as /Objects/nsu=http://acme.com/UA/;Press/Temp';
    if (Number(index ?? 0) > MOST_NAMESPACES) return tooMany(index);
    names.push({ namespace: uri === undefined ? Number(index ?? 0) : unescaped(uri), name });
    rest = rest.slice(whole.length);
    if (rest === '') return { absolute, names };
    if (!rest.startsWith('/')) return `"${rest}" cannot be read: write & before a "&" that is part of a name`;
    rest = rest.slice(1);
  }
}

/** A name as it is written in a path; the number of its namespace replaced by the URI. */
export function writeName(name: string, uri: string | undefined): string {
  const escaped = name.replaceAll(/[&/]/g, '&$&');
  if (uri !== undefined) return `nsu=${escapedUri(uri)};${escaped}`;
  return /^(?:nsu=[^;]+;|\d{1,5}:)/.test(escaped) ? `0:${escaped}` : escaped;
}

/** The namespaces that are named by number, which may mean another one after the server's next start. */
export function numbered(address: { readonly node?: string | undefined; readonly path?: string | undefined }): boolean {
  const { node, path } = address;
  const parsed = node !== undefined ? parseNodeId(node) : parseBrowsePath(path ?? '');
  if (typeof parsed === 'string') return false;
  const all = 'names' in parsed ? parsed.names : [parsed];
  return all.some(({ namespace }) => typeof namespace === 'number' && namespace > 1);
}

/** A URI within `nsu=…;` (OPC UA Part 6 §5.1.12): `;` and `%` are escaped. */
export function escapedUri(uri: string): string {
  return uri.replaceAll('%', '%25').replaceAll(';', '%3B');
}

function unescaped(uri: string): string {
  return uri.replaceAll(/%3B/gi, ';').replaceAll('%25', '%');
}
