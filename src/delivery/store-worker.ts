/** The worker thread behind `store.ts`: one SQLite file per upstream, requests answered one after another. */
import { parentPort } from 'node:worker_threads';
import { TidegateError } from '../errors.js';
import { SegmentFile } from './segment-file.js';
import type { Notice, Opened, Reply, Request } from './store.js';

const files = new Map<number, SegmentFile>();
const port = parentPort;
if (!port) throw new TypeError('store-worker.js runs as a worker thread');

port.on('message', (request: Request) => {
  let reply: Reply;
  try {
    reply = { id: request.id, result: answer(request) };
  } catch (error) {
    const code = error instanceof TidegateError ? error.code : 'OUTBOX_STORE';
    reply = { id: request.id, failure: { code, message: (error as Error).message } };
  }
  port.postMessage(reply);
  tellSalvage(request.file);
});

/** Tells what was saved of a file that turned out to be damaged. */
function tellSalvage(handle: number): void {
  const salvage = files.get(handle)?.takeSalvage();
  if (salvage) port?.postMessage({ file: handle, removed: salvage.lost, salvage } satisfies Notice);
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
  if (call.op === 'ping') return undefined;
  const file = files.get(handle);
  if (!file) throw new TidegateError('OUTBOX_STORE', 'the outbox file is closed');
  switch (call.op) {
    case 'commit':
      setImmediate(tend, handle);
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

/** Thins out and joins, step by step, letting requests pass in between. A disk that refuses is told by the next commit. */
function tend(handle: number): void {
  try {
    const file = files.get(handle);
    const gone = file?.thin();
    if (gone) port?.postMessage({ file: handle, removed: [gone] } satisfies Notice);
    if (gone || file?.join()) setImmediate(tend, handle);
  } catch {
    // The transaction is undone; nothing is lost.
  }
  tellSalvage(handle);
}
