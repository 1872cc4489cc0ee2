/** What variables are declared to hold (OPC UA Part 3 §5.6.2): for those that tell no value now. */
import {
  AttributeIds,
  BrowseDirection,
  BrowseRequest,
  type BrowseResult,
  makeNodeId,
  NodeClass,
  type NodeId,
} from 'node-opcua-client';
import { BUILT_IN } from './built-in.js';
import type { Variant } from './values.js';
import type { Wire } from './wire.js';

const SUBTYPE = makeNodeId(45, 0);
/** Enumerations are Int32 on the wire (OPC UA Part 6 §5.2.4). */
const ENUMERATION = 29;
/** No tree of types is deeper, unless it is a circle. */
const DEEPEST = 20;

/**
 * Empty Variants of the types and ranks that variables are declared to have, by their index; undefined where the server does not say. One
 * that may be a scalar is taken for one.
 * @throws Fault; TidegateError DEVICE_UNAVAILABLE or LINK_DOWN
 */
export async function declaredOf(wire: Wire, variables: readonly NodeId[]): Promise<(Variant | undefined)[]> {
  const asked = variables.flatMap((nodeId) =>
    [AttributeIds.DataType, AttributeIds.ValueRank].map((attributeId) => ({ nodeId, attributeId })),
  );
  const told = asked.length === 0 ? [] : await wire.read(asked);
  const known = typesOf(wire);
  const declared: (Variant | undefined)[] = [];
  for (const index of variables.keys()) {
    const type = told[2 * index]?.value?.value as NodeId | null | undefined;
    const rank: unknown = told[2 * index + 1]?.value?.value;
    const key = String(type);
    if (type && !known.has(key)) known.set(key, await builtInOf(wire, type));
    const dataType = type ? known.get(key) : undefined;
    declared.push(dataType === undefined ? undefined : emptyOf(dataType, typeof rank === 'number' ? rank : -1));
  }
  return declared;
}

/** What was learned of a server's types: type → number of its built-in type. They are the same for as long as the session lasts. */
const learned = new WeakMap<Wire, Map<string, number | undefined>>();

function typesOf(wire: Wire): Map<string, number | undefined> {
  const known = learned.get(wire) ?? new Map<string, number | undefined>();
  learned.set(wire, known);
  return known;
}

/** By the value rank (OPC UA Part 3 §5.6.2): below 0 a scalar is allowed, 0 is any array, above are its dimensions. */
function emptyOf(dataType: number, rank: number): Variant {
  if (rank < 0) return { dataType, arrayType: 0, value: null };
  if (rank < 2) return { dataType, arrayType: 1, value: [] };
  return { dataType, arrayType: 2, value: [], dimensions: Array.from({ length: rank }, () => 0) };
}

/** Number of the built-in type that a data type is made of: the nearest of those that it is a subtype of. */
async function builtInOf(wire: Wire, type: NodeId): Promise<number | undefined> {
  let at: NodeId | undefined = type;
  for (let depth = 0; at && depth < DEEPEST; depth++) {
    const number = at.namespace === 0 && typeof at.value === 'number' ? at.value : 0;
    if (number === ENUMERATION) return BUILT_IN.get('Int32');
    if (number > 0 && number <= BUILT_IN.size) return number;
    at = await supertypeOf(wire, at);
  }
  return undefined;
}

async function supertypeOf(wire: Wire, nodeId: NodeId): Promise<NodeId | undefined> {
  const request = new BrowseRequest({
    requestedMaxReferencesPerNode: 1,
    nodesToBrowse: [
      {
        nodeId,
        browseDirection: BrowseDirection.Inverse,
        referenceTypeId: SUBTYPE,
        includeSubtypes: false,
        nodeClassMask: NodeClass.DataType,
        resultMask: 0,
      },
    ],
  });
  const { results } = await wire.call<{ results: BrowseResult[] | null }>(request);
  return results?.[0]?.references?.[0]?.nodeId;
}
