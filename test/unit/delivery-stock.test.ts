/** What an outbox file says of itself without counting its rows is what counting them gives. */
import { closeSync, copyFileSync, existsSync, openSync, statSync, writeSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Limits } from '../../src/delivery/budget.js';
import type { Committed, NewSegment, StoredRow } from '../../src/delivery/commit.js';
import { STREAMS, type StreamName } from '../../src/delivery/rows.js';
import { decodeSegment } from '../../src/delivery/segment.js';
import { SegmentFile } from '../../src/delivery/segment-file.js';
import { Database } from '../../src/ops/sqlite.js';
import { random } from '../support/random.js';
import { temporaryFolder } from '../support/upstream.js';

const LIMITS: Limits = {
  size: 4_000_000,
  keepFree: 0,
  rejected: 100_000,
  whenFull: { alarm: 'drop-oldest', live: 'thin' },
};
const NAMES = Array.from({ length: 30 }, (_, i) => `p${i}`);
const BASE = { boot: 'test', zero: 0 };
const NOTHING = { alarm: {}, live: {} };

let seq = 0;
/** A segment of one meter's readings, a second apart. */
function segment(epoch: number, stream: StreamName, events: number, draw: () => number): NewSegment {
  const first = seq + 1;
  const rows = Array.from({ length: events }, () => [0, ++seq, seq * 1000, NAMES.map(() => Math.round(draw() * 1e6))]);
  const text = JSON.stringify({ shapes: [['meter', 't', NAMES]], events: rows });
  const [from, to] = [first * 1000, seq * 1000];
  return {
    stream,
    epoch,
    firstSeq: first,
    lastSeq: seq,
    events,
    readings: events * 30,
    from,
    to,
    kept: to,
    device: 'meter',
    gap: null,
    text,
  };
}

/** Commits; `after` and `upTo` bound what may give way. */
function commit(file: SegmentFile, segments: NewSegment[], after = 0, upTo = Number.MAX_SAFE_INTEGER): Committed {
  const range = { after, upTo, settled: [] };
  return file.commit({ segments, removable: { alarm: range, live: range }, settled: NOTHING, rejected: [] });
}

function opened(path: string, limits = LIMITS): SegmentFile {
  const file = new SegmentFile(path, limits, BASE);
  onTestFinished(() => file.close());
  return file;
}

/** What of the live stream follows a row, read as the outbox reads it. */
function* rowsOf(file: SegmentFile, after = 0): Generator<StoredRow> {
  for (let [row, at] = [file.next('live', after, 1e9), after]; row !== undefined; row = file.next('live', at, 1e9)) {
    if (!row) continue;
    expect(row.id).toBeGreaterThan(at);
    at = row.id;
    yield row;
  }
}

/** What counting says. */
function counted(path: string): unknown {
  const db = new Database(path, { readonly: true });
  const count = (stream: string): unknown =>
    db
      .prepare(
        `SELECT coalesce(sum(events), 0) AS events, coalesce(sum(readings), 0) AS readings FROM ${stream} WHERE gap IS NULL`,
      )
      .get();
  const counts = STREAMS.map(count);
  db.close();
  return counts;
}

function said(file: SegmentFile): unknown {
  return STREAMS.map((stream) => {
    const { events, readings } = file.extent(stream);
    return { events, readings };
  });
}

/** Overwrites so many bytes of a file. */
function spoil(path: string, bytes: number, at: number): void {
  const handle = openSync(path, 'r+');
  writeSync(handle, Buffer.alloc(bytes, 0xa5), 0, bytes, at);
  closeSync(handle);
}

/** The file and its log as a crash now would leave them. */
function crashed(path: string, name: string): string {
  for (const suffix of ['', '-wal']) if (existsSync(path + suffix)) copyFileSync(path + suffix, name + suffix);
  return name;
}

