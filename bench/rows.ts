/** The figures of each part as rows, with what they must be (the and the design's numbers live here alone). */
import type { BacklogFigures } from './backlog.js';
import type { FootprintFigures } from './footprint.js';
import { bestOf, type RateStep } from './highest-rate.js';
import type { MqttFigures } from './mqtt.js';
import type { OpcuaFigures } from './opcua.js';
import { MANY, type OutageResults } from './outages.js';
import type { Row } from './report.js';
import type { Figures } from './scene.js';
import type { StallFigures } from './stall.js';
import type { StartFigures } from './start.js';
import { percentile } from './usage.js';
import type { PathFigures } from './whole-path.js';
import type { WiresFigures } from './wires.js';
import { DEVICE, type WriteFigures } from './write-latency.js';

/** Bytes that a file system writes at least. */
const BLOCK = 4096;

/** The whole path at one load beside a bare relay of it; `most` are a share of one core, and bytes. */
export function pathRows(path: PathFigures, relay: Figures, most: { cpu: number; rss: number }): Row[] {
  const load = `${path.offered.toLocaleString('en')} readings/s`;
  return [
    {
      name: `${load}: CPU, of one core`,
      value: path.cpu,
      unit: 'share',
      most: most.cpu,
      limit: { of: 'bare relay', value: relay.cpu },
    },
    {
      name: `${load}: CPU per reading`,
      value: path.cpuPerReading,
      unit: 'µs',
      limit: { of: 'bare relay', value: (relay.cpu * 1e6) / relay.perSecond },
    },
    {
      name: `${load}: memory`,
      value: path.rss,
      unit: 'MB',
      most: most.rss,
      limit: { of: 'bare relay', value: relay.rss },
    },
    {
      name: `${load}: delivered`,
      value: path.delivered,
      unit: 'perSecond',
      limit: { of: 'asked for', value: path.offered },
    },
    {
      name: `${load}: written per reading, online`,
      value: path.writtenPerReading,
      unit: 'bytes',
      most: 0,
      exact: true,
    },
    {
      name: `${load}: written per reading, offline`,
      value: path.offline.writtenPerReading,
      unit: 'bytes',
      most: 20,
      exact: true,
    },
    { name: `${load}: CPU offline, of one core`, value: path.offline.cpu, unit: 'share' },
    { name: `${load}: memory offline`, value: path.offline.rss, unit: 'MB' },
    { name: `${load}: readings lost`, value: path.lost, unit: 'count', most: 0, exact: true },
    { name: `${load}: duplicates`, value: path.duplicates, unit: 'count' },
  ];
}

/** The highest rate that was kept up with, beside bare programs at full speed. */
export function rateRows(steps: readonly RateStep[], bare: Record<'socket' | 'publisher' | 'relay', Figures>): Row[] {
  const best = bestOf(steps);
  if (!best) return [];
  return [
    {
      name: 'highest rate, every event acknowledged',
      value: best.delivered,
      unit: 'perSecond',
      least: 150_000,
      limit: { of: 'bare relay', value: bare.relay.perSecond },
    },
    { name: 'highest rate: CPU, of one core', value: best.cpu, unit: 'share' },
    { name: 'highest rate: CPU of the main thread', value: best.cpuMain, unit: 'share' },
    { name: 'highest rate: memory', value: best.rss, unit: 'MB' },
    { name: 'highest rate: CPU of the field and the cloud', value: best.fieldCpu + best.cloudCpu, unit: 'share' },
    { name: 'bare socket alone', value: bare.socket.perSecond, unit: 'perSecond' },
    { name: 'bare publisher alone', value: bare.publisher.perSecond, unit: 'perSecond' },
  ];
}

