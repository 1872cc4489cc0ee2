/** What the outbox holds: an event, its place in the sequence, and how far it has come. */
import type { Event, Value } from '../model.js';
import type { End, Totals } from './counters.js';

/** `waiting` to be sent · `sent`, not yet acknowledged · `done`: acknowledged, rejected or dropped. */
export type EntryState = 'waiting' | 'sent' | 'done';

/** One row on disk that holds many events, some of which are in memory. */
export interface Segment {
  readonly id: number;
  /** How many of its events are not yet done. */
  open: number;
  /** Sequence numbers of those that are. */
  readonly done: number[];
  /** How those ended, as far as the file was not told. */
  ends: Partial<Totals>;
}

/** One event in the outbox. */
export interface Entry {
  /** Counts the starts of the outbox; with `seq` unique for ever within its upstream, even after a crash. */
  readonly epoch: number;
  readonly seq: number;
  /** Replaced by a gap when it has to give way. */
  event: Event;
  /** Monotonic time of acceptance, milliseconds. */
  readonly born: number;
  /** True when it was read back from disk: it leaves in the backlog lane. */
  readonly late: boolean;
  state: EntryState;
  /** True while it is being written to disk. */
  saving: boolean;
  /** How it ended meanwhile: counted when it is known whether a row holds it. */
  ended?: End;
  /** The row that holds it, once it is on disk. */
  segment: Segment | undefined;
}

/** Values in an event: the unit of rates. What is not telemetry counts as one. */
export function readingsOf(event: Event): number {
  return event.kind === 'telemetry' ? event.names.length : 1;
}

/** Rough bytes that an event occupies in memory. */
export function weightOf(event: Event): number {
  let bytes = 200 + 16 * readingsOf(event);
  if (event.kind === 'telemetry') for (const value of event.values) bytes += lengthOf(value);
  if (event.kind === 'device')
    for (const text of [event.reason, ...Object.entries(event.identity).flat()]) bytes += text?.length ?? 0;
  return bytes;
}

function lengthOf(value: Value): number {
  if (typeof value === 'string') return value.length;
  return typeof value === 'object' && value !== null ? value.text.length : 0;
}