describe('what an outbox file holds in all', () => {
  test.each([1, 2, 3])('is right at every moment, and after every crash (%i)', { timeout: 30_000 }, (seed) => {
    const draw = random(seed);
    const folder = temporaryFolder();
    const path = `${folder}/cloud.sqlite`;
    const file = opened(path);
    const ids: Record<StreamName, number[]> = { alarm: [], live: [] };
    for (let step = 0; step < 700; step++) {
      const stream = draw() < 0.2 ? 'alarm' : 'live';
      const known = ids[stream];
      const some = known[Math.floor(draw() * known.length)] ?? 0;
      const what = draw();
      if (what < 0.75)
        known.push(...(commit(file, [segment(file.epoch, stream, 1 + Math.floor(draw() * 200), draw)]).ids ?? []));
      else if (what < 0.85) file.remove(stream, [some], {}, []);
      else if (what < 0.9 && known.length > 0) file.rewrite(stream, some, segment(file.epoch, stream, 3, draw), {});
      else if (what < 0.95) file.thin();
      else file.join();
      if (step % 25 === 0) {
        expect(said(file)).toEqual(counted(path));
        const copy = opened(crashed(path, `${folder}/crash-${step}.sqlite`));
        expect(said(copy)).toEqual(said(file));
      }
    }
    expect(file.counters().live.thinned).toBeGreaterThan(0);
  });

  test('is right in a file that was emptied and is filled anew', () => {
    const path = `${temporaryFolder()}/cloud.sqlite`;
    const first = new SegmentFile(path, LIMITS, BASE);
    for (let n = 1; n <= 20; n++) commit(first, [segment(first.epoch, 'live', 1, Math.random)]);
    for (let n = 1; n <= 20; n++) first.remove('live', [n], {}, []);
    first.close();
    const second = opened(path);
    commit(second, [segment(second.epoch, 'live', 7, Math.random)]);
    const third = opened(crashed(path, `${path}.crashed`));
    expect(third.extent('live')).toMatchObject({ events: 7, readings: 210 });
  });

  test('is as it was after a commit that failed', () => {
    const path = `${temporaryFolder()}/cloud.sqlite`;
    const file = opened(path);
    commit(file, [segment(file.epoch, 'live', 5, Math.random)]);
    const broken = { ...segment(file.epoch, 'live', 5, Math.random), from: null as unknown as number };
    expect(() => commit(file, [segment(file.epoch, 'live', 5, Math.random), broken])).toThrow('NOT NULL');
    expect(file.extent('live')).toMatchObject({ events: 5, lastId: 1 });
    expect(commit(file, [segment(file.epoch, 'live', 5, Math.random)]).ids).toEqual([2]);
  });
});

describe('small rows', () => {
  function* eventsIn(file: SegmentFile): Generator<unknown> {
    for (const row of rowsOf(file))
      for (const { seq: number, event } of decodeSegment(row.text ?? '', 'live')) yield [number, event];
  }

  test('are joined once nobody holds them in memory: the same events, in order, in less than half the room', () => {
    const folder = temporaryFolder();
    const [file, other] = [opened(`${folder}/joined.sqlite`), opened(`${folder}/as-written.sqlite`)];
    for (let n = 1; n <= 400; n++) {
      const small = segment(file.epoch, 'live', 1, Math.random);
      commit(other, [small], 0, 0);
      commit(file, [small], 0, n - 10);
      while (file.join());
    }
    expect(file.extent('live')).toEqual(other.extent('live'));
    expect(file.bytes()).toBeLessThan(other.bytes() / 2);
    expect([...eventsIn(file)]).toEqual([...eventsIn(other)]);
  });

  test('stay as they are while they may be settled in part, and large ones always', () => {
    const file = opened(`${temporaryFolder()}/cloud.sqlite`);
    for (let n = 1; n <= 300; n++) commit(file, [segment(file.epoch, 'live', n > 200 ? 40 : 1, Math.random)], 150, 300);
    while (file.join());
    const ids = [...rowsOf(file)].map(({ id }) => id);
    expect(ids.slice(0, 150)).toEqual(Array.from({ length: 150 }, (_, i) => i + 1));
    expect(ids.slice(-100)).toEqual(Array.from({ length: 100 }, (_, i) => 201 + i));
    expect(ids.length).toBe(251);
  });
});

test('a start does not read the file through; damage is found where it is met, and told', () => {
  const path = `${temporaryFolder()}/cloud.sqlite`;
  const first = new SegmentFile(path, LIMITS, BASE);
  for (let n = 1; n <= 40; n++) commit(first, [segment(first.epoch, 'live', 100, Math.random)]);
  first.close();
  spoil(path, 4096, Math.floor(statSync(path).size / 2));

  const file = opened(path);
  expect(file.takeSalvage()).toBeUndefined();
  // What is committed meanwhile has the next number, whatever happens to the rows before it.
  expect(commit(file, [segment(file.epoch, 'live', 100, Math.random)], 0, 0).ids).toEqual([41]);
  let [events, lost, at] = [0, 0, 0];
  for (const row of rowsOf(file)) {
    if (row.gap === 'unreadable') lost += row.events;
    else events += row.text === undefined ? 0 : row.events;
    at = row.id;
  }
  expect(at).toBe(41);
  expect(lost).toBeGreaterThan(0);
  expect(lost + events).toBe(4100);
  expect(file.counters().live.unreadable).toBe(lost);
  expect(file.takeSalvage()).toMatchObject({ movedTo: `${path}.damaged-1` });
  // One number is kept free for what may be missing at the end of the damaged file.
  expect(commit(file, [segment(file.epoch, 'live', 1, Math.random)], 0, 0).ids).toEqual([43]);
});

