/** Values, units, counts and times as people write them. */
import type { Value } from '../model.js';
import { printable } from '../ops/text.js';
import { UNITS } from '../profiles/units.js';

const RAISED: Record<string, string> = { '2': '²', '3': '³' };

/** The sign that people use for a UCUM code: `Cel` → `°C`; where the list does not have it, by rule: `m3/s` → `m³/s`, `kW.h` → `kWh`. */
export function unitText(unit: string | undefined): string {
  if (unit === undefined) return '';
  const known = UNITS[unit];
  if (known !== undefined) return known;
  return unit
    .replace(/(?<=[A-Za-z])[23](?![0-9])/g, (digit) => RAISED[digit] ?? digit)
    .replace(/^u(?=[A-Za-z])/, 'µ')
    .replace('[degF]', '°F')
    .replace('Ohm', 'Ω')
    .replace(/\./g, '');
}

/** A value in at most seven significant digits, whole numbers in full. */
export function valueText(value: Value): string {
  if (value === null) return '–';
  if (typeof value === 'string') return printable(value);
  // As the running gateway tells it, a structure is plain JSON again.
  if (typeof value === 'object') return printable(JSON.stringify(value));
  if (typeof value !== 'number' || Number.isInteger(value)) return String(value);
  return String(Number(value.toPrecision(7)));
}

/** A value with its unit: `230.5 V`. */
export function quantityText(value: Value, unit: string | undefined): string {
  const sign = unitText(unit);
  return value === null || sign === '' ? valueText(value) : `${valueText(value)} ${sign}`;
}

/** A count with its thousands parted: `12 345`. */
export function countText(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, ' ');
}

/** A share of the whole: `7 %`, `0.4 %`. */
export function percentText(share: number): string {
  const percent = share * 100;
  return `${percent < 10 ? Math.round(percent * 10) / 10 : Math.round(percent)} %`;
}

/** A number of bytes: `0 B`, `64 kB`, `2.5 MB`. */
export function bytesText(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${Math.round(bytes / 1_000)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

/** Where a device, a link or a reading stands, as a colour. */
export function stateStyle(state: string): 'green' | 'yellow' | 'red' {
  if (state === 'online' || state === 'good') return 'green';
  return state === 'offline' || state === 'bad' ? 'red' : 'yellow';
}
