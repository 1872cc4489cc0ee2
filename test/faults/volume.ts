/** A file system of its own, in a file: it can lose its power, be filled, and die, and nothing else is touched. Needs root and loop devices. */
import { spawnSync } from 'node:child_process';
import { appendFileSync, closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { runFolder } from './report.js';

/** Kinds of file systems. */
export type Kind = 'ext4' | 'xfs';

const MAKE: Record<Kind, { megabytes: number; command: string[] }> = {
  ext4: { megabytes: 32, command: ['mkfs.ext4', '-q', '-F', '-m', '0'] },
  xfs: { megabytes: 320, command: ['mkfs.xfs', '-q', '-f'] },
};

/** A mounted file system that goes when the test does. */
export class Volume {
  readonly #image: string;

  private constructor(
    readonly kind: Kind,
    readonly folder: string,
  ) {
    this.#image = `${folder}.img`;
  }

  /** Makes one and mounts it. @param folder where; by default a new folder */
  static make(kind: Kind, megabytes = MAKE[kind].megabytes): Volume {
    const folder = mkdtempSync(join(runFolder() ?? tmpdir(), 'volume-'));
    const volume = new Volume(kind, folder);
    onTestFinished(() => {
      unmountBelow(folder);
      rmSync(folder, { recursive: true, force: true });
      rmSync(volume.#image, { force: true });
    });
    run('truncate', '-s', `${megabytes}M`, volume.#image);
    run(...MAKE[kind].command, volume.#image);
    volume.mount();
    return volume;
  }

  mount(): void {
    // Without an end to the journal's grace an ext4 would write by itself every 5 s: what was not synced shall be gone.
    const options = this.kind === 'ext4' ? 'loop,commit=300,errors=remount-ro' : 'loop';
    run('mount', '-o', options, this.#image, this.folder);
  }

  /** Only when nobody uses it any more. */
  unmount(): void {
    run('umount', this.folder);
  }

  /** Cuts the power: what was not synced is gone, and every access fails until the file system is mounted again. */
  cut(): void {
    run('xfs_io', '-x', '-c', 'shutdown', this.folder);
  }

  /** Has an ext4 find itself broken: it turns read-only, as a worn-out card does, until it is mounted again. */
  break(): void {
    const device = run('findmnt', '-no', 'SOURCE', this.folder).trim().split('/').at(-1);
    appendFileSync(`/sys/fs/ext4/${device}/trigger_fs_error`, '1');
  }

  /** Fills it to the last byte. */
  fill(): void {
    const file = openSync(join(this.folder, 'ballast'), 'a');
    try {
      for (const size of [1 << 20, 4096, 1]) {
        const block = Buffer.alloc(size, 'x');
        try {
          for (;;) writeSync(file, block);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
        }
      }
    } finally {
      closeSync(file);
    }
  }

  /** Takes back what `fill` took. */
  free(): void {
    rmSync(join(this.folder, 'ballast'));
    // Until then an ext4 does not give the blocks to others.
    run('sync', '-f', this.folder);
  }
}

/** Unmounts all that is mounted in or below a folder. */
export function unmountBelow(folder: string): void {
  const places = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((place) => place === folder || place.startsWith(`${folder}/`));
  // Lazily: a process that still holds a file of it must not keep the next test from its own.
  for (const place of places.reverse()) run('umount', '-l', place);
}

/** Why a test that needs volumes, or these programs, cannot run here; undefined when it can. */
export function missing(...programs: string[]): string | undefined {
  const absent = programs.filter((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0);
  return absent.length > 0 ? `not installed: ${absent.join(', ')} (CONTRIBUTING.md names the packages)` : undefined;
}

/** Why there can be no volumes of this kind here, or undefined. */
export function noVolumes(kind: Kind): string | undefined {
  const why = missing(`mkfs.${kind}`, 'xfs_io', 'mount', 'findmnt');
  if (why !== undefined) return why;
  if (process.getuid?.() !== 0) return 'mounting needs root';
  const folder = mkdtempSync(join(tmpdir(), 'tidegate-try-'));
  try {
    const image = join(folder, 'image');
    const place = join(folder, 'place');
    mkdirSync(place);
    run('truncate', '-s', `${MAKE[kind].megabytes}M`, image);
    run(...MAKE[kind].command, image);
    run('mount', '-o', 'loop', image, place);
    run('umount', place);
    return undefined;
  } catch (error) {
    return `no loop devices with ${kind}: ${(error as Error).message}`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function run(...command: string[]): string {
  const [program = '', ...args] = command;
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command.join(' ')}: ${error?.message ?? stderr}`);
  return stdout;
}