test('a file that is damaged anew before it is carried whole: what can be read of both comes, in order, and the rest is told', () => {
  const path = `${temporaryFolder()}/cloud.sqlite`;
  const first = new SegmentFile(path, LIMITS, BASE);
  for (let n = 1; n <= 150; n++) commit(first, [segment(first.epoch, 'live', 100, Math.random)]);
  first.close();
  spoil(path, 4096, Math.floor(statSync(path).size / 10));
  const second = new SegmentFile(path, LIMITS, BASE);
  const rows = rowsOf(second);
  while (!second.takeSalvage()) rows.next();
  commit(second, [segment(second.epoch, 'live', 100, Math.random)], 0, 0);
  expect(second.extent('live').events + second.counters().live.unreadable).toBe(15_100);
  second.close();

  const db = new Database(path);
  expect(db.prepare('SELECT count(*) FROM live').pluck().get()).toBeLessThan(150);
  db.pragma('wal_checkpoint(TRUNCATE)');
  const oldest = db
    .prepare<[], { pageno: number; pgsize: number }>(
      "SELECT pageno, pgsize FROM dbstat WHERE name = 'live' AND pagetype = 'leaf' ORDER BY path LIMIT 1",
    )
    .get();
  db.close();
  spoil(path, oldest?.pgsize ?? 0, ((oldest?.pageno ?? 0) - 1) * (oldest?.pgsize ?? 0));
  const third = opened(path);
  expect(third.takeSalvage()).toMatchObject({ movedTo: `${path}.damaged-2` });
  let events = 0;
  for (const row of rowsOf(third)) if (row.gap === null) events += row.events;
  const { unreadable } = third.counters().live;
  expect(events).toBeGreaterThan(10_000);
  expect(events + unreadable).toBe(15_100);
  expect(said(third)).toEqual(counted(path));
});

test('behind damaged pages every row comes that stands on a sound one, however far apart the numbers are', () => {
  const path = `${temporaryFolder()}/cloud.sqlite`;
  const first = new SegmentFile(path, LIMITS, BASE);
  for (let n = 0; n < 3_000; n++) commit(first, [segment(first.epoch, 'live', 1, Math.random)], 0, 0);
  first.close();
  const db = new Database(path);
  // Thinning out and joining take rows from between.
  db.exec('UPDATE live SET id = -20000 * id; UPDATE live SET id = -id; UPDATE stock SET up_to = 20000 * up_to');
  db.pragma('wal_checkpoint(TRUNCATE)');
  type Page = { pageno: number; pgsize: number; ncell: number; path: string };
  const pages = (type: string): Page[] =>
    db.prepare<[string], Page>("SELECT * FROM dbstat WHERE name = 'live' AND pagetype = ? ORDER BY path").all(type);
  const [leaves, above] = [pages('leaf'), pages('internal').filter(({ path }) => path !== '/')];
  db.close();
  expect(above.length).toBeGreaterThan(3);
  // The first page and the last, two with a sound one between, two in a row, and one that says where others are.
  const middle = above[2] as Page;
  const spoilt = [0, 20, 22, 40, 41, leaves.length - 1].map((at) => leaves[at] as Page);
  for (const { pageno, pgsize } of [middle, ...spoilt]) spoil(path, pgsize, (pageno - 1) * pgsize);
  const gone = new Set([...spoilt, ...leaves.filter((leaf) => leaf.path.startsWith(middle.path))]);
  const lost = [...gone].reduce((sum, { ncell }) => sum + ncell, 0);

  const file = opened(path);
  const rows = [...rowsOf(file)];
  const holds = (rows: StoredRow[]): number => rows.reduce((sum, { events }) => sum + events, 0);
  expect(holds(rows.filter(({ gap }) => gap === null))).toBe(3_000 - lost);
  expect(holds(rows.filter(({ gap }) => gap === 'unreadable'))).toBe(lost);
  expect(file.counters().live.unreadable).toBe(lost);
});

test('what cannot be read is told once when thinning meets it, and the rest is thinned out', () => {
  const path = `${temporaryFolder()}/cloud.sqlite`;
  const file = opened(path, { ...LIMITS, size: 1_000_000 });
  let rows = 0;
  while (commit(file, [segment(file.epoch, 'live', 300, Math.random)], 0, 0).ids) rows++;
  const db = new Database(path);
  db.prepare('UPDATE live SET body = zeroblob(length(body)) WHERE id = 3').run();
  db.close();
  commit(file, []);
  while (file.thin());
  const { live: ends } = file.counters();
  expect(ends.unreadable).toBe(300);
  expect(file.extent('live').readings).toBeLessThan(300 * 30 * (rows - 1));
  expect(Object.values(ends).reduce((sum, count) => sum + count, file.extent('live').events)).toBe(300 * rows);
});

test('a bit that the disk lost does not pass for a value', () => {
  const path = `${temporaryFolder()}/cloud.sqlite`;
  const first = new SegmentFile(path, LIMITS, BASE);
  commit(first, [segment(first.epoch, 'live', 300, Math.random)]);
  first.close();
  const db = new Database(path);
  const body = db.prepare<[], Buffer>('SELECT body FROM live').pluck().get() as Buffer;
  const unpacked = new Set<string | undefined>();
  for (let at = 100; at < 3100; at += 300) {
    const damaged = Buffer.from(body);
    damaged[at] = (damaged[at] ?? 0) ^ 1;
    db.prepare('UPDATE live SET body = ?').run(damaged);
    const file = new SegmentFile(path, LIMITS, BASE);
    unpacked.add(file.next('live', 0, 10)?.text);
    file.close();
  }
  db.close();
  expect([...unpacked]).toEqual([undefined]);
});
