/** Rows whose events are all settled, on their way out of the file; and the bound on what a crash meanwhile could repeat. */
import { addTo, type Totals } from './counters.js';
import type { Segment } from './entry.js';
import type { Rejections } from './rejections.js';
import type { StreamName } from './rows.js';
import type { StoreFile } from './store.js';

/** What a removal is given; see `StreamOptions`. */
export interface RemovalOptions {
  readonly name: StreamName;
  readonly file: StoreFile;
  /** What was refused for good, and is to be kept before its row goes. */
  readonly rejections: Rejections;
  /** The present ones. Of events on disk, at most `window` may be sent while settled rows still await their removal. */
  settings(): { readonly window: number };
  ready(): void;
  failed(error: Error): void;
  /** Resolves when the gaps of all that was refused are on disk, or the disk refuses. */
  tellRefused(): Promise<void>;
}

/** Removes settled rows, one transaction at a time, several rows in each when they come fast. */
export class Removal {
  readonly #rows = new Map<number, Segment>();
  #running: Promise<void> | undefined;
  #sentAhead = 0;
  #failing = false;
  #held = false;
  readonly #options: RemovalOptions;

  constructor(options: RemovalOptions) {
    this.#options = options;
  }

  add(segment: Segment): void {
    segment.done.length = 0;
    this.#rows.set(segment.id, segment);
    // A disk that refuses is tried again after a while, not with every row.
    if (!this.#failing) void this.run();
  }

  /** Removes nothing until `work` is done. Resolves when what it added is removed, or the disk refuses. */
  async after(work: () => Promise<void>): Promise<void> {
    this.#held = true;
    try {
      await work();
    } finally {
      this.#held = false;
    }
    await this.run();
  }

  /** True for a row that is settled, though it may still be in the file. */
  has(id: number): boolean {
    return this.#rows.has(id);
  }

  /** Counts an event that is on disk and was sent. */
  noteSent(): void {
    if (this.#rows.size > 0) this.#sentAhead++;
  }

  /** True when a crash now could repeat more than a segment and a window. A failing disk holds up nothing. */
  get tooFarBehind(): boolean {
    return this.#rows.size > 0 && this.#sentAhead >= this.#options.settings().window && !this.#failing;
  }

  /** Resolves when all is removed, or the disk refuses; called again it tries again. */
  run(): Promise<void> {
    this.#running ??= this.#removeAll().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #removeAll(): Promise<void> {
    while (this.#rows.size > 0 && !this.#held) {
      const ids = [...this.#rows.keys()];
      const ends: Partial<Totals> = {};
      for (const segment of this.#rows.values()) addTo(ends, segment.ends);
      const { file, name, rejections, tellRefused } = this.#options;
      // A crash in between tells too much rather than too little.
      if (ends.rejected) await tellRefused();
      const rejected = rejections.take();
      try {
        rejections.stored(await file.remove(name, ids, ends, rejected));
      } catch (error) {
        this.#failing = true;
        rejections.giveBack(rejected);
        this.#options.failed(error as Error);
        return;
      }
      this.#failing = false;
      for (const id of ids) this.#rows.delete(id);
      this.#sentAhead = 0;
      this.#options.ready();
    }
  }
}
