/** Who may import whom. Arrows go down only; a room is a folder of src/, a file of src/, or a folder of drivers/. */

/** The floor that everybody stands on. */
const VOCABULARY = ['model', 'errors', 'units', 'driver', 'scaling', 'float32'];
/** Below polling, routing and delivery. */
const LOWER = ['devices', 'profiles', 'config', 'ops', 'field', ...VOCABULARY];

/** Room → the rooms that it may import, beside itself. A room that is not named here has no place in the house. */
export const ARROWS: Readonly<Record<string, readonly string[]>> = {
  main: ['cli'],
  // Of delivery only the look at outbox files: `outbox status` works while no gateway runs.
  cli: ['demo', 'gateway', 'snapshot', 'reload', 'site', 'drivers', 'delivery', 'version', ...LOWER],
  demo: ['aedes', 'gateway', 'snapshot', 'site', ...LOWER],
  gateway: ['snapshot', 'reload', 'site', 'polling', 'routing', 'delivery', 'broker', 'version', ...LOWER],
  // What each room says of itself.
  snapshot: ['polling', 'delivery', 'broker', 'devices', 'driver'],
  // Knows what a site is made of; what runs it is told by the gateway.
  reload: ['site', 'devices', 'ops', ...VOCABULARY],
  // Rules are read with the rest, and what wires can carry is reckoned, so that one run finds every problem.
  site: ['plugins', 'drivers', 'polling', 'routing', ...LOWER],
  // Turns on a wire: what can be asked of a device beside polling it.
  field: ['unscaling', 'devices', 'config', 'ops', ...VOCABULARY],
  plugins: ['config', ...VOCABULARY],
  polling: LOWER,
  routing: LOWER,
  delivery: ['mqtt-reasons', ...LOWER],
  broker: ['aedes', 'mqtt-packets', ...LOWER],
  devices: ['profiles', 'config', 'ops', ...VOCABULARY],
  profiles: ['config', ...VOCABULARY],
  config: VOCABULARY,
  ops: VOCABULARY,
  scaling: ['linear', 'float32', 'model', 'errors'],
  unscaling: ['scaling', 'linear', 'model', 'errors'],
  linear: [],
  float32: [],
  'mqtt-reasons': [],
  'mqtt-packets': ['units'],
  aedes: [],
  driver: ['model'],
  units: [],
  waves: ['model'],
  errors: [],
  version: [],
  model: [],
  drivers: ['driver'],
};

/** A folder of drivers/ may import these, its own protocol library, and nothing else of ours … */
export const DRIVER_ARROWS = [...VOCABULARY, 'waves'];
/** … but what belongs to a protocol that is spoken upstream and on site too. */
const SHARED: Readonly<Record<string, readonly string[]>> = {
  'drivers/mqtt': ['aedes', 'mqtt-packets', 'mqtt-reasons'],
};

/** Library → the rooms that may load it. Types are free; a library that is not named here is not used in src/ or drivers/. */
export const LIBRARIES: Readonly<Record<string, readonly string[]>> = {
  '@marcbachmann/cel-js': ['routing'],
  aedes: ['aedes'],
  'better-sqlite3': ['ops'],
  commander: ['cli'],
  'modbus-serial': ['drivers/modbus'],
  mqtt: ['delivery', 'drivers/mqtt'],
  'node-opcua-client': ['drivers/opcua'],
  'node-opcua-server': ['drivers/opcua'],
  pino: ['ops'],
  serialport: ['drivers/modbus'],
  yaml: ['config'],
  zod: ['config', 'profiles', 'routing', 'units', 'drivers/modbus', 'drivers/mqtt', 'drivers/opcua'],
};

/** Libraries that cost memory and start-up time, so that only what needs them loads them … */
export const STACKS = [
  '@marcbachmann/cel-js',
  'aedes',
  'better-sqlite3',
  'modbus-serial',
  'mqtt',
  'node-opcua-client',
  'node-opcua-server',
  'serialport',
];
/** … and the files that must load without any of them: the command line, the gateway before it knows its site, and the drivers' names. */
export const LIGHT = [
  'src/main.ts',
  'src/cli/run.ts',
  'src/gateway.ts',
  'src/site.ts',
  'drivers/index.ts',
  'drivers/modbus/index.ts',
  'drivers/mqtt/index.ts',
  'drivers/opcua/index.ts',
];

/** The room of a file of src/ or drivers/. */
export function roomOf(path: string): string {
  const [top, first = '', rest] = path.split('/');
  const name = first.replace(/\.ts$/, '');
  if (top === 'src') return name;
  return rest === undefined ? 'drivers' : `drivers/${name}`;
}

/** The rooms that a room may import, beside itself; undefined for a room without a place in the house. */
export function allowed(room: string, rooms: readonly string[]): readonly string[] | undefined {
  if (room.startsWith('drivers/')) return [...DRIVER_ARROWS, ...(SHARED[room] ?? [])];
  if (room === 'drivers') return [...DRIVER_ARROWS, ...rooms.filter((other) => other.startsWith('drivers/'))];
  return ARROWS[room];
}
