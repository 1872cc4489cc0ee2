/** `tidegate read`: one live read of one device, from the words on the wire to the value. */
import { TidegateError } from '../errors.js';
import type { Device, Flaw, Point, Value } from '../model.js';
import { openLog } from '../ops/log.js';
import { toJson } from '../ops/text.js';
import { compileScaling, withFactors } from '../scaling.js';
import { loadSite, type Site } from '../site.js';
import { EXIT } from './exit.js';
import { find } from './find.js';
import { quantityText, valueText } from './quantity.js';
import { formatTable } from './terminal.js';

/** One line of the table. */
interface Line {
  readonly id: string;
  readonly address: unknown;
  /** The words on the wire, in hexadecimal; absent when there was no reply. */
  readonly raw?: string;
  readonly decoded: Value;
  readonly value: Value;
  readonly unit?: string;
  readonly quality: 'good' | Flaw['quality'];
  readonly reason?: string;
}

/** Reads a device once. Gives the exit code: failed when not one point could be read. */
export async function read(
  deviceId: string,
  pointIds: readonly string[] = [],
  options: { config?: string; json?: boolean } = {},
): Promise<number> {
  const site = await loadSite(options.config ?? 'gateway.yaml');
  const device = find(site.devices, deviceId, 'device');
  const points = pointIds.length > 0 ? pointIds.map((id) => find(device.points, id, 'point')) : readable(device);
  const at = Date.now();
  const lines = await readOnce(site, device, points);
  if (options.json)
    process.stdout.write(`${toJson({ device: device.id, profile: device.profile, at, points: lines })}\n`);
  else process.stdout.write(`${tableOf(lines).join('\n')}\n`);
  return lines.some(({ quality }) => quality !== 'bad') ? EXIT.ok : EXIT.failed;
}

function readable(device: Device): readonly Point[] {
  return device.points.filter(({ access }) => access !== 'write');
}

async function readOnce(site: Site, device: Device, points: readonly Point[]): Promise<Line[]> {
  const driver = site.drivers.get(device.connection);
  if (driver === undefined) throw new TidegateError('CONFIG_UNKNOWN_NAME', `no connection "${device.connection}"`);
  const { log } = openLog({ level: 'error', to: 2, form: 'text', secrets: site.secrets });
  const session = await driver.open(site.connectionSettings.get(device.connection), { log });
  try {
    const wanted = withFactors(points, device.points);
    const samples = await session.read(device, wanted, { signal: new AbortController().signal, raw: true });
    const decoded = [...samples.values];
    const unread = samples.flaws;
    const scaling = compileScaling(wanted);
    const scaled = scaling.apply({ ...samples, ...(unread && { flaws: new Map(unread) }) });
    return points.map((point, i) => {
      const at = scaling.points.indexOf(point);
      const flaw = at < 0 ? unread?.get(i) : scaled.flaws?.get(at);
      return {
        id: point.id,
        address: point.address,
        raw: samples.raw?.get(i),
        decoded: decoded[i] ?? null,
        value: (at < 0 ? decoded[i] : scaled.values[at]) ?? null,
        unit: point.unit,
        quality: flaw?.quality ?? 'good',
        reason: flaw?.reason,
      };
    });
  } finally {
    await session.close();
  }
}

function tableOf(lines: readonly Line[]): string[] {
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

/** The first two keys of an address, which say where: `input 0x0034`. The others say how. */
function addressText(address: unknown): string {
  if (typeof address !== 'object' || address === null) return String(address);
  return Object.values(address)
    .slice(0, 2)
    .map((part) => (typeof part === 'number' ? `0x${part.toString(16).toUpperCase().padStart(4, '0')}` : String(part)))
    .join(' ');
}
