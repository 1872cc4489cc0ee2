/** Looking round on a wire: who is there, and what an address may mean. */
import type { BrowsedNode, Decoding, FoundDevice } from '../driver.js';
import { TidegateError } from '../errors.js';
import type { Device } from '../model.js';
import type { Turn } from './turn.js';

/**
 * Looks whether a device is at a place.
 * @throws TidegateError USAGE when the driver cannot look, and of kind `reconnect`
 */
export async function scanPlace({ session, signal }: Turn, place: number): Promise<FoundDevice | undefined> {
  if (!session.scan) throw new TidegateError('USAGE', 'this driver cannot look for devices');
  return session.scan(place, signal);
}

/**
 * What stands at a place of a device.
 * @throws TidegateError USAGE when the driver cannot tell or the place is none, DEVICE_UNAVAILABLE, and of kind `reconnect`
 */
export async function decodeAt({ session, signal }: Turn, device: Device, place: string): Promise<Decoding> {
  if (!session.decode)
    throw new TidegateError('USAGE', 'this driver has nothing to decode: its values carry their types', {
      hint: '`tidegate read` shows them.',
    });
  return session.decode(device, place, signal);
}

/**
 * What stands below a place of the server's tree of names.
 * @throws TidegateError USAGE when the driver has none or there is no such place, and of kind `reconnect`
 */
export async function browseAt({ session, signal }: Turn, path: string): Promise<BrowsedNode[]> {
  if (!session.browse)
    throw new TidegateError('USAGE', 'this driver has nothing to browse: its devices keep no names', {
      hint: 'What a device has is in its profile; `tidegate read` shows it.',
    });
  const nodes: BrowsedNode[] = [];
  for await (const node of session.browse(path, signal)) nodes.push(node);
  return nodes;
}