/** A backlog from disk to the broker. */
export function backlogRows(backlog: BacklogFigures, start: StartFigures, publisher: Figures): Row[] {
  const name = `backlog of ${backlog.readings.toLocaleString('en')} readings`;
  return [
    {
      name: `${name}: start to its first message${backlog.cold ? '' : ' (file in the page cache)'}`,
      value: backlog.firstPublish,
      unit: 'ms',
      most: 2_000,
      limit: { of: 'with none', value: start.firstPublish },
    },
    {
      name: `${name}: memory after the start`,
      value: backlog.rssWith,
      unit: 'MB',
      most: backlog.rssWithout * 1.1,
      limit: { of: 'with none', value: backlog.rssWithout },
    },
    {
      name: `${name}: drained at`,
      value: backlog.perSecond,
      unit: 'perSecond',
      least: 250_000,
      limit: { of: 'bare publisher', value: publisher.perSecond },
    },
    { name: `${name}: highest memory while draining`, value: backlog.rss, unit: 'MB', most: 150e6 },
    { name: `${name}: events missing`, value: backlog.missing, unit: 'count', most: 0, exact: true },
    { name: `${name}: duplicates`, value: backlog.duplicates, unit: 'count' },
  ];
}

/** What an outage writes; meters of 30 points, each read once a second, a commit a second. */
export function outageRows({ byMeters, full }: OutageResults, database: Figures & { written: number }): Row[] {
  const rows = [...byMeters].flatMap(([meters, figures]): Row[] => {
    const { committed, held, inUse, readings, seconds, written } = figures;
    // docs/decisions/0031: a log and a file, and the block of the log that each commit writes anew.
    const floor = 2 + (BLOCK * seconds) / committed;
    const name = `outage, ${meters} ${meters === 1 ? 'meter' : 'meters'} of 30 points`;
    return [
      { name: `${name}: on disk per reading`, value: inUse / held, unit: 'bytes', most: 12, exact: true },
      {
        name: `${name}: written per reading`,
        value: written / readings,
        unit: 'bytes',
        ...(meters === MANY && { limit: { of: 'SQLite alone', value: database.written / readings } }),
      },
      {
        name: `${name}: written per byte of segments`,
        value: written / committed,
        unit: 'times',
        ...(meters === MANY && { most: 1.1 * floor }),
        limit: { of: 'a log and a file, in blocks', value: floor },
      },
      { name: `${name}: written a day`, value: (written / seconds) * 86_400, unit: 'GB a day' },
    ];
  });
  const name = `full outbox, ${MANY} meters`;
  return [
    ...rows,
    { name: `${name}: slice of thinning, 99 of 100`, value: percentile(full.slices, 0.99), unit: 'ms' },
    { name: `${name}: commit, 99 of 100`, value: percentile(full.commits, 0.99), unit: 'ms' },
    {
      name: `${name}: keeps up with`,
      value: (full.readings * 1000) / full.spent,
      unit: 'perSecond',
      least: 50_000,
    },
    { name: `${name}: written per reading`, value: full.written / full.readings, unit: 'bytes' },
    { name: `${name}: events dropped`, value: full.dropped, unit: 'count', most: 0, exact: true },
  ];
}

/** A disk that stalls. */
export function stallRows({ stalled, even }: StallFigures): Row[] {
  const row = (of: 'p99' | 'most', name: string): Row => ({
    name: `each fsync takes 500 ms: ${name}`,
    value: stalled[of],
    unit: 'ms',
    ...(of === 'p99' && { most: even[of] + 10 }),
    limit: { of: 'without', value: even[of] },
  });
  return [row('p99', '99 of 100 polls late by at most'), row('most', 'latest poll')];
}

/** On the disk. */
export function footprintRows({ own, packages }: FootprintFigures): Row[] {
  return [
    { name: 'installed: Tidegate', value: own, unit: 'MB' },
    { name: 'installed: the packages that it needs', value: packages, unit: 'MB' },
  ];
}

/** From the start of the process. */
export function startRows(start: StartFigures): Row[] {
  const limit = { of: 'a Node that does nothing', value: start.bareNode };
  return [
    { name: 'start to first poll', value: start.firstPoll, unit: 'ms', most: 600, limit },
    { name: 'start to first message at the broker', value: start.firstPublish, unit: 'ms', limit },
  ];
}

