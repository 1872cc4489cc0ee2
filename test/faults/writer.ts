/** `crash-child` in a process of its own: what it accepted, and when. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import type { Event } from '../../src/model.js';
import type { CrashOptions } from '../support/crash-child.js';

const CHILD = fileURLToPath(new URL('../support/crash-child.js', import.meta.url));

/** An event that a writer told of. */
export interface Accepted {
  readonly n: number;
  /** When it told of it, milliseconds since 1970. */
  readonly at: number;
  readonly lane: Event['lane'];
}

/** A process that accepts numbered events until it dies. */
export class Writer {
  #said = '';

  private constructor(readonly child: ChildProcess) {
    child.stdout?.on('data', (chunk: Buffer) => {
      this.#said += chunk.toString();
    });
  }

  /** @param wrapper a command that runs it, such as strace, and steps aside */
  static start(options: CrashOptions, ...wrapper: string[]): Writer {
    const [command = '', ...args] = [...wrapper, process.execPath, CHILD, JSON.stringify(options)];
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    return new Writer(child);
  }

  /** Resolves when something was accepted. */
  async accepts(): Promise<void> {
    if (this.#said === '' && this.child.stdout) await once(this.child.stdout, 'data');
  }

  /** @returns false when it had died before */
  async kill(): Promise<boolean> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return false;
    const closed = once(this.child, 'close');
    this.child.kill('SIGKILL');
    await closed;
    return true;
  }

  /** Gives it so many milliseconds to die by itself, then kills it. @returns true when it died by itself */
  async dies(patience: number): Promise<boolean> {
    const timer = setTimeout(() => this.child.kill('SIGKILL'), patience);
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'close');
    clearTimeout(timer);
    return !this.child.killed;
  }

  /** All it said that is no event. */
  get remarks(): string[] {
    return this.#said.split('\n').filter((line) => /^[a-z]/.test(line));
  }

  /** The events so far, in order. */
  get accepted(): Accepted[] {
    return this.#said.split('\n').flatMap((line) => {
      const [, n, at, lane] = /^(\d+) (\d+) (alarm|live)$/.exec(line) ?? [];
      return lane ? [{ n: Number(n), at: Number(at), lane: lane as Event['lane'] }] : [];
    });
  }
}
