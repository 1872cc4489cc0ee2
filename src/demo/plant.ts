/** The demo's site: an ordinary data folder with an ordinary gateway.yaml and rules, written where the system keeps temporary files. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Simulator } from '../driver.js';
import { TidegateError } from '../errors.js';
import { loadSite, type Site } from '../site.js';

/** Simulated devices and the site that polls them. */
export interface Plant {
  readonly site: Site;
  /** Stops the simulator and removes the files. */
  close(): Promise<void>;
}

const gatewayYaml = (field: number, broker: number) => `# The demo's gateway: an ordinary one
gateway: demo
connections:
  plant: { driver: modbus, tcp: 127.0.0.1:${field} }
devices:
  meter-1:     { profile: eastron/sdm630, connection: plant, unit: 1, tags: { area: north } }
  heat-pump-1: { profile: lg/therma-v, connection: plant, unit: 2, tags: { area: north } }
upstreams:
  cloud:
    url: mqtt://127.0.0.1:${broker}
    version: "3.1.1"
    reconnect: { min: 250ms, max: 2s }
`;

const RULES = `# What changes is sent at once, and all the rest once a minute.
- rule: meters
  match: { device: "meter-*" }
  steps:
    - change: { deadband: "0.1 %", at_least_every: 1m }
  send: cloud
- rule: heat pumps
  match: { device: "heat-pump-*" }
  steps:
    - where: quality != "bad"
    - change: { at_least_every: 1m }
  send: cloud
`;

/** Starts the simulated devices, and loads the site that polls them and delivers to a broker on this loopback port. */
export async function startPlant(broker: number): Promise<Plant> {
  const folder = mkdtempSync(join(tmpdir(), 'tidegate-demo-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.once('exit', remove);
  const file = join(folder, 'gateway.yaml');
  mkdirSync(join(folder, 'rules'));
  writeFileSync(join(folder, 'rules', 'demo.yaml'), RULES);
  // The port is known only once the simulator listens, and it needs the devices: so the site is loaded twice.
  writeFileSync(file, gatewayYaml(502, broker));
  const simulator = await simulate(await loadSite(file));
  writeFileSync(file, gatewayYaml(simulator.port, broker));
  const site = await loadSite(file);
  return {
    site,
    async close() {
      await simulator.close();
      process.off('exit', remove);
      remove();
    },
  };
}

async function simulate(site: Site): Promise<Simulator> {
  const driver = site.drivers.get('plant');
  if (driver?.simulate === undefined) throw new TidegateError('USAGE', 'the demo needs a driver that can simulate');
  return driver.simulate(site.devices, { host: '127.0.0.1', port: 0 });
}
