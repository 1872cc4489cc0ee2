/** What the runtime lends to a driver's session, for tests that open one by themselves. */
import type { DriverContext } from '../../src/driver.js';

const log = { debug() {}, info() {}, warn() {}, error() {}, child: () => log } as unknown as DriverContext['log'];

/** Says nothing; `data` is a folder that a test made, where its driver keeps something. */
export function driverContext(data = '/dev/null/nowhere', own: Partial<DriverContext> = {}): DriverContext {
  return { log, data, connection: 'line', gateway: 'test', ...own };
}
