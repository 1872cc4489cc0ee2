/**
 * One gateway per data folder. The lock is SQLite's: the kernel holds it and lets go when the process ends, however it ends,
 * so that a lock is never stale (docs/decisions/0010-data-folder-lock.md).
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf, TidegateError } from '../errors.js';

/** Holds the data folder until `release`. */
export interface DataLock {
  release(): void;
}

/**
 * Creates the data folder if need be, and takes it for this process.
 * @throws TidegateError DATA_IN_USE when another gateway has it, OUTBOX_OPEN when it cannot be written
 */
export async function lockData(folder: string): Promise<DataLock> {
  const { Database } = await import('./sqlite.js');
  const file = join(folder, 'lock');
  try {
    mkdirSync(folder, { recursive: true, mode: 0o750 });
    const lock = new Database(file, { timeout: 0 });
    try {
      // Nothing is ever written: an exclusive transaction is the lock, and it stays open.
      lock.pragma('journal_mode = MEMORY');
      lock.exec('BEGIN EXCLUSIVE');
    } catch (error) {
      lock.close();
      throw error;
    }
    return { release: () => void lock.close() };
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    if (typeof code === 'string' && code.startsWith('SQLITE_BUSY'))
      throw new TidegateError('DATA_IN_USE', `another Tidegate uses the data folder ${folder}`, { cause: error });
    throw new TidegateError('OUTBOX_OPEN', `the data folder ${folder} cannot be used: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
