/** The gateway in a process whose wall clock the test moves (libfaketime). Monotonic time and timers go on as they are. */
import { existsSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { type Program, start } from '../interop/programs.js';

const MAIN = fileURLToPath(new URL('../../src/main.js', import.meta.url));
const library = findLibrary();

/** Why these tests cannot run here, or undefined. */
export const noFakedTime = library ? undefined : 'not installed: faketime (CONTRIBUTING.md names the packages)';

/** The wall clock of one process. */
export class FakedTime {
  readonly #file: string;

  /** @param folder where its settings are kept */
  constructor(folder: string) {
    this.#file = join(folder, 'faketime');
    this.set(0);
  }

  /** Moves the clock to `offset` milliseconds from the true time; the process sees it within a second. */
  set(offset: number): void {
    const seconds = Math.round(offset / 1_000);
    // Renamed into place: half a number would be another time.
    writeFileSync(`${this.#file}.new`, `${seconds < 0 ? '' : '+'}${seconds}\n`);
    renameSync(`${this.#file}.new`, this.#file);
  }

  /** Starts `tidegate run` by this clock; it ends with the test. */
  run(file: string): Program {
    const program = start(process.execPath, [MAIN, 'run', file], {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_CACHE_DURATION: '1',
      DONT_FAKE_MONOTONIC: '1',
      NO_FAKE_STAT: '1',
    });
    onTestFinished(async () => void (await program.stop('SIGKILL')));
    return program;
  }
}

/** Debian keeps it in a folder named after the architecture. */
function findLibrary(): string | undefined {
  const folders = existsSync('/usr/lib') ? readdirSync('/usr/lib') : [];
  return folders.map((name) => `/usr/lib/${name}/faketime/libfaketimeMT.so.1`).find((path) => existsSync(path));
}
