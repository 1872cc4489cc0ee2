/** The command line as a child process: what people and scripts run. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

/** The command's file. */
export const MAIN = fileURLToPath(new URL('../../src/main.js', import.meta.url));

/** What a finished command left behind. */
export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that runs. */
export interface Running {
  readonly child: ChildProcess;
  /** Resolves once stdout or stderr has matched; rejects when the command ends before. */
  seen(pattern: RegExp): Promise<RegExpExecArray>;
  readonly finished: Promise<Finished>;
}

/** Starts a command. */
export function start(
  words: string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; input?: string } = {},
): Running {
  const child = spawn(process.execPath, [MAIN, ...words], {
    cwd: options.cwd,
    env: { ...process.env, NOTIFY_SOCKET: '', ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.end(options.input ?? '');
  const text = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (chunk: string) => {
      text[name] += chunk;
    });
  const finished = once(child, 'close').then(([code]) => ({ code: code as number | null, ...text }));
  return {
    child,
    finished,
    seen: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const match = pattern.exec(text.stdout) ?? pattern.exec(text.stderr);
          if (match !== null) resolve(match);
        };
        child.stdout.on('data', look);
        child.stderr.on('data', look);
        void finished.then(({ stdout, stderr }) => {
          look();
          reject(new Error(`the command ended without ${pattern}:\n${stdout}\n${stderr}`));
        });
        look();
      }),
  };
}

/** Runs a command to its end. */
export function run(
  words: string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; input?: string } = {},
): Promise<Finished> {
  return start(words, options).finished;
}

/** `tidegate run` in a folder, once it runs. It ends with the test. */
export async function runGateway(cwd: string): Promise<Running> {
  const running = start(['run'], { cwd });
  onTestFinished(async () => {
    running.child.kill('SIGTERM');
    await running.finished;
  });
  await running.seen(/"gateway started"/);
  return running;
}
