/** What stands behind `store.ts` in the disk thread: one SQLite file per upstream. */
import { TidegateError } from '../errors.js';
import type { Serve } from '../ops/disk-thread.js';
import { SegmentFile } from './segment-file.js';
import type { Notice, Opened, Request } from './store.js';

const files = new Map<number, SegmentFile>();
let tell: (notice: Notice) => void;
/** Files to tend, a step each in turn; there is but one turn at a time, so that a request waits for one step at most. */
const untended = new Set<number>();
let turnDue = false;

/** Answers requests. */
export const serve: Serve<Request, Notice> = (telling) => {
  tell = telling;
  return (request) => {
    // Whoever asked is answered before that is told.
    setImmediate(tellSalvage, request.file);
    return answer(request);
  };
};

/** Tells that a file turned out to be damaged, and what of it is lost. */
function tellSalvage(handle: number): void {
  const file = files.get(handle);
  const [salvage, removed] = [file?.takeSalvage(), file?.takeLost() ?? []];
  if (salvage || removed.length > 0) tell({ file: handle, removed, ...(salvage && { salvage }) });
  if (salvage) tendSoon(handle);
}

function answer({ file: handle, call }: Request): unknown {
  if (call.op === 'open') {
    const opened = new SegmentFile(call.path, call.limits, call.base);
    files.set(handle, opened);
    // Reading may meet damage: what is salvaged is told last.
    const rejected = opened.rejected();
    const [alarm, live] = [opened.extent('alarm'), opened.extent('live')];
    const salvage = opened.takeSalvage();
    // What was lost so far stands in the accounts.
    opened.takeLost();
    tendSoon(handle);
    return {
      epoch: opened.epoch,
      starts: opened.starts,
      bytes: opened.bytes(),
      room: opened.room(),
      alarm,
      live,
      totals: opened.counters(),
      rejected,
      ...(salvage && { salvage }),
    } satisfies Opened;
  }
  const file = files.get(handle);
  if (!file) throw new TidegateError('OUTBOX_STORE', 'the outbox file is closed');
  switch (call.op) {
    case 'commit':
      tendSoon(handle);
      return file.commit(call.commit);
    case 'next':
      return file.next(call.stream, call.after, call.upTo);
    case 'remove':
      return file.remove(call.stream, call.ids, call.ends, call.rejected);
    case 'rewrite':
      return file.rewrite(call.stream, call.row, call.segment, call.ends);
    case 'limit':
      return file.limit(call.limits);
    case 'purge':
      return file.purge(call.stream, call.rows);
    case 'purgeRejected':
      return file.purgeRejected();
    case 'close':
      files.delete(handle);
      return file.close();
  }
}

function tendSoon(handle: number): void {
  untended.add(handle);
  if (!turnDue) setImmediate(tend);
  turnDue = true;
}

/** Thins out, carries over and joins, step by step, letting requests pass in between. A disk that refuses is told by the next commit. */
function tend(): void {
  turnDue = false;
  const [handle] = untended;
  if (handle === undefined) return;
  untended.delete(handle);
  try {
    const file = files.get(handle);
    const gone = file?.thin();
    if (gone) tell({ file: handle, removed: [gone] });
    if (gone || file?.carry() || file?.join()) tendSoon(handle);
  } catch {
    // The transaction is undone; nothing is lost.
  }
  tellSalvage(handle);
  for (const other of untended) tendSoon(other);
}
