/** How a command reaches a device: through the gateway that holds its wire, else on a wire of its own. */
import { TidegateError } from '../errors.js';
import type { NotHeld } from '../field/answers.js';
import { onOwnWire } from '../field/own-wire.js';
import type { RunTurn } from '../field/turn.js';
import type { Device } from '../model.js';
import { askControl, type Request } from '../ops/control.js';
import { openLog } from '../ops/log.js';
import { dataFolder, driverFolder, type Site } from '../site.js';

/**
 * Asks the running gateway for the work on a device; does it `alone` when none runs, or it has not that connection: a serial line,
 * and many a device, cannot be opened twice.
 */
export function onWire<T extends object>(
  site: Site,
  device: Device,
  request: Request,
  alone: (run: RunTurn) => Promise<T>,
): Promise<T> {
  return onConnection(site, device.connection, { ...request, device: device.id }, alone);
}

/** The same for work on a connection, whatever its devices. */
export async function onConnection<T extends object>(
  site: Site,
  connection: string,
  request: Request,
  alone: (run: RunTurn) => Promise<T>,
): Promise<T> {
  const folder = dataFolder(site.file, site.config);
  const answer = await askControl<T | NotHeld>(folder, { ...request, connection });
  if (answer && !('held' in answer)) return answer;
  const driver = site.drivers.get(connection);
  if (driver === undefined) throw new TidegateError('CONFIG_UNKNOWN_NAME', `no connection "${connection}"`);
  const { log } = openLog({ level: 'error', to: 2, form: 'text', secrets: site.secrets });
  const context = { log, data: driverFolder(folder, driver.name), connection, gateway: site.config.gateway };
  return onOwnWire(() => driver.open(site.connectionSettings.get(connection), context), alone);
}
