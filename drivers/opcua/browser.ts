/** Walks a server's tree of names, and says how a profile would read what stands there. */
import {
  AttributeIds,
  BrowseDirection,
  BrowseNextRequest,
  BrowseRequest,
  type BrowseResult,
  type DataValue,
  makeNodeId,
  NodeClass,
  type NodeId,
  type ReferenceDescription,
} from 'node-opcua-client';
import type { BrowsedNode } from '../../src/driver.js';
import { TidegateError } from '../../src/errors.js';
import type { PointAccess, PointType, Value } from '../../src/model.js';
import { writeName } from './address.js';
import { builtInName } from './built-in.js';
import { declaredOf } from './declared.js';
import { type States, statesOf } from './enumerations.js';
import type { Nodes } from './nodes.js';
import { openStructures } from './reader.js';
import { isBad, wordsOf } from './status.js';
import { decode, Unfit, type Variant } from './values.js';
import { Fault, type Wire } from './wire.js';

const INT32 = 6;
const PROPERTY = makeNodeId(46, 0).toString();
const HIERARCHICAL = makeNodeId(33, 0);
/** Objects and variables: methods, types and views are of no use here. */
const CLASSES = NodeClass.Object | NodeClass.Variable;
const ALL_FIELDS = 63;

/** Point type of each built-in type; the others are `json`. */
const TYPES: Readonly<Record<string, PointType>> = {
  Boolean: 'bool',
  SByte: 'int16',
  Byte: 'uint16',
  Int16: 'int16',
  UInt16: 'uint16',
  Int32: 'int32',
  UInt32: 'uint32',
  Int64: 'int64',
  UInt64: 'uint64',
  Float: 'float32',
  Double: 'float64',
  String: 'string',
  DateTime: 'string',
  Guid: 'string',
  ByteString: 'string',
  XmlElement: 'string',
  NodeId: 'string',
  ExpandedNodeId: 'string',
  StatusCode: 'string',
  QualifiedName: 'string',
  LocalizedText: 'string',
};

/**
 * What is below a place: a path, a node id, or the root's `Objects` when empty.
 * @throws TidegateError USAGE when there is no such place, of kind `reconnect` when the session has ended
 */
export async function* browse(wire: Wire, nodes: Nodes, path: string, signal: AbortSignal): AsyncIterable<BrowsedNode> {
  const from = path === '' ? '/Objects' : path.replace(/([^&])\/+$/, '$1');
  const place = await nodes.named(from);
  if (typeof place === 'string')
    throw new TidegateError('USAGE', `${from}: ${place}`, { hint: '`tidegate browse` lists what there is.' });
  try {
    const children = await childrenOf(wire, place);
    signal.throwIfAborted();
    const values = await describe(wire, nodes, children);
    for (const [index, child] of children.entries()) {
      signal.throwIfAborted();
      const node = nodeOf(wire, nodes, isNamedOnce(child, children) ? from : undefined, child, values[index]);
      yield isAside(child, path) ? { ...node, aside: true } : node;
    }
  } catch (error) {
    throw error instanceof Fault ? new TidegateError('USAGE', `${from}: ${error.message}`) : error;
  }
}

/**
 * Objects and variables below a node, each once.
 * @throws Fault; TidegateError USAGE when there is no such node, of kind `reconnect` when the session has ended
 */
export async function childrenOf(wire: Wire, nodeId: NodeId): Promise<ReferenceDescription[]> {
  const children: ReferenceDescription[] = [];
  const nodesToBrowse = [
    {
      nodeId,
      browseDirection: BrowseDirection.Forward,
      referenceTypeId: HIERARCHICAL,
      includeSubtypes: true,
      nodeClassMask: CLASSES,
      resultMask: ALL_FIELDS,
    },
  ];
  let request: object = new BrowseRequest({ requestedMaxReferencesPerNode: 0, nodesToBrowse });
  while (true) {
    const { results } = await wire.call<{ results: BrowseResult[] | null }>(request);
    const [result] = results ?? [];
    if (!result) return children;
    if (isBad(result.statusCode)) throw new TidegateError('USAGE', wordsOf(result.statusCode));
    children.push(...(result.references ?? []));
    const { continuationPoint } = result;
    if (!continuationPoint || continuationPoint.length === 0) break;
    request = new BrowseNextRequest({ releaseContinuationPoints: false, continuationPoints: [continuationPoint] });
  }
  const seen = new Set<string>();
  return children.filter(({ nodeId: id }) => !seen.has(id.toString()) && seen.add(id.toString()));
}

/** The standard's own: folders beside the plant's, and properties that say what a variable is about. */
function isAside({ browseName, nodeId, referenceTypeId }: ReferenceDescription, path: string): boolean {
  if (browseName.namespaceIndex !== 0) return false;
  return (path === '' && nodeId.namespace === 0) || referenceTypeId.toString() === PROPERTY;
}

