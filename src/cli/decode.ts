/** `tidegate decode`: what stands at an address, in every way that it may be meant. */
import type { Decoding } from '../driver.js';
import { decodeAt } from '../field/look.js';
import type { Value } from '../model.js';
import { toJson } from '../ops/text.js';
import { loadSite } from '../site.js';
import { EXIT } from './exit.js';
import { find } from './find.js';
import { onWire } from './on-wire.js';
import { valueText } from './quantity.js';
import { formatTable } from './terminal.js';

/** What the command line says. */
export interface DecodeCommand {
  readonly config?: string;
  /** What the display of the device shows: ways that come near are marked. */
  readonly expect?: number;
  readonly json?: boolean;
}

/** Shows all that an address may mean. Gives the exit code. */
export async function decode(deviceId: string, place: string, options: DecodeCommand = {}): Promise<number> {
  const site = await loadSite(options.config ?? 'gateway.yaml');
  const device = find(site.devices, deviceId, 'device');
  const decoding = await onWire<Decoding>(site, device, { ask: 'decode', place }, (run) =>
    run((turn) => decodeAt(turn, device, place)),
  );
  if (options.json) process.stdout.write(`${toJson({ device: device.id, ...decoding })}\n`);
  else process.stdout.write(`${tableOf(decoding, options.expect).join('\n')}\n`);
  return EXIT.ok;
}

function tableOf({ places, raw, rows }: Decoding, expected: number | undefined): string[] {
  const text = (value: Value): string => {
    const scale = expected === undefined ? undefined : scaleTo(expected, value);
    return `${valueText(value)}${scale === undefined ? '' : scale === 1 ? '  ←' : `  ← × ${scale}`}`;
  };
  const body = rows.map(({ as, values }) => [as, ...values.map(text)]);
  return formatTable(['read as', ...places], [['raw', ...raw], ...body], []);
}

/** The power of ten, from 0.001 to 1000, that brings a value within 2 % of what is expected. */
function scaleTo(expected: number, value: Value): number | undefined {
  if (value === null || typeof value === 'boolean' || expected === 0) return undefined;
  return [1, 0.1, 0.01, 0.001, 10, 100, 1000].find(
    (scale) => Math.abs(Number(value) * scale - expected) <= Math.abs(expected) / 50,
  );
}
