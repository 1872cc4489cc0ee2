/** Child processes of the interop tests: programs of other authors, and the gateway itself. */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** Debian's own Python: another one in the PATH does not see Debian's modules. */
export const PYTHON = '/usr/bin/python3';

/** A child process whose output is read by the line. */
export interface Program {
  readonly process: ChildProcessWithoutNullStreams;
  /** Every line so far, both streams. */
  readonly lines: readonly string[];
  /**
   * Resolves with the first line, past or future, that `wanted` accepts; rejects when the process ends without it.
   * @param from how many of the past lines to pass over
   */
  line(wanted: (line: string) => boolean, from?: number): Promise<string>;
  /** Sends a signal and waits for the end; gives the exit code, or null when a signal ended it. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/** Starts a program and collects its lines. */
export function start(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Program {
  const process_ = spawn(command, args, { env: { ...process.env, ...env } });
  const lines: string[] = [];
  const waiting = new Set<(line: string | undefined) => void>();
  const ended = once(process_, 'close');
  const told = (line: string | undefined): void => {
    for (const tell of [...waiting]) tell(line);
  };
  for (const stream of [process_.stdout, process_.stderr])
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      told(line);
    });
  process_.on('close', () => told(undefined));
  process_.on('error', () => told(undefined));
  process_.stdin.on('error', () => undefined); // it may end before it has read what we write
  return {
    process: process_,
    lines,
    line: (wanted, from = 0) =>
      new Promise((resolve, reject) => {
        const past = lines.slice(from).find(wanted);
        if (past !== undefined) return resolve(past);
        const tell = (line: string | undefined): void => {
          if (line !== undefined && !wanted(line)) return;
          waiting.delete(tell);
          if (line !== undefined) resolve(line);
          else reject(new Error(`${command} ${args.join(' ')} ended:\n${lines.join('\n')}`));
        };
        waiting.add(tell);
        if (process_.exitCode !== null || process_.signalCode !== null) tell(undefined);
      }),
    stop: async (signal = 'SIGTERM') => {
      if (process_.exitCode === null && process_.signalCode === null) process_.kill(signal);
      await ended;
      return process_.exitCode;
    },
  };
}

/** Runs a program to its end; gives its standard output. @throws Error with what it said when it fails */
export function run(command: string, args: readonly string[], cwd?: string): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', cwd });
  if (status !== 0)
    throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? `exit ${status}`}\n${stdout}${stderr}`);
  return stdout;
}

/** Why a test that needs these programs cannot run here, or undefined. A name such as `python:pymodbus` is a Python module. */
export function missing(...needed: string[]): string | undefined {
  const absent = needed.filter((name) => {
    const [kind, module] = name.split(':');
    const found = module
      ? spawnSync(PYTHON, ['-c', `import ${module}`])
      : spawnSync('sh', ['-c', `command -v ${kind} || test -x /usr/sbin/${kind}`]);
    return found.status !== 0;
  });
  return absent.length > 0 ? `not installed: ${absent.join(', ')} (CONTRIBUTING.md names the packages)` : undefined;
}

/** A port of the loopback interface that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** An empty folder of its own. */
export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), 'tidegate-interop-'));
}
