/** The gateway under test: `tidegate run` as a process of its own, on a configuration made for the load. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nodeOf } from './peers/opcua-nodes.js';
import { POINTS, topicOf } from './peers/sensor-messages.js';

/** What a gateway is asked to do: so many devices, one request each, so often. */
export interface Load {
  readonly devices: number;
  /** Milliseconds between two polls of a device. */
  readonly every: number;
  /** Registers of a device; REGISTERS when left out. */
  readonly registers?: number;
  /** Connections that they are spread over; CONNECTIONS when left out. */
  readonly connections?: number;
  /** Port of an OPC UA server, of which one value is wanted too. */
  readonly opcuaPort?: number;
  /** MQTT devices too, by a broker of its own on this port. */
  readonly sensors?: { readonly devices: number; readonly brokerPort: number };
}

/** Where a gateway finds its peers and keeps its data. */
export interface Surroundings {
  readonly folder: string;
  readonly fieldPort: number;
  readonly cloudPort: number;
}

/** Registers of one device: all in one request. */
export const REGISTERS = 100;
/** A register that is written only, and its point. */
export const SETPOINT = { point: 'setpoint', address: 200 } as const;
/** Connections that the devices are spread over; each takes one request at a time. */
export const CONNECTIONS = 10;

/** Readings per second that a load asks for. */
export const readingsPerSecond = ({ devices, every, registers = REGISTERS }: Load): number =>
  (devices * registers * 1000) / every;

const MAIN = fileURLToPath(new URL('../src/main.js', import.meta.url));
/** Node's flags, as the first line of the command asks for them. */
export const FLAGS: readonly string[] = /^#!.*\bnode (.*)/.exec(readFileSync(MAIN, 'utf8'))?.[1]?.split(' ') ?? [];

/** The outbox of a gateway that runs in a folder. */
export const outboxFile = (folder: string): string => join(folder, 'data/outbox/cloud.sqlite');

/** A running gateway. */
export class Gateway {
  readonly pid: number;
  /** Wall-clock time just before it was started, milliseconds. */
  readonly startedAt = Date.now();
  private readonly child: ChildProcess;
  private output = '';

  /** Starts on a folder; what it holds from an earlier run is kept. `under`: a program, with its options, that starts it. */
  constructor(load: Load, surroundings: Surroundings, under: readonly string[] = []) {
    const config = configure(load, surroundings);
    const [program, ...args] = [...under, process.execPath, ...FLAGS, MAIN, 'run', config];
    this.child = spawn(program as string, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.pid = this.child.pid as number;
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.on('data', (chunk: Buffer) => {
        this.output = (this.output + chunk.toString()).slice(-4_000);
      });
  }

  /** @throws Error with its last words when it ended by itself */
  alive(): void {
    const { exitCode, signalCode } = this.child;
    if (exitCode !== null || signalCode !== null)
      throw new Error(`the gateway ended (${exitCode ?? signalCode}):\n${this.output}`);
  }

  /** Ends it as systemd does, and waits. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = once(this.child, 'exit');
    this.child.kill(signal);
    await gone;
  }
}

/** Writes gateway.yaml and the profile of its devices; gives the path of the former. */
function configure(load: Load, { folder, fieldPort, cloudPort }: Surroundings): string {
  const { devices, every, registers = REGISTERS, opcuaPort, sensors } = load;
  const connections = Math.min(load.connections ?? CONNECTIONS, devices);
  const wires = Array.from(
    { length: connections },
    (_, i) => `  wire-${i}: { driver: modbus, tcp: "127.0.0.1:${fieldPort}" }`,
  );
  const units = Array.from(
    { length: devices },
    (_, i) =>
      `  device-${i}: { profile: bench/meter, connection: wire-${i % connections}, unit: ${1 + Math.floor(i / connections)} }`,
  );
  const points = Array.from({ length: registers }, (_, i) => `  value_${i}: { address: ${i} }`);
  points.push(`  ${SETPOINT.point}: { address: ${SETPOINT.address}, access: write }`);
  if (opcuaPort !== undefined) {
    wires.push(`  press: { driver: opcua, endpoint: "opc.tcp://127.0.0.1:${opcuaPort}", security: None }`);
    units.push('  press-1: { profile: bench/press, connection: press }');
  }
  if (sensors) {
    wires.push('  floor: { driver: mqtt, broker: local }');
    for (let i = 0; i < sensors.devices; i++)
      units.push(`  sensor-${i}: { profile: bench/sensor, connection: floor, topic: ${topicOf(i)} }`);
  }
  mkdirSync(join(folder, 'device-profiles/bench'), { recursive: true });
  writeFileSync(
    join(folder, 'device-profiles/bench/meter.yaml'),
    `profile: bench/meter
title: A device of ${registers} registers
source: made for the benchmark
driver: modbus
defaults: { table: holding, type: uint16, every: ${every}ms }
points:
${points.join('\n')}
examples:
  - words: { 0: [4711] }
    gives: { value_0: 4711 }
`,
  );
  writeFileSync(
    join(folder, 'device-profiles/bench/press.yaml'),
    `profile: bench/press
title: A server with one value
source: made for the benchmark
driver: opcua
points:
  value: { node: "${nodeOf(0)}", type: float64 }
examples:
  - { nodes: { "${nodeOf(0)}": { Double: 1.5 } }, gives: { value: 1.5 } }
`,
  );
  writeFileSync(
    join(folder, 'device-profiles/bench/sensor.yaml'),
    `profile: bench/sensor
title: A device that publishes
source: made for the benchmark
driver: mqtt
defaults: { type: float64 }
points:
${POINTS.map((name) => `  ${name}: { pointer: /${name} }`).join('\n')}
examples:
  - { topics: { "{topic}": { power: 1.5 } }, gives: { power: 1.5 } }
`,
  );
  const broker = sensors
    ? `broker: { listen: "127.0.0.1:${sensors.brokerPort}", anonymous: { write: ["#"] }, limits: { publishes: ${2 * sensors.devices} } }\n`
    : '';
  const file = join(folder, 'gateway.yaml');
  writeFileSync(
    file,
    `gateway: bench
data: data
log: { level: warn }
${broker}connections:
${wires.join('\n')}
devices:
${units.join('\n')}
upstreams:
  cloud:
    url: mqtt://127.0.0.1:${cloudPort}
    version: "3.1.1"
    reconnect: { min: 200ms, max: 500ms }
`,
  );
  return file;
}
