/**
 * The journal of the register, as the running gateway writes it: behind, in groups, in the disk thread. A disk that refuses holds nothing up:
 * what happened waits in memory, and is tried again.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { DiskThread } from '../ops/disk-thread.js';
import { inTurn } from '../ops/in-turn.js';
import { type Repeated, repeated } from '../ops/repeated.js';
import type { JournalOpened } from './journal-file.js';
import { type JournalEntry, merged, type Registrations, rebuild } from './registration.js';

/** What the thread is asked. */
export type JournalCall =
  | { readonly op: 'open' | 'read' | 'close'; readonly folder: string }
  | { readonly op: 'append'; readonly folder: string; readonly entries: readonly JournalEntry[] };

/** Milliseconds that an entry waits for others, and between attempts to use a disk that refuses. */
const FLUSH = 1_000;
const RETRY = 10_000;
/** So many entries that wait are made fewer: of changes of state the last of each device stays. */
const MOST_WAITING = 2_000;

/** What a journal is given. */
export interface JournalOptions {
  /** The data folder. */
  readonly folder: string;
  readonly thread: DiskThread;
  readonly log: Logger;
}

/** The journal of a data folder. */
export function journalPath(folder: string): string {
  return join(folder, 'register.sqlite');
}

/**
 * All entries of a data folder's journal, read at once: for those who can wait for a disk. An absent one is empty.
 * @throws TidegateError REGISTER_STORE
 */
export async function readEntries(folder: string): Promise<JournalEntry[]> {
  if (!existsSync(journalPath(folder))) return [];
  const { readJournal } = await import('./journal-file.js');
  return readJournal(folder);
}

/** The register that they make. @throws TidegateError REGISTER_STORE */
export async function readRegister(folder: string): Promise<Registrations> {
  return rebuild(await readEntries(folder));
}

/** A journal that is written to. */
export class Journal {
  readonly #options: JournalOptions;
  readonly #ask: <Result>(call: JournalCall) => Promise<Result>;
  readonly #trouble: Repeated;
  #waiting: JournalEntry[] = [];
  #timer: NodeJS.Timeout | undefined;
  readonly #flush = inTurn(() => this.#write());

  constructor(options: JournalOptions) {
    this.#options = options;
    const module = options.thread.use<JournalCall>(new URL('./journal-worker.js', import.meta.url), 'REGISTER_STORE');
    this.#ask = (call) => module.ask(call);
    this.#trouble = repeated(options.log);
  }

  /** Opens the file, or makes it. @throws TidegateError REGISTER_STORE */
  open(): Promise<JournalOpened> {
    return this.#ask({ op: 'open', folder: this.#options.folder });
  }

  /** All entries on disk. @throws TidegateError REGISTER_STORE */
  async entries(): Promise<JournalEntry[]> {
    await this.#flush();
    return this.#ask({ op: 'read', folder: this.#options.folder });
  }

  /** Takes an entry over: on disk within a second, unless the disk refuses. */
  add(entry: JournalEntry): void {
    this.#waiting.push(entry);
    if (this.#waiting.length > MOST_WAITING) this.#waiting = merged(this.#waiting);
    this.#later(FLUSH);
  }

  /**
   * Writes entries behind all that were added before. Resolves when they are on disk.
   * @throws TidegateError REGISTER_STORE; then they are not, and will not be
   */
  async commit(entries: readonly JournalEntry[]): Promise<void> {
    await this.#flush();
    await this.#append([...this.#take(), ...entries], entries.length);
  }

  /** Writes what waits, and closes the file. Never rejects. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#flush();
    clearTimeout(this.#timer);
    await this.#ask({ op: 'close', folder: this.#options.folder }).catch(() => {});
  }

  #later(wait: number): void {
    this.#timer ??= setTimeout(() => void this.#flush(), wait).unref();
  }

  async #write(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#waiting.length === 0) return;
    await this.#append(this.#take()).catch((error: Error) => {
      this.#trouble.failed(`${error.message}; what happens to devices waits in memory`);
      this.#later(RETRY);
    });
  }

  #take(): JournalEntry[] {
    const taken = this.#waiting;
    this.#waiting = [];
    return taken;
  }

  /** Writes entries; when that fails all but the last few wait again. */
  async #append(entries: JournalEntry[], own = 0): Promise<void> {
    try {
      await this.#ask({ op: 'append', folder: this.#options.folder, entries });
    } catch (error) {
      this.#waiting = [...entries.slice(0, entries.length - own), ...this.#waiting];
      throw error;
    }
    this.#trouble.over('the register is written to disk again');
  }
}
