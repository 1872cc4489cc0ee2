/** Examples of profiles: what variables hold, decoded by the code that decodes a server's answers. */
import type { Flaw, Point, Samples, Value } from '../../src/model.js';
import { BUILT_IN } from './built-in.js';
import type { OpcuaAddress, OpcuaExample } from './schema.js';
import { decode, Unfit, type Variant } from './values.js';

/** One raw value for each point that the example covers; the others are bad. */
export function decodeExample(points: readonly Point<OpcuaAddress>[], { nodes = {} }: OpcuaExample): Samples {
  const flaws = new Map<number, Flaw>();
  const values = points.map((point, index): Value => {
    const value = rawOf(point, nodes);
    if (!(value instanceof Unfit)) return value;
    flaws.set(index, { quality: 'bad', reason: value.reason });
    return null;
  });
  return { values, answered: true, ...(flaws.size > 0 && { flaws }) };
}

function rawOf({ type, address }: Point<OpcuaAddress>, nodes: NonNullable<OpcuaExample['nodes']>): Value | Unfit {
  const place = address.node ?? address.path ?? '';
  const [name, held] = Object.entries(nodes[place] ?? {})[0] ?? [];
  if (name === undefined) return new Unfit(`the example has no ${place}`);
  return name === 'status' ? new Unfit(String(held)) : decode(type, asDecoded(name, held));
}

/** The Variant that the library would have made of it. */
function asDecoded(name: string, held: unknown): Variant {
  const value = name === 'DateTime' && typeof held === 'string' ? new Date(held) : held;
  return { dataType: BUILT_IN.get(name) ?? 0, arrayType: Array.isArray(held) ? 1 : 0, value };
}
