/** The live view: one snapshot of a gateway as lines for a terminal of any size. */
import { expiryText } from '../ops/expiry.js';
import { spanText } from '../ops/repeated.js';
import { printable } from '../ops/text.js';
import {
  type BrokerStatus,
  type DeviceSnapshot,
  FULL_WIRE,
  type PointSnapshot,
  type Snapshot,
  type UpstreamStatus,
} from '../snapshot.js';
import { bytesText, countText, percentText, quantityText, stateStyle } from './quantity.js';
import { joinSpans, type Span } from './terminal.js';

/** How much room there is. */
export interface ViewSize {
  readonly columns: number;
  readonly rows: number;
  readonly color: boolean;
}

/** Least width of a column of points. */
const CELL = 40;

/** Draws a snapshot within `rows` lines of `columns` characters; what does not fit is counted, not silently left out. */
export function renderView(snapshot: Snapshot, size: ViewSize): string[] {
  const lines: Span[][] = [
    headline(snapshot),
    ...snapshot.upstreams.map((status) => upstreamLine(status, snapshot.at)),
    ...snapshot.orphans.map(orphanLine),
    ...(snapshot.broker ? [brokerLine(snapshot.broker)] : []),
    ...wiresLine(snapshot.connections),
    ...snapshot.expiring.map((one): Span[] => [['⚠ ', 'yellow'], printable(expiryText(one))]),
  ];
  if (snapshot.devices.length > 0) lines.push([]);
  lines.push(...deviceLines(snapshot.devices, Math.max(size.rows - lines.length, 1), size.columns));
  return cut(lines, size.rows, 'lines').map((spans) => joinSpans(spans, size.columns, size.color));
}

function headline({ gateway, clock, uptime, readingsPerSecond, polls, devices }: Snapshot): Span[] {
  const online = devices.filter(({ state }) => state === 'online').length;
  return [
    [gateway, 'bold'],
    ...(clock === 'unset' ? [['  clock not set', 'yellow'] satisfies Span] : []),
    `  ${online} of ${devices.length} devices online  ${countText(readingsPerSecond)} readings/s`,
    [`  ${countText(polls.polls)} polls  up ${spanText(uptime)}`, 'dim'],
  ];
}

function upstreamLine(status: UpstreamStatus, now: number): Span[] {
  const waiting = status.waiting.alarm + status.waiting.live + status.waiting.backlog;
  const age = status.oldest === undefined ? '' : `, oldest ${spanText(Math.max(now - status.oldest, 0))}`;
  const disk = status.bytesOnDisk > 0 && waiting > 0 ? `, ${bytesText(status.bytesOnDisk)} on disk` : '';
  const spans: Span[] = [
    '→ ',
    [status.id, 'bold'],
    ' ',
    [status.link, stateStyle(status.link)],
    '  outbox ',
    [`${countText(waiting)} waiting${age}`, waiting > 100 || status.link === 'offline' ? 'yellow' : 'green'],
    `${disk}  ${countText(status.acknowledged)} acknowledged, ${countText(status.rate)} readings/s`,
  ];
  if (status.drainedIn !== undefined) spans.push([`  drained in ${spanText(status.drainedIn * 1000)}`, 'dim']);
  if (status.hoursLeft !== undefined) spans.push([`  room for ${spanText(status.hoursLeft * 3_600_000)}`, 'dim']);
  const lost = status.dropped + status.rejected;
  if (lost > 0) spans.push([`  ${countText(lost)} removed`, 'red']);
  if (status.reason !== undefined) spans.push([`  ${printable(status.reason)}`, 'dim']);
  return spans;
}

function orphanLine({ id, alarm, backlog, rejected }: Snapshot['orphans'][number]): Span[] {
  const kept = `${countText(alarm + backlog)} waiting, ${countText(rejected)} rejected`;
  return ['→ ', [id, 'bold'], ' ', ['not in gateway.yaml', 'yellow'], `  outbox ${kept}`];
}

/** How busy the wires are, the busiest first. */
function wiresLine(connections: Snapshot['connections']): Span[][] {
  if (connections.length === 0) return [];
  const wires = [...connections]
    .sort((a, b) => b.load - a.load)
    .flatMap(({ id, load, planned }): Span[] => [
      `  ${id} `,
      [percentText(load), load > FULL_WIRE ? 'yellow' : 'green'],
      [planned === undefined ? '' : ` (planned ${percentText(planned)})`, 'dim'],
    ]);
  return [['⇄ busy', ...wires]];
}

