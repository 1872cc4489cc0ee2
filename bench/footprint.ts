/** What an installation takes on the disk. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Bytes of the files. */
export interface FootprintFigures {
  /** Of Tidegate itself, as published. */
  readonly own: number;
  /** Of the packages that it needs to run, on this kind of machine. */
  readonly packages: number;
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export function measureFootprint(): FootprintFigures {
  const { files } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { files: string[] };
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean; devOptional?: boolean }>;
  };
  const needed = Object.entries(lock.packages).flatMap(([path, { dev, devOptional }]) =>
    path === '' || dev || devOptional ? [] : [path],
  );
  return {
    own: files.reduce((sum, path) => sum + bytesIn(join(ROOT, path)), 0),
    packages: needed.reduce((sum, path) => sum + bytesIn(join(ROOT, path)), 0),
  };
}

/** Packages within a package are entries of their own in the lock file. */
function bytesIn(path: string): number {
  if (!existsSync(path)) return 0;
  const found = statSync(path);
  if (!found.isDirectory()) return found.size;
  const names = readdirSync(path).filter((name) => name !== 'node_modules');
  return names.reduce((sum, name) => sum + bytesIn(join(path, name)), 0);
}
