/** Enumerations (OPC UA Part 3 §8.50, §8.46): what the numbers of a server's own types are called. */
import { AttributeIds, type DataValue, makeNodeId, type NodeId } from 'node-opcua-client';
import type { Nodes } from './nodes.js';
import type { Wire } from './wire.js';

/** Number → name. */
export type States = Readonly<Record<number, string>>;

const INT32 = makeNodeId(6, 0).toString();

/** The names of the numbers that these variables hold, by their index; absent for what is a plain number. */
export async function statesOf(wire: Wire, nodes: Nodes, variables: readonly NodeId[]): Promise<Map<number, States>> {
  const declared = await readAttribute(wire, variables, AttributeIds.DataType);
  const types = new Map<string, NodeId>();
  for (const type of declared) {
    const id = type?.value?.value as NodeId | undefined;
    if (id && id.toString() !== INT32) types.set(id.toString(), id);
  }
  const named = new Map<string, States>();
  const definitions = await readAttribute(wire, [...types.values()], AttributeIds.DataTypeDefinition);
  for (const [index, [key, type]] of [...types].entries()) {
    const fields = (definitions[index]?.value?.value as { fields?: Named[] } | null | undefined)?.fields;
    const states = fields ? byValue(fields) : await stringsOf(wire, nodes, type);
    if (states) named.set(key, states);
  }
  return new Map(
    declared.flatMap((type, index): [number, States][] => {
      const states = named.get(String(type?.value?.value));
      return states ? [[index, states]] : [];
    }),
  );
}

interface Named {
  readonly name: string | null;
  readonly value: readonly [high: number, low: number];
}

function byValue(fields: readonly Named[]): States {
  return Object.fromEntries(fields.map(({ name, value: [, low] }) => [low | 0, name ?? String(low | 0)]));
}

/** Types of servers before OPC UA 1.04 have a property with their names, counted from 0. */
async function stringsOf(wire: Wire, nodes: Nodes, type: NodeId): Promise<States | undefined> {
  const place = await nodes.below(type, 'EnumStrings');
  if (typeof place === 'string') return undefined;
  const [strings] = await readAttribute(wire, [place], AttributeIds.Value);
  const texts: unknown = strings?.value?.value;
  if (!Array.isArray(texts)) return undefined;
  return Object.fromEntries(texts.map((one: { text: string | null }, index) => [index, one.text ?? String(index)]));
}

function readAttribute(
  wire: Wire,
  nodes: readonly NodeId[],
  attributeId: AttributeIds,
): Promise<(DataValue | undefined)[]> {
  return wire.read(nodes.map((nodeId) => ({ nodeId, attributeId })));
}
