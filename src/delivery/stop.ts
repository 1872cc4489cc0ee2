/** A stop with a disk that refuses, or does not answer: what that means for events that only memory holds. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { ErrorCode } from '../errors.js';
import type { GapEvent } from '../model.js';
import type { Entry } from './entry.js';
import { merged } from './gap.js';
import type { StreamName } from './rows.js';

/** Milliseconds that a stop waits for the disk, each time. */
const PATIENCE = 5_000;

/** Waits for the disk, but not for one that does not answer. */
export async function inTime(work: Promise<void>): Promise<void> {
  await Promise.race([work, pause(PATIENCE, undefined, { ref: false })]);
}

/** What neither the disk nor the upstream took goes with the process: only the log is left to say how much that is, and of when. */
export function tellLost(stream: StreamName, entries: readonly Entry[], log: Logger): void {
  let gap: GapEvent | undefined;
  for (const { event } of entries) gap = merged(gap, event, '', 'memory');
  if (!gap) return;
  const code: ErrorCode = 'OUTBOX_LOST';
  const [from, to] = [gap.from, gap.to].map((time) => new Date(time).toISOString());
  log.error({ code, stream, events: gap.count, from, to }, 'neither the disk nor the upstream took the last events');
}
