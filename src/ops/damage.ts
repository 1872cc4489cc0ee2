/** SQLite files that turn out to be damaged: how that is told, and where they go. */
import { existsSync } from 'node:fs';

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
