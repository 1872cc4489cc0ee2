/** Points and devices of the tests' press. */
import { addressSchema, type OpcuaAddress, type OpcuaDevice } from '../../drivers/opcua/schema.js';
import type { Device, Point } from '../../src/model.js';
import { PRESS } from './opcua-peer.js';

/** A node of the press. */
export const nodeOf = (name: string): string => `nsu=${PRESS};s=${name}`;

/** A point; `node` is the name of a node of the press unless the address says otherwise. */
export function pointOf(
  type: Point['type'],
  node: string,
  { access = 'read', every = 100, id = node, ...address }: Partial<Point & OpcuaAddress> & { path?: string } = {},
): Point<OpcuaAddress> {
  const written = address.path === undefined ? { node: nodeOf(node) } : {};
  return {
    id,
    type,
    kind: 'gauge',
    access,
    every,
    scale: 1,
    offset: 0,
    address: addressSchema.parse({ ...written, ...address }),
  } as Point<OpcuaAddress>;
}

/** A device on the press. */
export function deviceOf(
  points: readonly Point<OpcuaAddress>[],
  id = 'press',
  settings: OpcuaDevice = {},
): Device<OpcuaDevice, OpcuaAddress> {
  return { id, profile: 'acme/press', connection: 'line', tags: {}, settings, points };
}
