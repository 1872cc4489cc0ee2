/** What is told of a device. */
import type { DeviceEvent, DeviceState } from '../model.js';
import type { Moment, Registration } from './registration.js';

/** News of a device, but for where it goes. */
export type DeviceNews = Omit<DeviceEvent, 'kind' | 'lane' | 'topic'> & Pick<Registration, 'tags'>;

/**
 * The news that a device is as it is now.
 * @param first since a start, or for those who have not heard of it: the device is told anew
 */
export function newsOf(
  { id: device, state, reason, profile, connection, identity, tags }: Registration,
  previous: DeviceState | undefined,
  { at, clock }: Moment,
  first = false,
): DeviceNews {
  return {
    device,
    at,
    ...(clock && { clock: 'unset' }),
    what: whatOf(previous, state, first),
    state,
    ...(previous !== undefined && { previous }),
    ...(reason !== undefined && { reason }),
    ...(profile !== undefined && { profile }),
    connection,
    identity,
    tags,
  };
}

/** What a step from one state to the next means to those who listen. */
function whatOf(before: DeviceState | undefined, after: DeviceState, first: boolean): DeviceEvent['what'] {
  const [was, is] = [before, after].map((state) => state === 'online' || state === 'degraded');
  if (is && (first || !was)) return 'birth';
  if (!is && (was || (first && after === 'offline'))) return 'death';
  return 'change';
}
