/** Kept events as lines of a file: for programs (NDJSON), and for spreadsheets (CSV). */
import { encodeJson, idOf } from '../delivery/json-payload.js';
import type { KeptEvent } from '../delivery/reader.js';

/** Where an event is from. */
export interface Origin {
  readonly gateway: string;
  readonly upstream: string;
  /** UCUM codes by `device/point`. */
  readonly units: ReadonlyMap<string, string>;
}

/** The head of `csvOf`'s lines. */
export const CSV_HEAD = row([
  'time',
  'clock',
  'device',
  'point',
  'value',
  'unit',
  'quality',
  'reason',
  'upstream',
  'lane',
  'id',
  'rejected',
]);

/** The message as it would be sent, with `upstream`, `topic`, `lane` and, where it was refused, `rejected`. */
export function ndjsonOf({ entry, rejection }: KeptEvent, { gateway, upstream }: Origin): string {
  const { topic, lane } = entry.event;
  const rejected = rejection && { ts: rejection.at, reason: rejection.reason };
  const more = JSON.stringify({ upstream, topic: topic || undefined, lane, rejected });
  return `${encodeJson(entry, gateway).slice(0, -1)},${more.slice(1)}\n`;
}

/**
 * One line for each reading (RFC 4180). A gap is one line: `quality` is `gap`, `reason` its cause, `value` how many events are gone; and
 * so is news of a device: `quality` is `device`, `value` its state.
 */
export function csvOf({ entry, rejection }: KeptEvent, { gateway, upstream, units }: Origin): string {
  const { event } = entry;
  const head = [new Date(event.at).toISOString(), event.clock ?? '', event.device];
  const tail = [upstream, event.lane, idOf(entry, gateway), rejection?.reason ?? ''];
  if (event.kind === 'gap') return row([...head, '', String(event.count ?? ''), '', 'gap', event.cause, ...tail]);
  if (event.kind === 'device') return row([...head, '', event.state, '', 'device', event.reason ?? '', ...tail]);
  return event.names
    .map((name, i) => {
      const { quality = 'good', reason = '' } = event.flaws?.get(i) ?? {};
      const value = String(event.values[i] ?? '');
      return row([...head, name, value, units.get(`${event.device}/${name}`) ?? '', quality, reason, ...tail]);
    })
    .join('');
}

function row(cells: readonly string[]): string {
  return `${cells.map((cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(',')}\r\n`;
}
