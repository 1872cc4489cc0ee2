/**
 * `npm run bench`: what Tidegate costs, beside what the machine takes at least for the same work.
 *
 * Options: `--smoke` (seconds, for CI: that all runs, and what must hold on any machine) · `--json` · `--update` (writes the table
 * into docs/performance.md) · `--folder PATH` (a folder on the disk to measure; the system's folder for temporary files
 * otherwise). Ends with 1 when something exact does not hold.
 */
import { readFileSync, statfsSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { drainBacklog } from './backlog.js';
import { measureFootprint } from './footprint.js';
import type { Load } from './gateway.js';
import { findHighestRate } from './highest-rate.js';
import { bareDatabase, barePublisher, bareRelay, bareSocket } from './limits.js';
import { measureMqtt } from './mqtt.js';
import { measureOpcua } from './opcua.js';
import { MANY, measureOutages } from './outages.js';
import { jsonOf, markdownOf, type Row, tableOf, verdictOf } from './report.js';
import {
  backlogRows,
  footprintRows,
  mqttRows,
  opcuaRows,
  outageRows,
  pathRows,
  rateRows,
  stallRows,
  startRows,
  wiresRows,
  writeRows,
} from './rows.js';
import { type Pace, Scene } from './scene.js';
import { measureStall } from './stall.js';
import { measureStart } from './start.js';
import { measurePath } from './whole-path.js';
import { measureWires } from './wires.js';
import { measureWrites } from './write-latency.js';

const FULL: Pace = {
  warmup: 3_000,
  warmupMessages: 3_000,
  window: 3_000,
  windows: 3,
  starts: 7,
  writes: 400,
  backlog: 10_000_000,
  outageSeconds: 1_200,
  fullSize: 40_000_000,
};
const SMOKE: Pace = {
  warmup: 500,
  // Some seconds: at its start a gateway writes into the register how each device stands.
  warmupMessages: 300,
  window: 800,
  windows: 2,
  starts: 1,
  writes: 40,
  backlog: 200_000,
  outageSeconds: 120,
  fullSize: 4_000_000,
};

const TMPFS = 0x01021994;

const DOCUMENT = new URL('../../docs/performance.md', import.meta.url);
const FIGURES = /(?<=<!-- figures -->\n).*(?=<!-- end of figures -->)/s;

const { values: options } = parseArgs({
  options: {
    smoke: { type: 'boolean' },
    json: { type: 'boolean' },
    update: { type: 'boolean' },
    folder: { type: 'string', default: tmpdir() },
  },
});
const hasDisk = statfsSync(options.folder).type !== TMPFS;
if (!hasDisk) process.stderr.write(`${options.folder} is in memory: bytes written are not measured (see --folder)\n`);
const scene = await Scene.open(options.smoke ? SMOKE : FULL, options.folder);
try {
  report(
    (await measureAll()).map((row) =>
      (row.unit === 'bytes' || row.unit === 'times' || row.unit === 'GB a day') && !hasDisk
        ? { ...row, value: Number.NaN }
        : row,
    ),
  );
} finally {
  await scene.close();
}

function report(rows: readonly Row[]): void {
  const machine = `${availableParallelism()} × ${cpus()[0]?.model.trim() ?? 'unknown processor'}, Node ${process.version}`;
  if (options.json) process.stdout.write(`${JSON.stringify({ machine, rows: jsonOf(rows) }, null, 2)}\n`);
  else process.stdout.write(`${machine}\n\n${tableOf(rows)}`);
  if (options.update) {
    const figures = `${new Date().toISOString().slice(0, 10)}, ${machine}:\n\n${markdownOf(rows)}\n`;
    writeFileSync(
      DOCUMENT,
      readFileSync(DOCUMENT, 'utf8').replace(FIGURES, () => figures),
    );
  }
  const broken = rows.filter((row) => row.exact && verdictOf(row) === 'missed');
  for (const { name } of broken) process.stderr.write(`does not hold: ${name}\n`);
  process.exitCode = broken.length > 0 ? 1 : 0;
}

async function measureAll(): Promise<Row[]> {
  const small: Load = { devices: 100, every: 1_000 };
  const large: Load = { devices: 100, every: 100 };
  step('start');
  const start = await measureStart(scene, small);
  step('backlog');
  const backlog = await drainBacklog(scene);
  step('bare publisher');
  const publisher = await barePublisher(scene, backlog.messageSize, backlog.messageReadings);
  step('outages');
  const outages = await measureOutages(scene);
  const many = outages.byMeters.get(MANY);
  if (!many) throw new TypeError('each outage is measured');
  const { committed, readings, segments: count } = many;
  step('SQLite alone');
  const database = await bareDatabase(scene, { size: committed / count, readings: readings / count, count });
  step('a disk that stalls');
  const stall = await measureStall(scene, small);

  step('OPC UA');
  const opcua = await measureOpcua(scene);
  step('MQTT');
  const mqtt = await measureMqtt(scene);
  step('500 devices with a connection each');
  const wires = await measureWires(scene);
  step('writes, with nothing else and on busy wires');
  const quiet = await measureWrites(scene, { devices: 1, every: 1_000 });
  const busy = await measureWrites(scene, large);

  const rows = await pathAt(small, { cpu: 0.08, rss: 100e6 });
  if (!options.smoke) {
    rows.push(...(await pathAt(large, { cpu: 0.6, rss: 150e6 })));
    step('bare socket and bare relay, as fast as they go');
    const full: Load = { ...large, every: 0 };
    const socket = await bareSocket(scene, full);
    const relay = await bareRelay(scene, full, backlog.messageSize);
    step('highest rate');
    rows.push(...rateRows(await findHighestRate(scene, 150_000), { socket, publisher, relay }));
  }
  return [
    ...rows,
    ...backlogRows(backlog, start, publisher),
    ...outageRows(outages, database),
    ...stallRows(stall),
    ...startRows(start),
    ...wiresRows(wires),
    ...writeRows(busy, quiet),
    ...opcuaRows(opcua),
    ...mqttRows(mqtt),
    ...footprintRows(measureFootprint()),
  ];
}

async function pathAt(load: Load, most: { cpu: number; rss: number }): Promise<Row[]> {
  step(`whole path, ${load.devices} devices every ${load.every} ms`);
  const path = await measurePath(scene, load);
  step('the same, bare');
  return pathRows(path, await bareRelay(scene, load, path.messageSize), most);
}

function step(name: string): void {
  process.stderr.write(`${name} …\n`);
}
