/** `tidegate simulate`: devices that are not there, on the wire as if they were. */
import { drivers as builtIn } from '../../drivers/index.js';
import type { Driver, Simulator, SimulatorOptions } from '../driver.js';
import { TidegateError } from '../errors.js';
import type { Device } from '../model.js';
import { toJson } from '../ops/text.js';
import { shippedProfiles } from '../profiles/find.js';
import { loadProfile } from '../profiles/load.js';
import { loadSite } from '../site.js';
import { EXIT } from './exit.js';
import { drawFaults, type FaultRate, faultsText, parseFaults } from './faults.js';
import { untilSignal } from './signals.js';
import { formatTable } from './terminal.js';

/** Devices that share a wire, so that they share a port. */
interface Wire {
  readonly connection: string;
  readonly driver: Driver;
  readonly devices: readonly Device[];
}

/** What the command line says. */
export interface SimulateOptions {
  readonly host: string;
  readonly port: number;
  readonly serial?: string;
  readonly baud?: number;
  readonly parity?: string;
  /** As written: `timeout:5%`. */
  readonly fault: readonly string[];
  readonly seed?: number;
  readonly json?: boolean;
}

/** Serves a profile, or the devices of a `gateway.yaml`, until it is told to stop. Gives the exit code. */
export async function simulate(what: string, options: SimulateOptions): Promise<number> {
  const { host, serial: path, baud, parity } = options;
  if (path === undefined && (baud !== undefined || parity !== undefined))
    throw new TidegateError('USAGE', '--baud and --parity are of a serial port, and there is none', {
      hint: 'Name it: --serial /dev/ttyUSB1.',
    });
  const serial = path === undefined ? undefined : { path, ...(baud && { baud }), ...(parity && { parity }) };
  const faults = parseFaults(options.fault);
  const seed = options.seed ?? Math.floor(Math.random() * 2 ** 32);
  const signal = untilSignal();
  const wires = /\.ya?ml$/.test(what) ? await wiresOf(what) : [await wireFor(what)];
  if (serial && wires.length > 1)
    throw new TidegateError('USAGE', `${what} has ${wires.length} connections, a serial line carries one`, {
      hint: 'Simulate a profile, or a file with one connection.',
    });
  for (const { driver } of wires) checkFaults(driver, faults);
  const simulators: Simulator[] = [];
  try {
    for (const [i, wire] of wires.entries()) {
      const port = options.port === 0 ? 0 : options.port + i;
      const wrong = faults.length > 0 && { faults: drawFaults(faults, seed + i) };
      simulators.push(await serve(wire, { host, port, ...(serial && { serial }), ...wrong }));
    }
    const told = faults.length > 0 ? { faults, seed } : undefined;
    process.stdout.write(
      options.json ? `${toJson({ ...factsOf(wires, simulators), ...told })}\n` : textOf(wires, simulators, told),
    );
    await signal;
  } finally {
    await Promise.all(simulators.map((simulator) => simulator.close()));
  }
  return EXIT.ok;
}

function serve({ driver, devices }: Wire, where: SimulatorOptions): Promise<Simulator> {
  if (driver.simulate !== undefined) return driver.simulate(devices, where);
  throw new TidegateError('USAGE', `the driver ${driver.name} cannot simulate`, { hint: 'Choose another device.' });
}

/** @throws TidegateError USAGE when its simulator cannot do what is asked for */
function checkFaults({ name, faults = [] }: Driver, rates: readonly FaultRate[]): void {
  const unknown = rates.find(({ kind }) => !faults.includes(kind));
  if (!unknown) return;
  throw new TidegateError('USAGE', `--fault: the simulator of ${name} knows no ${unknown.kind}`, {
    hint: faults.length > 0 ? `It knows ${faults.join(', ')}.` : 'It knows no faults at all.',
  });
}

/** Each connection of a site that has devices. */
async function wiresOf(file: string): Promise<Wire[]> {
  const site = await loadSite(file);
  const wires = [...site.drivers]
    .map(([connection, driver]) => ({
      connection,
      driver,
      devices: site.devices.filter((device) => device.connection === connection),
    }))
    .filter(({ devices }) => devices.length > 0);
  if (wires.length > 0) return wires;
  throw new TidegateError('USAGE', `${file} has no devices to simulate`, { hint: 'Write some under `devices`.' });
}

/** One device of a profile, with the settings that it has unless gateway.yaml says otherwise. */
async function wireFor(name: string): Promise<Wire> {
  const profile = await loadProfile(name, ['device-profiles', shippedProfiles], builtIn);
  const { driver, points } = profile;
  const settings = driver.device.safeParse({ ...driver.simulated, ...profile.device });
  if (!settings.success)
    throw new TidegateError('USAGE', `${name} needs settings of its own: ${settings.error.message}`, {
      hint: 'Write a gateway.yaml with such a device, and simulate that.',
    });
  const device = { id: 'simulated', profile: name, connection: 'simulator', tags: {}, settings: settings.data, points };
  return { connection: 'simulator', driver, devices: [device] };
}

function factsOf(wires: readonly Wire[], simulators: readonly Simulator[]): object {
  const connections = wires.map(({ connection, driver, devices }, i) => ({
    connection,
    driver: driver.name,
    host: simulators[i]?.host,
    port: simulators[i]?.port,
    devices: devices.map(({ id, profile, settings, points }) => ({ id, profile, settings, points: points.length })),
  }));
  return { connections };
}

function textOf(
  wires: readonly Wire[],
  simulators: readonly Simulator[],
  told?: { faults: readonly FaultRate[]; seed: number },
): string {
  const rows = wires.flatMap(({ driver, devices }, i) => {
    const { host = '', port = 0 } = simulators[i] ?? {};
    const place = host.includes(':') ? `[${host}]` : host;
    const where = `${driver.title} ${port === 0 ? place : `${place}:${port}`}`;
    return devices.map(({ id, profile, settings, points }) => [
      where,
      id,
      profile,
      settingsText(settings),
      `${points.length}`,
    ]);
  });
  const table = formatTable(['served on', 'device', 'profile', 'settings', 'points'], rows, ['points']);
  const wrong = told ? `\nFaults on request: ${faultsText(told.faults)}. The same again: --seed ${told.seed}\n` : '';
  return `${table.join('\n')}\n${wrong}\nCtrl-C ends it.\n`;
}

function settingsText(settings: unknown): string {
  return Object.entries(settings as object)
    .map(([key, value]) => `${key} ${typeof value === 'object' ? JSON.stringify(value) : value}`)
    .join(', ');
}
