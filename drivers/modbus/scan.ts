/** Looks for units on a wire: whoever answers a read of the first register, if only to refuse it, is there. */
import type { FoundDevice, ScanOptions } from '../../src/driver.js';
import { Failure, readRequest } from './frame.js';
import { identify } from './identity.js';
import type { Wire } from './wire.js';

/** Unit ids that devices may have (Modbus over Serial Line V1.02 §2.2). */
const UNITS = [1, 247] as const;

/** Asks unit after unit. A unit that is not there costs the connection's time limit. */
export async function* scanUnits(wire: Wire, { signal, progress, within }: ScanOptions): AsyncIterable<FoundDevice> {
  const [first, last] = within ?? UNITS;
  wire.patient = true;
  try {
    for (let unit = first; unit <= last && !signal.aborted; unit += 1) {
      const reply = await wire.request(readRequest(unit, 'holding', 0, 1));
      if (!(reply instanceof Failure && reply.silent))
        yield { settings: { unit }, identity: await identify(wire, unit) };
      progress?.(unit - first + 1, last - first + 1);
    }
  } finally {
    wire.patient = false;
  }
}
