/** strace as a saboteur: system calls of a running process fail, or take long, until it is called off. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { onTestFinished } from 'vitest';
import { missing } from './volume.js';

/** Why strace cannot be used here, or undefined. */
export function noTracer(): string | undefined {
  const why = missing('strace');
  if (why !== undefined) return why;
  const { status, stderr } = spawnSync('strace', ['-f', '-o', '/dev/null', 'true'], { encoding: 'utf8' });
  return status === 0 ? undefined : `strace may not trace here: ${stderr}`;
}

/**
 * Has system calls of a process, with all its threads, fail.
 * @param calls names, joined by commas
 * @param how as strace's `-e inject=` says it: `error=EIO`
 * @returns ends it; the process runs on, unharmed
 */
export async function sabotage(pid: number, calls: string, how: string): Promise<() => Promise<void>> {
  const args = ['-f', '-o', '/dev/null', '-e', `trace=${calls}`, '-e', `inject=${calls}:${how}`, '-p', String(pid)];
  const strace = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  onTestFinished(() => void strace.kill('SIGINT'));
  await once(strace.stderr, 'data');
  return async () => {
    const closed = once(strace, 'close');
    strace.kill('SIGINT');
    await closed;
  };
}

/**
 * The command that runs a process, and kills it as it is about to make its n-th call of one kind: before it does, what it did so far stands.
 * @param calls as strace names them: `pwrite64`, `/^rename`
 * @param paths only calls on these files count
 */
export function killer(calls: string, nth: number, ...paths: string[]): string[] {
  const only = paths.flatMap((path) => ['-P', path]);
  // With --seccomp-bpf strace 6.1 delivers no signal.
  return [
    'strace',
    '-D',
    '-f',
    '-o',
    '/dev/null',
    ...only,
    '-e',
    `trace=${calls}`,
    '-e',
    `inject=${calls}:signal=SIGKILL:when=${nth}`,
  ];
}
