/** Gaps in an outbox file: they merge, name the device where there is one, and stay few, whatever is removed and why. */

import { describe, expect, onTestFinished, test } from 'vitest';
import type { NewSegment } from '../../src/delivery/commit.js';
import { SegmentFile } from '../../src/delivery/segment-file.js';
import { Database } from '../../src/ops/sqlite.js';
import { random } from '../support/random.js';
import { temporaryFolder } from '../support/upstream.js';

const SIZE = 1_000_000;
const LIMITS = {
  size: SIZE,
  keepFree: 0,
  whenFull: { live: 'drop-oldest', alarm: 'drop-oldest' },
  rejected: 0,
} as const;
const NOTHING = { alarm: {}, live: {} };
const EVERYTHING = { after: 0, upTo: Number.MAX_SAFE_INTEGER, settled: [] };
const ALL = { alarm: EVERYTHING, live: EVERYTHING };

/** One row of the file. */
interface Row {
  gap: string | null;
  events: number;
  from_at: number;
  to_at: number;
  device: string | null;
}

function openFile() {
  const path = `${temporaryFolder()}/cloud.sqlite`;
  const file = new SegmentFile(path, LIMITS, { boot: 'this one', zero: 0 });
  const db = new Database(path, { readonly: true });
  onTestFinished(() => {
    db.close();
    file.close();
  });
  const draw = random(7);
  /** A segment of `events` events at second `n`, of so many bytes that do not pack. */
  const segment = (n: number, bytes = 100, more: Partial<NewSegment> = {}): NewSegment => ({
    stream: 'live',
    epoch: file.epoch,
    firstSeq: n,
    lastSeq: n,
    events: 1,
    readings: 1,
    from: n * 1000,
    to: n * 1000,
    kept: n * 1000,
    device: 'd',
    gap: null,
    text: Array.from({ length: bytes / 4 }, () => Math.floor(draw() * 1e9).toString(36)).join(''),
    ...more,
  });
  const commit = (segments: NewSegment[], expireBefore?: number) =>
    file.commit({
      segments,
      removable: ALL,
      settled: NOTHING,
      rejected: [],
      ...(expireBefore !== undefined && { expireBefore }),
    });
  const rows = () => db.prepare<[], Row>('SELECT gap, events, from_at, to_at, device FROM live ORDER BY id').all();
  return { file, segment, commit, rows };
}

test('a disk that is nearly full bounds the file as its size does', () => {
  const { file, segment, commit, rows } = openFile();
  for (let n = 1; n <= 5; n++) commit([segment(n, 40_000)]);
  const before = file.bytes();
  file.limit({ ...LIMITS, keepFree: Number.MAX_SAFE_INTEGER });
  for (let n = 6; n <= 20; n++) expect(commit([segment(n, 40_000)]).ids).toBeDefined();
  expect(file.bytes()).toBeLessThanOrEqual(before);
  expect(rows()[0]).toMatchObject({ gap: 'budget', from_at: 1000 });
  expect(rows().at(-1)).toMatchObject({ gap: null, from_at: 20_000 });
});

describe('a gap', () => {
  test('names the device when all that was removed is of one', () => {
    const { segment, commit, rows } = openFile();
    commit([segment(1), segment(2)]);
    commit([segment(3)], 2500);
    expect(rows()[0]).toEqual({ gap: 'expired', events: 2, from_at: 1000, to_at: 2000, device: 'd' });
    commit([segment(4, 100, { device: 'other' }), segment(5)], 3500);
    expect(rows()[0]).toMatchObject({ events: 3, device: 'd' });
    commit([segment(6)], 4500);
    expect(rows()[0]).toEqual({ gap: 'expired', events: 4, from_at: 1000, to_at: 4000, device: null });
  });

  test('merges with those of its cause around it, but not across what stays', () => {
    const { segment, commit, rows } = openFile();
    const gap = { gap: 'memory', text: '' } as const;
    commit([segment(1, 100, gap), segment(2), segment(3, 100, gap), segment(4), segment(5), segment(6, 100, gap)]);
    commit([], 4500);
    expect(rows()).toMatchObject([
      { gap: 'memory', events: 2, from_at: 1000, to_at: 3000 },
      { gap: 'expired', events: 2, from_at: 2000, to_at: 4000 },
      { gap: null },
      { gap: 'memory', events: 1, from_at: 6000 },
    ]);
  });

  test('whose count nobody knows makes the count of all it merges with unknown', () => {
    const { segment, commit, rows } = openFile();
    commit([segment(1, 100, { gap: 'expired', events: 0, text: '' }), segment(2)]);
    commit([segment(3)], 2500);
    expect(rows()[0]).toMatchObject({ gap: 'expired', events: 0, from_at: 1000, to_at: 2000 });
  });
});

test('gaps cannot overflow the file: a long outage of alternating causes leaves a few, and they tell all that went', () => {
  const { file, segment, commit, rows } = openFile();
  const draw = random(1);
  const told = { dropped: 0, expired: 0, memory: 0 };
  for (let n = 1; n <= 1_500; n++) {
    const memory = draw() < 0.3;
    if (memory) told.memory++;
    const own = memory ? segment(n, 100, { gap: 'memory', text: '' }) : segment(n, draw() < 0.2 ? 40_000 : 100);
    // Now and then the age limit takes a little of what the size would take anyhow.
    const { removed, ids } = commit([own], draw() < 0.1 ? (n - 34) * 1000 : undefined);
    expect(ids).toBeDefined();
    for (const { cause, events } of removed) told[cause === 'expired' ? 'expired' : 'dropped'] += events;
  }
  expect(file.bytes()).toBeLessThan(SIZE);
  const all = rows();
  const gaps = all.filter(({ gap }) => gap !== null);
  const count = (cause: string) => gaps.filter(({ gap }) => gap === cause).reduce((sum, { events }) => sum + events, 0);
  expect({ dropped: count('budget'), expired: count('expired'), memory: count('memory') }).toEqual(told);
  expect(Math.min(told.dropped, told.expired)).toBeGreaterThan(20);
  // Before the first segment that is left stands one gap of each cause.
  expect(all.findIndex(({ gap }) => gap === null)).toBeLessThanOrEqual(3);
});
