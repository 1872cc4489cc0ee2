/** SQLite files that turn out to be damaged: how that is told, where they go, and how others take their place. */
import { existsSync, renameSync, rmSync } from 'node:fs';

/** The files of a database, itself last: until it is moved, whoever finds it knows that an exchange is not done. */
const SUFFIXES = ['-wal', '-shm', ''];

/** True for what SQLite says of a file that is damaged, or no database at all. */
export function isDamage(error: unknown): boolean {
  const code = (error as { code?: string }).code ?? '';
  return code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB';
}

/** A name beside a damaged file that nothing has yet: `….damaged-1`. */
export function nameAside(path: string): string {
  for (let n = 1; ; n++) {
    const name = `${path}.damaged-${n}`;
    if (!existsSync(name)) return name;
  }
}

/** Moves a closed database aside, and another in its place. Where that was interrupted, doing it again finishes it. */
export function exchange(path: string, movedTo: string, fresh: string): void {
  for (const suffix of SUFFIXES) if (existsSync(path + suffix)) renameSync(path + suffix, movedTo + suffix);
  renameSync(fresh, path);
}

/** Removes a closed database, if it is there. */
export function discard(path: string): void {
  for (const suffix of SUFFIXES) rmSync(path + suffix, { force: true });
}
