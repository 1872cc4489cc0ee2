/** What goes to an outbox file in one transaction, what that does, and what is read back. */
import type { GapCause } from '../model.js';
import type { TimeBase } from '../ops/clock.js';
import type { Removable, Removed } from './budget.js';
import type { Settled } from './counters.js';
import type { Kept, Rejected } from './rejected-table.js';
import type { SegmentHead, StreamName } from './rows.js';

/** A segment to write, or a gap. */
export interface NewSegment extends SegmentHead {
  readonly stream: StreamName;
  readonly gap: GapCause | null;
  /** Empty for a gap. */
  readonly text: string;
}

/** A row as read back: a segment with its text, or the gap that stands where segments were removed. */
export interface StoredRow extends SegmentHead {
  readonly id: number;
  readonly gap: GapCause | null;
  /** Undefined for a gap, and for a body that cannot be unpacked. */
  readonly text: string | undefined;
}

/** A group commit. */
export interface Commit {
  readonly segments: readonly NewSegment[];
  readonly removable: Removable;
  /** What was written before this time has expired; milliseconds since 1970. */
  readonly expireBefore?: number;
  /** What was settled in memory since the last commit. */
  readonly settled: Settled;
  /** What was refused for good since then. */
  readonly rejected: readonly Rejected[];
  /** The clock was set: times count from here. */
  readonly learnt?: TimeBase;
  /** What of it is to wait again, as segments behind all others. */
  readonly requeue?: Requeue;
}

/** Takes refused events back. */
export interface Requeue {
  /** Up to this id, at most so many. */
  readonly upTo: number;
  readonly most: number;
  /** The number of the first; those that follow count on from there. */
  readonly firstSeq: number;
  /** As in a segment's head. */
  readonly kept: number | null;
}

/** A segment of what waits again. */
export interface Requeued {
  readonly stream: StreamName;
  readonly row: number;
  readonly lastSeq: number;
  /** Entries, and those of them that are not gaps. */
  readonly entries: number;
  readonly events: number;
}

/** What a commit did. */
export interface Committed {
  /** Row ids, in the order of the segments given; undefined when nothing may give way for them. */
  readonly ids: readonly number[] | undefined;
  /** What had to go to keep the budget. */
  readonly removed: readonly Removed[];
  /** Bytes of the file in use, and by how many more it may grow before something gives way. */
  readonly bytes: number;
  readonly room: number;
  /** Time of the oldest event on disk, milliseconds since 1970. */
  readonly oldest: Readonly<Record<StreamName, number | undefined>>;
  readonly rejected: Kept;
  /** What waits again; undefined when nothing was asked for, or there was no room for anything. */
  readonly requeued: readonly Requeued[] | undefined;
}
