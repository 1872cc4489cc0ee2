/** A disk that takes nothing more, for this process alone: the system lets none of its files be written to (setrlimit(2), RLIMIT_FSIZE). */
import { spawnSync } from 'node:child_process';
import { onTestFinished } from 'vitest';
import { missing } from './volume.js';

/** Why a disk cannot die here, or undefined. */
export const noDeadDisk = missing('prlimit');

/** From now on every write to a file fails. @returns what makes the disk work again, as does the end of the test */
export function killDisk(): () => void {
  limitFiles('0:unlimited');
  const mend = (): void => limitFiles('unlimited:unlimited');
  onTestFinished(mend);
  return mend;
}

function limitFiles(bytes: string): void {
  const { status, stderr } = spawnSync('prlimit', ['--pid', String(process.pid), `--fsize=${bytes}`], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`prlimit: ${stderr}`);
}
