/** `tidegate write`: one value to one point. */
import { type ErrorCode, TidegateError } from '../errors.js';
import { type WriteResult, writeText } from '../field/write.js';
import type { Point } from '../model.js';
import { toJson } from '../ops/text.js';
import { loadSite } from '../site.js';
import { EXIT, showError } from './exit.js';
import { find } from './find.js';
import { onWire } from './on-wire.js';
import { quantityText, valueText } from './quantity.js';

const CODE_OF = { refused: 'WRITE_REFUSED', unknown: 'DEVICE_UNAVAILABLE' } as const satisfies Record<
  string,
  ErrorCode
>;

/** Writes a value, and reads it back. Gives the exit code: failed unless the device took it. */
export async function write(
  deviceId: string,
  pointId: string,
  value: string,
  options: { config?: string; json?: boolean } = {},
): Promise<number> {
  const site = await loadSite(options.config ?? 'gateway.yaml');
  const device = find(site.devices, deviceId, 'device');
  const point = find(device.points, pointId, 'point');
  const result = await onWire<WriteResult>(site, device, { ask: 'write', point: point.id, value }, (run) =>
    writeText(run, device, point, value),
  );
  const { outcome, reason = '' } = result;
  if (options.json) process.stdout.write(`${toJson({ device: device.id, point: point.id, ...result })}\n`);
  else if (outcome === 'written') process.stdout.write(`${textOf(point, result)}\n`);
  else showError(new TidegateError(CODE_OF[outcome], reason));
  return outcome === 'written' ? EXIT.ok : EXIT.failed;
}

function textOf({ id, unit }: Point, { raw = null, readBack }: WriteResult): string {
  const after = readBack && (readBack.reason ?? quantityText(readBack.value, unit));
  return `${id} is written: raw ${valueText(raw)}${after === undefined ? '' : `, reads back ${after}`}`;
}
