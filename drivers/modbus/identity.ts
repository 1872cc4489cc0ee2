/** Who a device says it is: function 43/14, read device identification (Modbus Application Protocol V1.1b3 §6.21). */
import { Failure, IDENTITY_AT, identityRequest } from './frame.js';
import type { Wire } from './wire.js';

const NAMES: Readonly<Record<number, string>> = {
  0: 'vendor',
  1: 'product',
  2: 'revision',
  3: 'url',
  4: 'name',
  5: 'model',
  6: 'application',
};
/** A device whose objects never end is not believed. */
const MOST_REPLIES = 8;

/**
 * What the device tells of itself, by name: `vendor`, `product`, `revision`, …; empty when it has not this function.
 * @throws TidegateError LINK_DOWN
 */
export async function identify(wire: Wire, unit: number): Promise<Record<string, string>> {
  const identity: Record<string, string> = {};
  let object = 0;
  for (let replies = 0; replies < MOST_REPLIES; replies += 1) {
    const reply = await wire.request(identityRequest(unit, object));
    if (reply instanceof Failure) return identity;
    let at = IDENTITY_AT;
    for (let left = reply[IDENTITY_AT - 1] as number; left > 0; left -= 1) {
      const [id = 0, length = 0] = reply.subarray(at, at + 2);
      const text = reply.toString('latin1', at + 2, at + 2 + length).replace(/[\0\s]+$/, '');
      if (text !== '') identity[NAMES[id] ?? `object ${id}`] = text;
      at += 2 + length;
    }
    const [more, next = 0] = [reply[5], reply[6]];
    if (more !== 0xff || next <= object) return identity;
    object = next;
  }
  return identity;
}
