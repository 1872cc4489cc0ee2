/** `tidegate simulate`: devices that are not there, on the wire as if they were. */
import { drivers as builtIn } from '../../drivers/index.js';
import type { Driver, SimulatorOptions } from '../driver.js';
import { ProblemList, TidegateError } from '../errors.js';
import type { Device } from '../model.js';
import { toJson } from '../ops/text.js';
import { shippedProfiles } from '../profiles/find.js';
import { loadProfile } from '../profiles/load.js';
import { loadSite } from '../site.js';
import { EXIT } from './exit.js';
import { untilSignal } from './signals.js';
import { formatTable } from './terminal.js';

/** Serves a profile, or the devices of a `gateway.yaml`, until it is told to stop. Gives the exit code. */
export async function simulate(what: string, options: SimulatorOptions & { json?: boolean }): Promise<number> {
  const signal = untilSignal();
  const { driver, devices } = /\.ya?ml$/.test(what) ? await fromSite(what) : await fromProfile(what);
  if (driver.simulate === undefined)
    throw new TidegateError('USAGE', `the driver ${driver.name} cannot simulate`, { hint: 'Choose another device.' });
  const simulator = await driver.simulate(devices, { host: options.host, port: options.port });
  const { host, port } = simulator;
  const served = devices.map(({ id, profile, settings, points }) => ({ id, profile, settings, points: points.length }));
  if (options.json) process.stdout.write(`${toJson({ host, port, driver: driver.name, devices: served })}\n`);
  else {
    const rows = served.map((device) => [device.id, device.profile, settingsText(device.settings), `${device.points}`]);
    const table = formatTable(['device', 'profile', 'settings', 'points'], rows, ['points']);
    const where = host.includes(':') ? `[${host}]` : host;
    process.stdout.write(`${driver.title} on ${where}:${port} (Ctrl-C ends it)\n\n${table.join('\n')}\n`);
  }
  await signal;
  await simulator.close();
  return EXIT.ok;
}

interface Served {
  readonly driver: Driver;
  readonly devices: readonly Device[];
}

async function fromSite(file: string): Promise<Served> {
  const { devices, drivers } = await loadSite(file);
  const driver = drivers.values().next().value;
  if (driver === undefined || devices.length === 0)
    throw new TidegateError('USAGE', `${file} has no devices to simulate`, { hint: 'Write some under `devices`.' });
  return { driver, devices: devices.filter(({ connection }) => drivers.get(connection) === driver) };
}

async function fromProfile(name: string): Promise<Served> {
  const profile = await loadProfile(name, ['device-profiles', shippedProfiles], builtIn);
  const { driver } = profile;
  const settings = driver.device.safeParse(profile.device);
  if (!settings.success)
    throw new ProblemList([
      new TidegateError('USAGE', `${name} needs settings of its own (${settings.error.message})`, {
        hint: 'Write a gateway.yaml with such a device, and simulate that.',
      }),
    ]);
  const device = { id: 'simulated', profile: name, connection: 'simulator', tags: {}, settings: settings.data };
  return { driver, devices: [{ ...device, points: profile.points }] };
}

function settingsText(settings: unknown): string {
  return Object.entries(settings as object)
    .map(([key, value]) => `${key} ${typeof value === 'object' ? JSON.stringify(value) : value}`)
    .join(', ');
}