function brokerLine({ listening, clients, retained, refused }: BrokerStatus): Span[] {
  const spans: Span[] = [
    '⇄ ',
    ['local broker', 'bold'],
    ` ${listening.join(', ')}  ${countText(clients)} client${clients === 1 ? '' : 's'}, ${countText(retained)} topics`,
  ];
  const kinds = Object.entries(refused).map(([kind, times]) => `${countText(times)} ${kind}`);
  if (kinds.length > 0) spans.push([`  refused: ${kinds.join(', ')}`, 'yellow']);
  return spans;
}

/** All devices with as many of their points as there is room for; with little room, one line per device. */
function deviceLines(devices: readonly DeviceSnapshot[], room: number, columns: number): Span[][] {
  if (devices.length === 0) return [];
  const brief = devices.length * 2 > room;
  if (brief) return cut(devices.map(deviceLine), room, 'devices');
  const perRow = Math.max(Math.floor((columns - 2) / CELL), 1);
  const wanted = devices.map(({ points }) => Math.ceil(points.length / perRow));
  const heights = share(room - devices.length, wanted);
  return devices.flatMap((device, i) => [
    deviceLine(device),
    ...pointLines(device.points, heights[i] ?? 1, perRow, Math.floor((columns - 2) / perRow)),
  ]);
}

function deviceLine(device: DeviceSnapshot): Span[] {
  const bad = device.points.filter(({ quality }) => quality === 'bad').length;
  const spans: Span[] = [
    ['● ', stateStyle(device.state)],
    [device.id, 'bold'],
    [`  ${device.profile}  `, 'dim'],
    [device.state, stateStyle(device.state)],
  ];
  if (bad > 0) spans.push([`  ${bad} of ${device.points.length} points bad`, 'red']);
  if (device.reason !== undefined) spans.push([`  ${printable(device.reason)}`, 'dim']);
  return spans;
}

function pointLines(points: readonly PointSnapshot[], height: number, perRow: number, width: number): Span[][] {
  const fits = height * perRow;
  const shown = points.length > fits ? points.slice(0, fits - 1) : points;
  const cells: Span[][] = shown.map((point) => pointCell(point, width));
  if (shown.length < points.length) cells.push([[`… ${points.length - shown.length} more`, 'dim']]);
  const lines: Span[][] = [];
  for (let i = 0; i < cells.length; i += perRow) lines.push(['  ', ...cells.slice(i, i + perRow).flat()]);
  return lines;
}

function pointCell(point: PointSnapshot, width: number): Span[] {
  const name = toWidth(point.id, Math.floor(width / 2) - 1);
  const room = width - name.length - 1;
  if (point.quality === 'good') return [name, ' ', toWidth(quantityText(point.value, point.unit), room)];
  const why = point.reason ?? point.quality;
  const text = point.quality === 'bad' ? why : `${quantityText(point.value, point.unit)} (${why})`;
  return [name, ' ', [toWidth(printable(text), room), stateStyle(point.quality)]];
}

/** The text at exactly this width, the last place kept free. */
function toWidth(text: string, width: number): string {
  const letters = [...text];
  return (letters.length < width ? text : `${letters.slice(0, Math.max(width - 2, 0)).join('')}…`).padEnd(width);
}

/** Parts `room` among those that want some of it: nobody gets more than wanted, the modest ones first. */
function share(room: number, wanted: readonly number[]): number[] {
  const given = wanted.map(() => 0);
  const order = wanted.map((_, i) => i).sort((a, b) => (wanted[a] ?? 0) - (wanted[b] ?? 0));
  let left = room;
  order.forEach((index, done) => {
    given[index] = Math.min(wanted[index] ?? 0, Math.floor(left / (order.length - done)));
    left -= given[index] ?? 0;
  });
  return given;
}

function cut(lines: Span[][], room: number, what: string): Span[][] {
  if (lines.length <= room) return lines;
  const kept = Math.max(room - 1, 0);
  return [...lines.slice(0, kept), [[`… ${lines.length - kept} more ${what}`, 'dim']]];
}
