/** What stands behind `store.ts` in the disk thread: one SQLite file per upstream. */
import { TidegateError } from '../errors.js';
import type { Serve } from '../ops/disk-thread.js';
import { SegmentFile } from './segment-file.js';
import type { Notice, Opened, Request } from './store.js';

const files = new Map<number, SegmentFile>();
let tell: (notice: Notice) => void;
/** Files to tend, a step each in turn; there is but one turn at a time, so that a request waits for one step at most. */
const untended = new Set<number>();

/** Answers requests. */
export const serve: Serve<Request, Notice> = (telling) => {
  tell = telling;
  return (request) => {
    // Whoever asked is answered before that is told.
    setImmediate(tellSalvage, request.file);
    return answer(request);
  };
};

/** Tells what was saved of a file that turned out to be damaged. */
function tellSalvage(handle: number): void {
  const salvage = files.get(handle)?.takeSalvage();
  if (salvage) tell({ file: handle, removed: salvage.lost, salvage });
}

function answer({ file: handle, call }: Request): unknown {
  if (call.op === 'open') {
    const opened = new SegmentFile(call.path, call.limits, call.base);
    files.set(handle, opened);
    // Reading may meet damage: what is salvaged is told last.
    const rejected = opened.rejected();
    const [alarm, live] = [opened.extent('alarm'), opened.extent('live')];
    const salvage = opened.takeSalvage();
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
  if (untended.size === 0) setImmediate(tend);
  untended.add(handle);
}

/** Thins out and joins, step by step, letting requests pass in between. A disk that refuses is told by the next commit. */
function tend(): void {
  const [handle] = untended;
  if (handle === undefined) return;
  untended.delete(handle);
  try {
    const file = files.get(handle);
    const gone = file?.thin();
    if (gone) tell({ file: handle, removed: [gone] });
    if (gone || file?.join()) untended.add(handle);
  } catch {
    // The transaction is undone; nothing is lost.
  }
  tellSalvage(handle);
  if (untended.size > 0) setImmediate(tend);
}
