/** Measures how long this machine makes a process wait: for the processor and for `fsync`. What no program could do better is no fault of ours. */
import { type FileHandle, open } from 'node:fs/promises';

/** Writes and syncs a small file without pause, and remembers the longest wait. */
export class StallProbe {
  #longest = 0;
  #since = performance.now();
  #running = true;
  readonly #done: Promise<void>;

  private constructor(file: FileHandle) {
    this.#done = this.#run(file);
  }

  static async start(folder: string): Promise<StallProbe> {
    return new StallProbe(await open(`${folder}/stall-probe`, 'w'));
  }

  /** Milliseconds of the longest wait since the last call; one that still lasts counts. */
  take(): number {
    const longest = Math.max(this.#longest, performance.now() - this.#since);
    this.#longest = 0;
    return longest;
  }

  async stop(): Promise<void> {
    this.#running = false;
    await this.#done;
  }

  async #run(file: FileHandle): Promise<void> {
    while (this.#running) {
      this.#since = performance.now();
      await file.write('x', 0);
      await file.sync();
      await new Promise((resolve) => setTimeout(resolve, 20));
      this.#longest = Math.max(this.#longest, performance.now() - this.#since - 20);
    }
    await file.close();
  }
}
