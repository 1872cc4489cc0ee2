/** The outboxes' worker thread: what takes long is done in slices, and whoever asks meanwhile waits for one of them at most. */
import { closeSync, openSync, statSync, writeSync } from 'node:fs';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { Limits } from '../../src/delivery/budget.js';
import type { Commit, NewSegment } from '../../src/delivery/commit.js';
import { SegmentFile } from '../../src/delivery/segment-file.js';
import { openStore, type StoreFile } from '../../src/delivery/store.js';
import { Database } from '../../src/ops/sqlite.js';
import { random } from '../support/random.js';
import { temporaryFolder } from '../support/upstream.js';

const BASE = { boot: 'test', zero: 0 };
const LARGE: Limits = {
  size: 16_000_000,
  keepFree: 0,
  rejected: 0,
  whenFull: { alarm: 'drop-oldest', live: 'thin' },
};
const NAMES = Array.from({ length: 100 }, (_, i) => `p${i}`);
const NOTHING = { after: 0, upTo: 0, settled: [] };

/** Row `n`: twenty seconds of a device, all texts: none of them may go, so that thinning has much to do and gains nothing. */
function segment(epoch: number, n: number, draw: () => number): NewSegment {
  const events = Array.from({ length: 20 }, (_, i) => [
    0,
    20 * n + i,
    (20 * n + i) * 1000,
    NAMES.map(() => `${draw()}`),
  ]);
  const [from, to] = [20_000 * n, 20_000 * n + 19_000];
  const head = { epoch, firstSeq: 20 * n, lastSeq: 20 * n + 19, events: 20, readings: 2_000, from, to, kept: to };
  return {
    stream: 'live',
    ...head,
    device: 'd',
    gap: null,
    text: JSON.stringify({ shapes: [['d', 't', NAMES]], events }),
  };
}

function commitOf(segments: NewSegment[], upTo: number): Commit {
  const removable = { alarm: NOTHING, live: { after: 0, upTo, settled: [] } };
  return { segments, removable, settled: { alarm: {}, live: {} }, rejected: [] };
}

/** A file with so many rows, closed. */
function filled(path: string, rows: number): void {
  const draw = random(3);
  const file = new SegmentFile(path, LARGE, BASE);
  for (let n = 1; n <= rows; n++) file.commit(commitOf([segment(file.epoch, n, draw)], 0));
  file.close();
}

async function opened(path: string, limits: Limits): Promise<StoreFile> {
  const store = openStore();
  const file = await store.open(path, limits, BASE);
  onTestFinished(async () => {
    await file.close();
    await store.close();
  });
  return file;
}

test('a commit waits for one slice of thinning at most', async () => {
  const path = `${temporaryFolder()}/cloud.sqlite`;
  filled(path, 300);
  // Nearly as large as it may be. Each slice is told.
  const file = await opened(path, { ...LARGE, size: Math.ceil(statSync(path).size * 1.12) });
  expect(file.room).toBeLessThan(0);
  let slices = 0;
  file.onRemoved(() => slices++);
  const draw = random(4);
  await file.commit(commitOf([], 300));
  const commits = [301, 302, 303].map((n) => commitOf([segment(file.epoch, n, draw)], 300));
  for (const commit of commits) {
    await new Promise((resolve) => setImmediate(resolve));
    const before = slices;
    await file.commit(commit);
    // One that was over before the commit was asked for may be heard of only now.
    expect(slices - before).toBeLessThanOrEqual(2);
  }
  const then = slices;
  await vi.waitFor(() => expect(slices).toBeGreaterThan(then + 5), 10_000);
});

test('while a damaged file is carried over, a commit waits for one slice at most; all that can be read comes, in order', async () => {
  const path = `${temporaryFolder()}/cloud.sqlite`;
  filled(path, 300);
  const whole = statSync(path).size;
  spoil(path, whole / 10);
  const file = await opened(path, { ...LARGE, size: 3 * whole });
  let lost = 0;
  let salvaged = false;
  file.onRemoved((removed, salvage) => {
    salvaged ||= salvage !== undefined;
    lost += removed.reduce((sum, { events }) => sum + events, 0);
  });
  const draw = random(5);
  const commits = [301, 302, 303, 304].map((n) => commitOf([segment(file.epoch, n, draw)], 0));
  let [at, events] = [0, 0];
  const readNext = async (): Promise<boolean> => {
    const row = await file.next('live', at, Number.MAX_SAFE_INTEGER);
    if (!row) return false;
    expect(row.id).toBeGreaterThan(at);
    expect(row.gap === null || row.gap === 'unreadable').toBe(true);
    expect(row.firstSeq).toBeGreaterThanOrEqual(20 * (row.id > 300 ? 301 : row.id));
    at = row.id;
    if (row.gap === null) events += row.events;
    return true;
  };
  while (!salvaged) expect(await readNext()).toBe(true);
  let carried = 0;
  for (const commit of commits) {
    const { ids, bytes } = await file.commit(commit);
    expect(ids?.[0]).toBeGreaterThan(300);
    expect(bytes - carried).toBeLessThan(carried === 0 ? whole / 2 : 1_500_000);
    carried = bytes;
  }
  // Without being asked for.
  await vi.waitFor(
    async () => expect((await file.commit(commitOf([], 0))).bytes).toBeGreaterThan(0.95 * whole),
    10_000,
  );
  while (await readNext());
  expect(lost).toBeGreaterThan(0);
  expect(events + lost).toBe(304 * 20);
});

test('nor does a commit wait for what has to be counted behind a damaged page', async () => {
  const path = `${temporaryFolder()}/cloud.sqlite`;
  const limits = { ...LARGE, size: 64_000_000 };
  const small = new SegmentFile(path, limits, BASE);
  const text = JSON.stringify({ shapes: [['d', 't', ['p']]], events: [[0, 1, 1, [1]]] });
  const one = { ...segment(small.epoch, 1, Math.random), events: 1, readings: 1, text };
  small.commit(
    commitOf(
      Array.from({ length: 10_000 }, (_, n) => ({ ...one, firstSeq: n + 1, lastSeq: n + 1 })),
      0,
    ),
  );
  small.close();
  const db = new Database(path);
  db.pragma('wal_checkpoint(TRUNCATE)');
  const leaf = "FROM dbstat WHERE name = 'live' AND pagetype = 'leaf' ORDER BY path LIMIT 1";
  const at = db.prepare<[], number>(`SELECT pgoffset ${leaf}`).pluck().get() ?? 0;
  db.close();
  spoil(path, at, 1024);

  const file = await opened(path, limits);
  let read = false;
  const reading = file.next('live', 0, Number.MAX_SAFE_INTEGER).then((row) => {
    read = true;
    return row;
  });
  await file.commit(commitOf([segment(file.epoch, 10_001, Math.random)], 0));
  expect(read).toBe(false);
  const lost = await reading;
  expect(lost).toMatchObject({ id: 1, gap: 'unreadable' });
  let events = lost?.events ?? 0;
  for (let row = lost; row; row = await file.next('live', row.id, 10_000)) if (row.gap === null) events += row.events;
  expect(events).toBe(10_000);
});

/** Overwrites a page of a file. */
function spoil(path: string, at: number, size = 4096): void {
  const handle = openSync(path, 'r+');
  writeSync(handle, Buffer.alloc(size, 0xa5), 0, size, Math.floor(at));
  closeSync(handle);
}
