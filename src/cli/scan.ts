/** `tidegate scan`: who is on a wire. */
import type { FoundDevice } from '../driver.js';
import { TidegateError } from '../errors.js';
import type { ScanAnswer } from '../field/answers.js';
import { scanPlace } from '../field/look.js';
import { printable, toJson } from '../ops/text.js';
import { loadSite, type Site } from '../site.js';
import { EXIT } from './exit.js';
import { onConnection } from './on-wire.js';
import { formatTable } from './terminal.js';

/** What the command line says. */
export interface ScanCommand {
  readonly config?: string;
  readonly from?: number;
  readonly to?: number;
  /** Have the register keep what is found. */
  readonly register?: boolean;
  readonly json?: boolean;
}

/** A device that answered, and which one it is, where that is known. */
type Found = FoundDevice & { readonly device?: string };

/** Looks at each place of a connection. Gives the exit code: failed when nobody is there. */
export async function scan(connection: string, options: ScanCommand = {}): Promise<number> {
  const site = await loadSite(options.config ?? 'gateway.yaml');
  const [first, last] = placesOf(site, connection, options);
  const found: Found[] = [];
  const take = (device: FoundDevice | undefined): void => {
    if (device) found.push({ ...device, ...known(site, connection, device.settings) });
    if (process.stderr.isTTY) process.stderr.write(`\r${place} of ${last} …`);
  };
  let place = first;
  for (; place <= last; place += 1) {
    const { device } = await onConnection<ScanAnswer>(site, connection, { ask: 'scan', place }, async (run) => {
      // Opened once for all that are left: some devices start anew whenever their line is opened.
      for (; place <= last; place += 1) take(await run((turn) => scanPlace(turn, place)));
      return {};
    });
    take(device);
  }
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
  if (options.register && found.length > 0) {
    const { keepFound } = await import('./devices.js');
    const ids = await keepFound(options.config ?? 'gateway.yaml', connection, found);
    for (const [index, device] of ids.entries())
      if (device !== null) found[index] = { ...(found[index] as Found), device };
  }
  if (options.json) process.stdout.write(`${toJson({ connection, from: first, to: last, found })}\n`);
  else process.stdout.write(`${textOf(connection, first, last, found)}\n`);
  return found.length > 0 ? EXIT.ok : EXIT.failed;
}

function placesOf(site: Site, connection: string, { from, to }: ScanCommand): readonly [number, number] {
  const driver = site.drivers.get(connection);
  if (!driver) {
    const hint = `There is: ${[...site.drivers.keys()].join(', ')}`;
    throw new TidegateError('USAGE', `no connection is called "${connection}"`, { hint });
  }
  if (!driver.places)
    throw new TidegateError('USAGE', `the driver ${driver.name} has no places to look at`, {
      hint: 'Devices that announce themselves are found with `discover: true` (docs/devices.md).',
    });
  const [first, last] = [from ?? driver.places[0], to ?? driver.places[1]];
  if (first >= driver.places[0] && last <= driver.places[1] && first <= last) return [first, last];
  throw new TidegateError('USAGE', `${first} to ${last} are not places of the driver ${driver.name}`, {
    hint: `They go from ${driver.places[0]} to ${driver.places[1]}.`,
  });
}

/** The device of gateway.yaml that is meant by these settings. */
function known(site: Site, connection: string, settings: Readonly<Record<string, unknown>>): { device?: string } {
  const device = site.devices.find(
    (one) =>
      one.connection === connection &&
      Object.entries(settings).every(([key, value]) => (one.settings as Record<string, unknown>)[key] === value),
  );
  return device ? { device: device.id } : {};
}

function textOf(connection: string, first: number, last: number, found: readonly Found[]): string {
  if (found.length === 0) return `nobody answers on ${connection}, from ${first} to ${last}`;
  const rows = found.map(({ settings, identity, device }) => [
    Object.entries(settings)
      .map(([key, value]) => `${key}: ${value}`)
      .join(', '),
    printable(Object.values(identity).join(' ')) || 'does not say who it is',
    device ?? '– not known',
  ]);
  return formatTable(['found at', 'says it is', 'device'], rows, []).join('\n');
}
