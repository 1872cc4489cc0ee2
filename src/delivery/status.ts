/** What waits on disk, read from the outbox files themselves: also while no gateway runs. */
import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { TidegateError } from '../errors.js';
import { Corrections } from './correction.js';
import type { Account } from './counters.js';
import type { StreamName } from './rows.js';

/** One upstream's file. Counts are events; times milliseconds since 1970. */
export interface OutboxFileStatus {
  readonly id: string;
  readonly file: string;
  readonly alarm: number;
  readonly backlog: number;
  /** Refused for good by the upstream, and kept. */
  readonly rejected: number;
  readonly readings: number;
  /** Bytes of the file in use. */
  readonly bytes: number;
  /** Time of the oldest event. */
  readonly oldest?: number;
  /** Since the file was made. */
  readonly accounts: Readonly<Record<StreamName, Account>>;
}

/** Where a data folder keeps its outbox files. */
export function outboxFolder(data: string): string {
  return join(data, 'outbox');
}

/** The outbox files of a data folder, by the id of their upstream. */
export function outboxFiles(data: string): { id: string; path: string }[] {
  const folder = outboxFolder(data);
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter((name) => name.endsWith('.sqlite'));
  return names.sort().map((name) => ({ id: basename(name, '.sqlite'), path: join(folder, name) }));
}

/**
 * Reads the outbox files of a data folder, all or those of some upstreams, without changing any. Segments on their way out are counted until
 * they are settled.
 * @throws TidegateError OUTBOX_OPEN when a file is not an outbox
 */
export async function readOutboxStatus(
  data: string,
  wanted: (id: string) => boolean = () => true,
): Promise<OutboxFileStatus[]> {
  const files = outboxFiles(data).filter(({ id }) => wanted(id));
  if (files.length === 0) return [];
  const { Database } = await import('../ops/sqlite.js');
  const { bytesInUse, extentOf } = await import('./rows.js');
  const { hasRejected, keptIn } = await import('./rejected-table.js');
  const { readStarts } = await import('./starts.js');
  const { accountOf, readTotals } = await import('./counters.js');
  return files.map(({ id, path: file }) => {
    try {
      const db = new Database(file, { readonly: true, timeout: 5000 });
      try {
        const corrections = new Corrections(readStarts(db));
        const [alarm, live] = [extentOf(db, 'alarm', corrections), extentOf(db, 'live', corrections)];
        const totals = readTotals(db);
        const times = [alarm.oldest, live.oldest].filter((time) => time !== undefined);
        return {
          id,
          file,
          alarm: alarm.events,
          backlog: live.events,
          rejected: hasRejected(db) ? keptIn(db).kept : 0,
          readings: alarm.readings + live.readings,
          bytes: bytesInUse(db),
          oldest: times.length > 0 ? Math.min(...times) : undefined,
          accounts: { alarm: accountOf(totals.alarm, alarm.events), live: accountOf(totals.live, live.events) },
        };
      } finally {
        db.close();
      }
    } catch (error) {
      throw new TidegateError('OUTBOX_OPEN', `${file} cannot be read as an outbox: ${(error as Error).message}`, {
        cause: error,
      });
    }
  });
}
