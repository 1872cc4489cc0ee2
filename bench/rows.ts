/** The figures of each part as rows, with what they must be (the and the design's numbers live here alone). */
import type { BacklogFigures } from './backlog.js';
import { bestOf, type RateStep } from './highest-rate.js';
import type { LimitFigures } from './limits.js';
import type { Row } from './report.js';
import type { StartFigures } from './start.js';
import type { PathFigures } from './whole-path.js';

/** The whole path at one load beside a bare relay of it; `most` are a share of one core, and bytes. */
export function pathRows(
  path: PathFigures,
  relay: LimitFigures,
  disk: number,
  most: { cpu: number; rss: number },
): Row[] {
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
      limit: { of: 'SQLite alone', value: disk },
    },
    { name: `${load}: CPU offline, of one core`, value: path.offline.cpu, unit: 'share' },
    { name: `${load}: memory offline`, value: path.offline.rss, unit: 'MB' },
    { name: `${load}: readings lost`, value: path.lost, unit: 'count', most: 0, exact: true },
    { name: `${load}: duplicates`, value: path.duplicates, unit: 'count' },
  ];
}

/** The highest rate that was kept up with, beside bare programs at full speed. */
export function rateRows(
  steps: readonly RateStep[],
  bare: Record<'socket' | 'publisher' | 'relay', LimitFigures>,
): Row[] {
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
export function backlogRows(backlog: BacklogFigures, publisher: LimitFigures, database: LimitFigures): Row[] {
  return [
    {
      name: `backlog of ${backlog.readings.toLocaleString('en')} readings: drained at`,
      value: backlog.perSecond,
      unit: 'perSecond',
      limit: { of: 'bare publisher', value: publisher.perSecond },
    },
    { name: 'backlog: highest memory while draining', value: backlog.rss, unit: 'MB' },
    { name: 'backlog: events missing', value: backlog.missing, unit: 'count', most: 0, exact: true },
    { name: 'backlog: duplicates', value: backlog.duplicates, unit: 'count' },
    { name: 'SQLite alone: segments of the same size, written at', value: database.perSecond, unit: 'perSecond' },
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
