/** The outbox files, reached from the main thread: the disk thread does all that can wait for a disk. */
import type { TimeBase } from '../ops/clock.js';
import { type DiskThread, prepareDiskThread } from '../ops/disk-thread.js';
import type { Limits, Removable, Removed } from './budget.js';
import type { Commit, Committed, NewSegment, StoredRow } from './commit.js';
import type { Start } from './correction.js';
import type { Totals } from './counters.js';
import type { Kept, Rejected } from './rejected-table.js';
import type { Extent, StreamName } from './rows.js';
import type { Salvage } from './salvage.js';

/** A request to the thread. */
export interface Request {
  readonly file: number;
  readonly call: Call;
}

type Call =
  | { op: 'open'; path: string; limits: Limits; base: TimeBase }
  | { op: 'commit'; commit: Commit }
  | { op: 'next'; stream: StreamName; after: number; upTo: number }
  | { op: 'remove'; stream: StreamName; ids: readonly number[]; ends: Partial<Totals>; rejected: readonly Rejected[] }
  | { op: 'rewrite'; stream: StreamName; row: number; segment: NewSegment; ends: Partial<Totals> }
  | { op: 'limit'; limits: Limits }
  | { op: 'purge'; stream: StreamName; rows: Removable[StreamName] }
  | { op: 'purgeRejected' }
  | { op: 'close' };

/** What the thread tells unasked: what is gone from a file. */
export interface Notice {
  readonly file: number;
  readonly removed: readonly Removed[];
  /** Set when the file turned out to be damaged, and a fresh one takes its place. */
  readonly salvage?: Salvage;
}

/** What an outbox file holds when it is opened. */
export interface Opened {
  readonly epoch: number;
  /** This start, and those before it that left something. */
  readonly starts: readonly Start[];
  /** Bytes in use, and by how many more the file may grow before something gives way. */
  readonly bytes: number;
  readonly room: number;
  readonly alarm: Extent;
  readonly live: Extent;
  /** Counts since the file was made. */
  readonly totals: Readonly<Record<StreamName, Readonly<Totals>>>;
  /** What the upstream refused for good, and is kept. */
  readonly rejected: Kept;
  /** Set when the file was found damaged and this is the one that replaces it. */
  readonly salvage?: Salvage;
}

/** One upstream's file. Requests are answered in their order; each rejects with OUTBOX_STORE when the disk refuses. */
export interface StoreFile extends Opened {
  /** Called when something is gone between commits: thinned out, or lost in a file that turned out to be damaged. */
  onRemoved(listener: (removed: readonly Removed[], salvage?: Salvage) => void): void;
  commit(commit: Commit): Promise<Committed>;
  next(stream: StreamName, after: number, upTo: number): Promise<StoredRow | undefined>;
  remove(
    stream: StreamName,
    ids: readonly number[],
    ends: Partial<Totals>,
    rejected: readonly Rejected[],
  ): Promise<Kept>;
  rewrite(stream: StreamName, row: number, segment: NewSegment, ends: Partial<Totals>): Promise<void>;
  /** Keeps within other limits from now on. */
  limit(limits: Limits): Promise<void>;
  purge(stream: StreamName, rows: Removable[StreamName]): Promise<Removed | undefined>;
  purgeRejected(): Promise<number>;
  close(): Promise<void>;
}

/** All files opened through one thread. */
export interface Store {
  /**
   * Opens or creates an outbox file. Times that are marked `unset` count from `base`.
   * @throws TidegateError OUTBOX_OPEN
   */
  open(path: string, limits: Limits, base: TimeBase): Promise<StoreFile>;
  /** Ends the thread; files should be closed before. */
  close(): Promise<void>;
}

/** The outbox files of a thread. */
export function openStore(thread: DiskThread = prepareDiskThread()): Store {
  const removedListeners = new Map<number, Parameters<StoreFile['onRemoved']>[0]>();
  const worker = thread.use<Request, Notice>(
    new URL('./store-worker.js', import.meta.url),
    'OUTBOX_STORE',
    ({ file, removed, salvage }) => removedListeners.get(file)?.(removed, salvage),
  );
  let lastFile = 0;
  const ask = <Result>(file: number, call: Call): Promise<Result> => worker.ask<Result>({ file, call });

  return {
    async open(path, limits, base) {
      const file = ++lastFile;
      const opened = await ask<Opened>(file, { op: 'open', path, limits, base });
      return {
        ...opened,
        onRemoved: (listener) => void removedListeners.set(file, listener),
        commit: (commit) => ask(file, { op: 'commit', commit }),
        next: async (stream, after, upTo) => {
          // While a damaged file holds it, each asking carries a slice: what else is asked passes in between.
          let row: StoredRow | undefined | null = null;
          while (row === null) row = await ask(file, { op: 'next', stream, after, upTo });
          return row;
        },
        remove: (stream, ids, ends, rejected) => ask(file, { op: 'remove', stream, ids, ends, rejected }),
        rewrite: (stream, row, segment, ends) => ask(file, { op: 'rewrite', stream, row, segment, ends }),
        limit: (limits) => ask(file, { op: 'limit', limits }),
        purge: (stream, rows) => ask(file, { op: 'purge', stream, rows }),
        purgeRejected: () => ask(file, { op: 'purgeRejected' }),
        close: () => ask<void>(file, { op: 'close' }).finally(() => removedListeners.delete(file)),
      };
    },
    close: () => thread.close(),
  };
}
