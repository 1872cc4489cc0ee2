/** What the house test looks at: the project's files as text. No compiler and no git is needed. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of package.json; the tests run from dist/test/. */
export const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');

const FOREIGN = new Set(['node_modules', 'dist', '.git', '.tidegate', 'coverage']);

/** All files under `folder`, as paths from the root with forward slashes, sorted. */
export function filesIn(folder = ''): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .filter(({ name }) => !FOREIGN.has(name))
    .flatMap((entry) => {
      const path = posix.join(folder, entry.name);
      return entry.isDirectory() ? filesIn(path) : [path];
    })
    .sort();
}

/** The text of a file. */
export function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

/** Lines of a file, as `wc -l` counts them. */
export function lengthOf(path: string): number {
  return read(path).split('\n').length - 1;
}

/** One `import` or `export … from`, or one `import('…')`. */
export interface Import {
  /** A path from the root for our own files, else the name of the package. */
  readonly target: string;
  readonly own: boolean;
  /** `type` is erased by the compiler; `lazy` is loaded when the code gets there; `eager` with the file itself. */
  readonly when: 'type' | 'lazy' | 'eager';
}

// Between `import` and `from` stand names only: prose that happens to say "from" has other characters.
const EAGER = /^(?:import|export)\s+(type\s+)?(?:[\w\s{},*$]*?\sfrom\s+)?'([^']+)'/gm;
const LAZY = /(typeof\s+)?\bimport\(\s*'([^']+)'\s*\)/g;

/** What a TypeScript file imports. */
export function importsOf(path: string): Import[] {
  const text = read(path);
  const eager = [...text.matchAll(EAGER)].map(([, type, name]) => resolve(path, name, type ? 'type' : 'eager'));
  const lazy = [...text.matchAll(LAZY)].map(([, type, name]) => resolve(path, name, type ? 'type' : 'lazy'));
  return [...eager, ...lazy];
}

function resolve(from: string, name = '', when: Import['when']): Import {
  if (name.startsWith('.'))
    return { own: true, when, target: posix.join(posix.dirname(from), name).replace(/\.js$/, '.ts') };
  const target = name.startsWith('node:') ? name : name.split('/', name.startsWith('@') ? 2 : 1).join('/');
  return { own: false, when, target };
}

/** Packages that are loaded as soon as `entry` is, through whatever it imports eagerly. */
export function loadedWith(entry: string, seen = new Set<string>()): Set<string> {
  const packages = new Set<string>();
  seen.add(entry);
  for (const { target, own, when } of importsOf(entry)) {
    if (when !== 'eager') continue;
    if (!own) packages.add(target);
    else if (!seen.has(target)) for (const name of loadedWith(target, seen)) packages.add(name);
  }
  return packages;
}

/**
 * The exported names of a file that no docstring explains. A name right below another may share its docstring; the name that the
 * file (or, for an index, the folder) is called after may leave it to the head of the file.
 */
export function undocumented(path: string): string[] {
  const lines = read(path).split('\n');
  const called = posix.basename(path) === 'index.ts' ? posix.dirname(path) : path.replace(/\.ts$/, '');
  const headed = lines[0]?.startsWith('/**') ? posix.basename(called).replaceAll('-', '') : '';
  return lines.flatMap((line, index) => {
    const [, name] =
      /^export (?:declare )?(?:abstract )?(?:async )?(?:function\*?|const|let|class|interface|type|enum) ([\w$]+)/.exec(
        line,
      ) ?? [];
    const above = lines[index - 1] ?? '';
    if (name === undefined || name.toLowerCase() === headed) return [];
    return above.endsWith('*/') || /^[\]})]|^export /.test(above) ? [] : [name];
  });
}
