/** From the nodes of a YAML file to plain values. */
import { isAlias, isMap, isNode, isScalar, isSeq, type Node } from 'yaml';
import { type SourcePlace, TidegateError } from '../errors.js';
import { lostAlias } from './syntax.js';

/** More nodes than this (aliases counted each time they are used) is no file that a person wrote. */
const MOST_NODES = 200_000;

type PlaceOf = (from: number, to: number) => SourcePlace;

/**
 * The plain value of a node: integers beyond 2^53 as bigint. Fills `anchors`; complains about keys that are written twice and aliases of nothing.
 * @throws Error when aliases multiply the file beyond all measure
 */
export function readNodes(
  root: unknown,
  anchors: Map<string, Node>,
  placeOf: PlaceOf,
): { value: unknown; complaints: TidegateError[] } {
  const complaints: TidegateError[] = [];
  let seen = 0;

  const read = (node: unknown): unknown => {
    if (++seen > MOST_NODES) throw new Error(`more than ${MOST_NODES} values`);
    if (isNode(node) && !isAlias(node) && node.anchor) anchors.set(node.anchor, node);
    if (isAlias(node)) {
      if (!anchors.has(node.source)) complaints.push(lostAlias(node, placeOf));
      return read(anchors.get(node.source));
    }
    if (isScalar(node)) return plain(node.value);
    if (isSeq(node)) return node.items.map(read);
    if (!isMap(node)) return null;
    const entries = new Map<string, unknown>();
    for (const { key, value } of node.items) {
      const name = keyText(key);
      if (entries.has(name)) complaints.push(twin(name, key, placeOf));
      entries.set(name, read(value));
    }
    return Object.fromEntries(entries);
  };

  return { value: read(root), complaints };
}

/** A key as text: as written (`007` stays `007`), but hexadecimal numbers as decimal ones. */
export function keyText(key: unknown): string {
  if (!isScalar(key)) return String(key);
  if (key.format === 'HEX') return String(key.value);
  return typeof key.value === 'string' ? key.value : (key.source ?? String(key.value));
}

function plain(value: unknown): unknown {
  return typeof value === 'bigint' && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

function twin(name: string, key: unknown, placeOf: PlaceOf): TidegateError {
  const [from, to] = (isNode(key) && key.range) || [0, 1];
  const place = placeOf(from, to);
  return new TidegateError('CONFIG_SYNTAX', `the key "${name}" is written twice`, { place, hint: 'keep one of them' });
}
