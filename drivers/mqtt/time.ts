/** The time that a payload says: seconds, milliseconds, microseconds or nanoseconds since 1970, or ISO 8601 with its zone. */
import { LongInteger, shown, Unfit } from './payload.js';

/** Below this a number counts seconds (until the year 5138), a thousand times as high milliseconds (1973 to 5138), and so on. */
const SECONDS = 100_000_000_000;
/** 2000-01-01: who says an earlier time has a clock that was never set. */
const UNSET = 946_684_800_000;
const ISO = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?(Z|[+-]\d{2}(:?\d{2})?)?$/i;

/** Milliseconds since 1970. */
export function timeOf(value: unknown): number | Unfit {
  const time = millisecondsOf(value);
  if (time instanceof Unfit) return time;
  return time < UNSET ? new Unfit(`its clock is not set: it says ${shown(value)}`) : time;
}

function millisecondsOf(value: unknown): number | Unfit {
  const written = value instanceof LongInteger ? value.digits : value;
  const number = typeof written === 'string' && /^\d+(\.\d+)?$/.test(written) ? Number(written) : written;
  if (typeof number === 'number' && number >= 0 && number < SECONDS * 1e9) {
    let milliseconds = number * 1_000;
    while (milliseconds >= SECONDS * 1_000) milliseconds /= 1_000;
    return Math.round(milliseconds);
  }
  if (value === undefined) return new Unfit('it says no time');
  const [, , , zone] = (typeof value === 'string' && ISO.exec(value)) || [undefined];
  if (zone === undefined) return new Unfit(`it says ${shown(value)}, which is no time with its zone`);
  const time = Date.parse(isoOf(value as string, zone));
  return Number.isNaN(time) ? new Unfit(`it says ${shown(value)}, which is no time`) : time;
}

/** In the one form that `Date.parse` is sure to read. */
function isoOf(text: string, zone: string): string {
  const local = text.slice(0, -zone.length).replace(' ', 'T').replace('t', 'T').replace(',', '.');
  const [, sign = '', hours = '', minutes = '00'] = /^([+-])(\d{2}):?(\d{2})?$/.exec(zone) ?? [];
  return `${local}${sign === '' ? 'Z' : `${sign}${hours}:${minutes}`}`;
}