/** What a variable holds, or is declared to hold, how it can be accessed, and what its numbers are called. */
interface Described {
  readonly value: DataValue | undefined;
  readonly type: PointType;
  readonly access: PointAccess;
  readonly states: States | undefined;
}

async function describe(
  wire: Wire,
  nodes: Nodes,
  children: readonly ReferenceDescription[],
): Promise<(Described | undefined)[]> {
  const variables = children.filter(({ nodeClass }) => nodeClass === NodeClass.Variable);
  const asked = variables.flatMap(({ nodeId }) =>
    [AttributeIds.Value, AttributeIds.UserAccessLevel].map((attributeId) => ({
      nodeId: nodeId as NodeId,
      attributeId,
    })),
  );
  const results = await wire.read(asked);
  await openStructures(wire, results);
  const held = await shapesOf(
    wire,
    variables.map(({ nodeId }) => nodeId as NodeId),
    variables.map((_, at) => results[2 * at]?.value as Variant | undefined),
  );
  const numbers = variables.filter((_, at) => held[at]?.dataType === INT32);
  const states = await statesOf(
    wire,
    nodes,
    numbers.map(({ nodeId }) => nodeId as NodeId),
  );
  const described = new Map<ReferenceDescription, Described>();
  variables.forEach((variable, at) => {
    described.set(variable, {
      value: results[2 * at],
      type: typeOf(held[at]),
      access: accessOf(results[2 * at + 1]?.value?.value),
      states: states.get(numbers.indexOf(variable)),
    });
  });
  return children.map((child) => described.get(child));
}

/** What variables hold; of those that tell no value, such as one that is only written, what they are declared to hold. */
async function shapesOf(
  wire: Wire,
  variables: readonly NodeId[],
  held: readonly (Variant | undefined)[],
): Promise<(Variant | undefined)[]> {
  const silent = [...variables.keys()].filter((index) => !held[index]?.dataType);
  const declared = await declaredOf(
    wire,
    silent.map((index) => variables[index] as NodeId),
  );
  const shapes = [...held];
  silent.forEach((index, at) => {
    shapes[index] = declared[at];
  });
  return shapes;
}

function typeOf(variant: Variant | undefined): PointType {
  return variant?.arrayType === 0 ? (TYPES[builtInName(variant.dataType)] ?? 'json') : 'json';
}

/** By the lowest bits of the access level, CurrentRead and CurrentWrite (OPC UA Part 3 §8.57). */
function accessOf(level: unknown): PointAccess {
  if (typeof level !== 'number' || (level & 2) === 0) return 'read';
  return (level & 1) === 0 ? 'write' : 'read-write';
}

/** False for siblings of one browse name, which servers have: a path would find only the first. */
function isNamedOnce({ browseName }: ReferenceDescription, siblings: readonly ReferenceDescription[]): boolean {
  const name = browseName.toString();
  return siblings.filter((other) => other.browseName.toString() === name).length === 1;
}

function nodeOf(
  wire: Wire,
  nodes: Nodes,
  from: string | undefined,
  { nodeId, browseName, displayName }: ReferenceDescription,
  described: Described | undefined,
): BrowsedNode {
  const { namespaceIndex, name } = browseName;
  const step = writeName(
    name ?? '',
    namespaceIndex === 0 ? undefined : (wire.namespaces[namespaceIndex] ?? `${namespaceIndex}`),
  );
  const id = nodes.written(nodeId as NodeId);
  const path = from?.startsWith('/') ? `${from === '/' ? '' : from}/${step}` : id;
  const title = displayName.text ?? name ?? '';
  if (!described) return { path, id, name: title, kind: 'folder' };
  const variant = described.value?.value as unknown as Variant | undefined;
  const { type, access, states } = described;
  const point = { node: id, type, ...(states && { states }), ...(access !== 'read' && { access }) };
  const raw = shownValue(type, variant);
  const value = (states && typeof raw === 'number' && states[raw]) || raw;
  const example = states && value === raw ? {} : exampleOf(id, variant, raw);
  return { path, id, name: title, kind: 'value', point, value, ...example };
}

function shownValue(type: PointType, variant: Variant | undefined): Value {
  const value = variant ? decode(type, variant) : null;
  return value instanceof Unfit ? null : value;
}

/** What a profile's example writes for a value that is one number, text or truth. */
function exampleOf(id: string, variant: Variant | undefined, value: Value): Pick<BrowsedNode, 'example'> {
  if (!variant || value === null || typeof value === 'object' || typeof value === 'bigint') return {};
  return { example: { nodes: { [id]: { [builtInName(variant.dataType)]: value } } } };
}