/** Many devices, each with a connection of its own. */
export function wiresRows({ devices, points, wires, relay }: WiresFigures): Row[] {
  const name = `${devices} Modbus TCP devices of ${points} points, each second`;
  return [
    {
      name: `${name}: CPU, of one core`,
      value: wires.cpu,
      unit: 'share',
      most: 0.15,
      limit: { of: 'bare relay', value: relay.cpu },
    },
    { name: `${name}: memory`, value: wires.rss, unit: 'MB', limit: { of: 'bare relay', value: relay.rss } },
    {
      name: `${name}: delivered`,
      value: wires.perSecond,
      unit: 'perSecond',
      limit: { of: 'asked for', value: devices * points },
    },
  ];
}

/** Writes while everything else goes on. */
export function writeRows(busy: WriteFigures, quiet: WriteFigures): Row[] {
  const name = `write to a ${DEVICE} ms device while ${busy.offered.toLocaleString('en')} readings/s are polled`;
  const row = (of: 'median' | 'p99' | 'most', what: string): Row => ({
    name: `${name}: ${what}`,
    value: busy.delivered < busy.offered * ENOUGH ? Number.NaN : busy[of],
    unit: 'ms',
    ...(of === 'p99' && { most: 20 }),
    limit: { of: 'with nothing polled', value: quiet[of] },
  });
  return [
    row('median', 'the middle one'),
    row('p99', '99 of 100'),
    row('most', 'the longest'),
    {
      name: `${name}: delivered meanwhile`,
      value: busy.delivered,
      unit: 'perSecond',
      limit: { of: 'asked for', value: busy.offered },
    },
  ];
}

/** A server or a machine that does not keep up is not the load that a figure is meant for. */
const ENOUGH = 0.9;

/** OPC UA where it is used, and where it is not. */
export function opcuaRows({ offered, client, library, rssWithout, rssWith }: OpcuaFigures): Row[] {
  const name = `OPC UA, ${offered.toLocaleString('en')} values/s told`;
  return [
    {
      name: `${name}: CPU of the client, of one core`,
      value: client.perSecond < offered * ENOUGH ? Number.NaN : client.cpu,
      unit: 'share',
      most: 0.06,
      limit: { of: 'its library alone', value: library.cpu },
    },
    {
      name: `${name}: memory of the client`,
      value: client.rss,
      unit: 'MB',
      limit: { of: 'its library alone', value: library.rss },
    },
    {
      name: `${name}: received`,
      value: client.perSecond,
      unit: 'perSecond',
      limit: { of: 'asked for', value: offered },
    },
    {
      name: 'gateway of one Modbus device: memory',
      value: rssWithout,
      unit: 'MB',
      most: rssWith - LIBRARY,
      limit: { of: 'with an OPC UA device', value: rssWith },
    },
  ];
}

/** Devices that publish to the gateway's own broker. */
export function mqttRows({ devices, offered, gateway, library }: MqttFigures): Row[] {
  const name = `${devices.toLocaleString('en')} MQTT devices, ${offered.toLocaleString('en')} values/s`;
  return [
    {
      name: `${name}: CPU, of one core`,
      value: gateway.perSecond < offered * ENOUGH ? Number.NaN : gateway.cpu,
      unit: 'share',
      limit: { of: 'its libraries alone', value: library.cpu },
    },
    {
      name: `${name}: memory`,
      value: gateway.rss,
      unit: 'MB',
      limit: { of: 'its libraries alone', value: library.rss },
    },
    {
      name: `${name}: delivered`,
      value: gateway.perSecond,
      unit: 'perSecond',
      limit: { of: 'asked for', value: offered },
    },
  ];
}

/** Bytes that the OPC UA library takes at least, and that must not be there where nobody uses it. */
const LIBRARY = 15e6;
