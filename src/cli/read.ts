/** `tidegate read`: one live read of one device, from the words on the wire to the value. */
import type { ReadAnswer } from '../field/answers.js';
import { type PointReading, readable, readPoints } from '../field/read.js';
import { toJson } from '../ops/text.js';
import { loadSite } from '../site.js';
import { EXIT } from './exit.js';
import { find } from './find.js';
import { onWire } from './on-wire.js';
import { quantityText, valueText } from './quantity.js';
import { formatTable } from './terminal.js';

/** Reads a device once. Gives the exit code: failed when not one point could be read. */
export async function read(
  deviceId: string,
  pointIds: readonly string[] = [],
  options: { config?: string; json?: boolean } = {},
): Promise<number> {
  const site = await loadSite(options.config ?? 'gateway.yaml');
  const device = find(site.devices, deviceId, 'device');
  const points = pointIds.length > 0 ? pointIds.map((id) => find(device.points, id, 'point')) : readable(device);
  const ids = pointIds.length > 0 ? { points: pointIds } : {};
  const { at, points: lines } = await onWire<ReadAnswer>(site, device, { ask: 'read', ...ids }, async (run) => ({
    at: Date.now(),
    points: await run((turn) => readPoints(turn, device, points)),
  }));
  if (options.json)
    process.stdout.write(`${toJson({ device: device.id, profile: device.profile, at, points: lines })}\n`);
  else process.stdout.write(`${tableOf(lines).join('\n')}\n`);
  return lines.some(({ quality }) => quality !== 'bad') ? EXIT.ok : EXIT.failed;
}

function tableOf(lines: readonly PointReading[]): string[] {
  const head = ['point', 'address', 'raw', 'decoded', 'value', 'quality'];
  const rows = lines.map(({ id, address, raw, decoded, value, unit, quality, reason }) => [
    id,
    addressText(address),
    raw ?? '–',
    valueText(decoded),
    quantityText(value, unit),
    reason === undefined ? quality : `${quality}: ${reason}`,
  ]);
  return formatTable(head, rows, ['decoded', 'value']);
}

/** The first two words or numbers of an address, which say where: `input 0x0034`. The others say how. */
function addressText(address: unknown): string {
  if (typeof address !== 'object' || address === null) return String(address);
  return Object.values(address)
    .filter((part) => typeof part === 'string' || typeof part === 'number')
    .slice(0, 2)
    .map((part) => (typeof part === 'number' ? `0x${part.toString(16).toUpperCase().padStart(4, '0')}` : String(part)))
    .join(' ');
}
