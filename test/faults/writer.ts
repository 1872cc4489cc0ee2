/** `crash-child` in a process of its own: what it accepted, and when. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

const CHILD = fileURLToPath(new URL('../support/crash-child.js', import.meta.url));

/** A process that accepts numbered events until it dies. */
export class Writer {
  #said = '';

  private constructor(readonly child: ChildProcess) {
    child.stdout?.on('data', (chunk: Buffer) => {
      this.#said += chunk.toString();
    });
  }

  /** @param first the number of its first event */
  static start(url: string, folder: string, buffer: object, first: number): Writer {
    const args = [CHILD, url, folder, JSON.stringify(buffer), String(first)];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    return new Writer(child);
  }

  /** Resolves when something was accepted. */
  async accepts(): Promise<void> {
    if (this.#said === '' && this.child.stdout) await once(this.child.stdout, 'data');
  }

  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const closed = once(this.child, 'close');
    this.child.kill('SIGKILL');
    await closed;
  }

  /** The events so far, in order; times in milliseconds since 1970. */
  get accepted(): { n: number; at: number }[] {
    return this.#said.split('\n').flatMap((line) => {
      const [n, at] = line.split(' ').map(Number);
      return n !== undefined && at !== undefined ? [{ n, at }] : [];
    });
  }
}
