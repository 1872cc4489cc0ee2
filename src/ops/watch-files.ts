/** Notices changes of files that people edit, replace or write in pieces. */
import { type FSWatcher, readdirSync, statSync, watch } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Logger } from 'pino';
import { messageOf } from '../errors.js';
import { repeated } from './repeated.js';

/** What to watch; paths are absolute. */
export interface WatchOptions {
  readonly files: readonly string[];
  /** Folders whose `.yaml` files count, and those of the folders in them. They need not exist yet. */
  readonly folders: readonly string[];
  readonly log: Logger;
  /** Something has changed, and then nothing more for a moment. */
  onChange(): void;
}

/** Milliseconds without a change after which a file is taken for written. */
const QUIET = 300;

/**
 * Watches the folders that the files are in, since editors and `mv` put a new file in the place of the old one. Other files in
 * these folders do not count.
 * @returns how to end it; gives whether something had changed that was not told yet
 */
export function watchFiles(options: WatchOptions): () => boolean {
  const trouble = repeated(options.log);
  let watchers: FSWatcher[] = [];
  let timer: NodeJS.Timeout | undefined;
  open();
  return () => {
    const untold = timer !== undefined;
    close();
    return untold;
  };

  function open(): void {
    for (const [folder, counts] of placesOf(options))
      try {
        const watcher = watch(folder, { persistent: false }, (_, name) => {
          if (name === null || counts(name)) seen();
        });
        watcher.on('error', (error) => trouble.failed(`cannot watch ${folder}: ${messageOf(error)}`));
        watchers.push(watcher);
      } catch (error) {
        // What is not there yet is seen to appear in the folder above.
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT' && (error as NodeJS.ErrnoException).code !== 'ENOTDIR')
          trouble.failed(`cannot watch ${folder}: ${messageOf(error)}`);
      }
  }

  function seen(): void {
    clearTimeout(timer);
    timer = setTimeout(() => {
      timer = undefined;
      // A folder may have been put in the place of another: what is watched is the folder, not its name.
      close();
      open();
      options.onChange();
    }, QUIET);
    timer.unref();
  }

  function close(): void {
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
    watchers = [];
  }
}

/** Each folder to watch, and which of the names in it count. */
function placesOf({ files, folders }: WatchOptions): Map<string, (name: string) => boolean> {
  const whole = folders.flatMap((folder) => [folder, ...foldersIn(folder)]);
  const names = new Map<string, Set<string>>(whole.map((folder) => [folder, new Set()]));
  for (const path of [...files, ...whole])
    names.set(dirname(path), (names.get(dirname(path)) ?? new Set()).add(basename(path)));
  return new Map(
    [...names].map(([folder, own]) => [
      folder,
      (name) =>
        own.has(name) ||
        // A volume that Kubernetes mounts changes all its files at once, by one link.
        name === '..data' ||
        (whole.includes(folder) && (/^[^.].*\.ya?ml$/.test(name) || isFolder(join(folder, name)))),
    ]),
  );
}

function foldersIn(folder: string): string[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(folder, name));
  } catch {
    return [];
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
