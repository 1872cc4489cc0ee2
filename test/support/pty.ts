/** A serial line without hardware: two ends, made by socat. Bytes pass at once; a pty has no speed. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** True where socat is installed. */
export const hasSocat = spawnSync('socat', ['-V']).status === 0;

/** Two serial ports that are joined. */
export interface SerialPair {
  readonly near: string;
  readonly far: string;
  /** Ends both, as if the adapter were unplugged. */
  unplug(): Promise<void>;
}

/** Makes a pair. */
export async function serialPair(): Promise<SerialPair> {
  const socat = spawn('socat', ['-d', '-d', 'pty,raw,echo=0', 'pty,raw,echo=0']);
  const ends: string[] = [];
  for await (const line of createInterface({ input: socat.stderr })) {
    const [, path] = /PTY is (\S+)/.exec(line) ?? [];
    if (path !== undefined) ends.push(path);
    if (ends.length === 2) break;
  }
  socat.stderr.resume();
  const [near = '', far = ''] = ends;
  return {
    near,
    far,
    async unplug() {
      if (socat.exitCode !== null || socat.signalCode !== null) return;
      socat.kill();
      await once(socat, 'exit');
    },
  };
}
