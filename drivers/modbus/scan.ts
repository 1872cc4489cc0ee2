/** Looks for a unit on a wire: whoever answers a read of the first register, if only to refuse it, is there. */
import type { FoundDevice } from '../../src/driver.js';
import { Failure, readRequest } from './frame.js';
import { identify } from './identity.js';
import type { Wire } from './wire.js';

/** Unit ids that devices may have (Modbus over Serial Line V1.02 §2.2). */
export const UNITS = [1, 247] as const;

/** Asks one unit. One that is not there costs the connection's time limit. */
export async function findUnit(wire: Wire, unit: number): Promise<FoundDevice | undefined> {
  wire.patient = true;
  try {
    const reply = await wire.request(readRequest(unit, 'holding', 0, 1));
    if (reply instanceof Failure && reply.silent) return undefined;
    return { settings: { unit }, identity: await identify(wire, unit) };
  } finally {
    wire.patient = false;
  }
}
