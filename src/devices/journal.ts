/**
 * The journal of the register, as the running gateway writes it: behind, in groups, in the disk thread. A disk that refuses holds nothing up:
 * what happened waits in memory, and is tried again.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { TimeBase } from '../ops/clock.js';
import type { DiskThread } from '../ops/disk-thread.js';
import { inTurn } from '../ops/in-turn.js';
import { type Repeated, repeated } from '../ops/repeated.js';
import type { JournalOpened } from './journal-file.js';
import { corrected, type JournalEntry, merged, type Registrations, rebuild } from './registration.js';

/** What the thread is asked. */
export type JournalCall =
  | { readonly op: 'open'; readonly folder: string }
  | { readonly op: 'append'; readonly entries: readonly JournalEntry[]; readonly known?: TimeBase }
  | { readonly op: 'history'; readonly device: string }
  | { readonly op: 'close' };

/** Milliseconds between attempts to use a disk that refuses. */
export const RETRY = 10_000;
/** Milliseconds that an entry waits for others. */
const FLUSH = 1_000;
/** When so many entries wait, they are made fewer. */
const MOST_WAITING = 2_000;

/** What a journal is given. */
export interface JournalOptions {
  /** The data folder. */
  readonly folder: string;
  readonly thread: DiskThread;
  readonly log: Logger;
  /** Part of what was written is lost: what is known of it must be written again. */
  onLoss(): void;
}

/** The journal of a data folder. */
export function journalPath(folder: string): string {
  return join(folder, 'register.sqlite');
}

/** What is to take the place of a damaged one. A file of this name is whole. */
export function freshPath(path: string): string {
  return `${path}.fresh`;
}

/**
 * All entries of a data folder's journal, read at once: for those who can wait for a disk. An absent one is empty.
 * @throws TidegateError REGISTER_STORE
 */
export async function readEntries(folder: string): Promise<JournalEntry[]> {
  const path = journalPath(folder);
  const file = [freshPath(path), path].find((each) => existsSync(each));
  if (file === undefined) return [];
  const { readJournal } = await import('./journal-file.js');
  return readJournal(file);
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
  #isOpen = false;
  /** What times of this boot are corrected by, once the clock is set; and whether the file is still to be told. */
  #known: TimeBase | undefined;
  #toCorrect = false;
  #waiting: JournalEntry[] = [];
  #most = MOST_WAITING;
  #timer: NodeJS.Timeout | undefined;
  readonly #flush = inTurn(() => this.#write());

  constructor(options: JournalOptions) {
    this.#options = options;
    const module = options.thread.use<JournalCall>(new URL('./journal-worker.js', import.meta.url), 'REGISTER_STORE');
    this.#ask = (call) => module.ask(call);
    this.#trouble = repeated(options.log);
  }

  /**
   * Opens the file, or makes it, and gives the register that it tells of. Nothing is written before; what waits is forgotten, for nobody knew what
   * it is to follow.
   * @throws TidegateError REGISTER_STORE
   */
  async open(): Promise<Registrations> {
    const { registrations, movedTo } = await this.#ask<JournalOpened>({ op: 'open', folder: this.#options.folder });
    this.#isOpen = true;
    this.#waiting = [];
    if (movedTo) this.#tellDamage(movedTo);
    return registrations;
  }

  /** What happened to a device. @throws TidegateError REGISTER_STORE */
  async history(device: string): Promise<JournalEntry[]> {
    await this.#flush();
    return this.#ask({ op: 'history', device });
  }

  /** Takes an entry over: on disk within a second, unless the disk refuses. */
  add(entry: JournalEntry): void {
    this.#waiting.push(entry);
    if (this.#waiting.length > this.#most) {
      this.#waiting = merged(this.#waiting);
      this.#most = Math.max(MOST_WAITING, 2 * this.#waiting.length);
    }
    this.#later(FLUSH);
  }

  /** The clock is set: times of this boot that were written before are made right. */
  correct(known: TimeBase): void {
    this.#known = known;
    this.#toCorrect = true;
    this.#later(FLUSH);
  }

  /**
   * Writes entries behind all that were added before. Resolves when they are on disk.
   * @throws TidegateError REGISTER_STORE; then they are not, and will not be
   */
  async commit(entries: readonly JournalEntry[]): Promise<void> {
    await this.#flush();
    await this.#append(entries);
  }

  /** Writes what waits, and closes the file. Never rejects. */
  async close(): Promise<void> {
    await this.#flush();
    clearTimeout(this.#timer);
    await this.#ask({ op: 'close' }).catch(() => {});
  }

  #later(wait: number): void {
    this.#timer ??= setTimeout(() => void this.#flush(), wait).unref();
  }

  async #write(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#isOpen || (this.#waiting.length === 0 && !this.#toCorrect)) return;
    await this.#append([]).catch((error: Error) => {
      this.#trouble.failed(`${error.message}; what happens to devices waits in memory`);
    });
  }

  /** Writes what waits, and these entries behind it. When that fails, what waited waits again. */
  async #append(entries: readonly JournalEntry[]): Promise<void> {
    const waiting = this.#waiting;
    const known = this.#known;
    const all = [...waiting, ...entries].map((entry) => (known ? corrected(entry, known) : entry));
    const correcting = this.#toCorrect;
    this.#waiting = [];
    this.#toCorrect = false;
    try {
      const call = { op: 'append', entries: all, ...(known && correcting && { known }) } as const;
      const movedTo = await this.#ask<string | undefined>(call);
      if (movedTo) {
        this.#tellDamage(movedTo);
        this.#options.onLoss();
      }
    } catch (error) {
      this.#waiting = [...waiting, ...this.#waiting];
      this.#toCorrect ||= correcting;
      if (this.#waiting.length > 0 || this.#toCorrect) this.#later(RETRY);
      throw error;
    }
    this.#trouble.over('the register is written to disk again');
  }

  #tellDamage(movedTo: string): void {
    this.#options.log.error({ movedTo }, 'the register was damaged; what could be read of it is in a new file');
  }
}
