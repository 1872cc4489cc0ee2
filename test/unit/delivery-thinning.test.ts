import { describe, expect, test } from 'vitest';
import type { Shape, StoredReadings, StoredSegment, StoredValue } from '../../src/delivery/segment.js';
import { bucketOf, thin } from '../../src/delivery/thinning.js';
import { random } from '../support/random.js';

/** One device, one reading a second, from the values of its points. */
function segment(
  names: string[],
  rows: StoredValue[][],
  { counters, first = 0 }: { counters?: number[]; first?: number } = {},
): StoredSegment {
  const shape: Shape = counters ? ['d', 't', names, counters] : ['d', 't', names];
  return { shapes: [shape], events: rows.map((values, i) => [0, first + i + 1, (first + i) * 1000, values]) };
}

const rows = (thinned: StoredSegment): StoredReadings[] => thinned.events as StoredReadings[];

describe('thinning', () => {
  test('keeps the smallest, the largest and the last value of each bucket, with number and time', () => {
    const values = [5, 3, 9, 4, 4, 6, 7, 5, 5, 8, /* */ 1, 1, 1];
    const {
      segment: left,
      gone,
      readings,
    } = thin(
      [
        segment(
          ['p'],
          values.map((v) => [v]),
        ),
      ],
      1,
    );
    expect(rows(left).map(([, seq, at, [value]]) => [seq, at, value])).toEqual([
      [2, 1000, 3],
      [3, 2000, 9],
      [10, 9000, 8],
      [11, 10_000, 1],
      [13, 12_000, 1],
    ]);
    expect(rows(left)[0]?.[4]).toBeUndefined();
    expect({ gone, readings }).toEqual({ gone: { events: 8, readings: 8 }, readings: 5 });
  });

  test('marks the events that lost values with the width of the buckets', () => {
    const { segment: left } = thin(
      [
        segment(
          ['p', 'q'],
          [
            [1, 1],
            [2, 1],
            [3, 1],
            [0, 1],
          ],
        ),
      ],
      2,
    );
    expect(rows(left)).toEqual([
      [0, 1, 0, [null, 1], { thinned: 20_000 }],
      [0, 3, 2000, [3, null], { thinned: 20_000 }],
      [0, 4, 3000, [0, 1]],
    ]);
  });

  test('keeps of a counter the first and the last', () => {
    const { segment: left } = thin([segment(['e'], [[10], [11], [12], [13]], { counters: [0] })], 1);
    expect(rows(left).map(([, , , [value]]) => value)).toEqual([10, 13]);
  });

  test('keeps every change of texts and switches', () => {
    const states = ['off', 'off', 'on', 'on', 'off', 'off', 'off'];
    const { segment: left } = thin(
      [
        segment(
          ['s'],
          states.map((s) => [s]),
        ),
      ],
      10,
    );
    expect(rows(left).map(([, seq, , [value]]) => [seq, value])).toEqual([
      [1, 'off'],
      [3, 'on'],
      [5, 'off'],
      [7, 'off'],
    ]);
  });

  test('keeps every change of a structure', () => {
    const texts = ['[1]', '[1]', '[2]', '[2]', '[1]', '[1]', '[1]'];
    const { segment: left } = thin(
      [
        segment(
          ['p'],
          texts.map((json) => [{ json }]),
        ),
      ],
      1,
    );
    expect(rows(left).map(([, seq]) => seq)).toEqual([1, 3, 5, 7]);
  });

  test('keeps what is bad or uncertain, and gaps', () => {
    const bad = segment(['p'], [[1], [null], [3], [2], [2], [2]]);
    (bad.events[1] as StoredReadings)[4] = { flaws: { 0: ['bad', 'timeout'] } };
    const gap = {
      kind: 'gap',
      device: '',
      at: 9,
      lane: 'live',
      topic: 'g',
      cause: 'memory',
      count: 2,
      from: 1,
      to: 2,
    } as const;
    bad.events.push([-1, 9, gap]);
    const { segment: left } = thin([bad], 1);
    expect(left.events.map(([, seq]) => seq)).toEqual([1, 2, 3, 6, 9]);
  });

  test('compares 64-bit integers exactly', () => {
    const int = (digits: string): StoredValue => ({ int: digits });
    const values = [int('9007199254740993'), int('9007199254740992'), int('9007199254740994'), int('9007199254740993')];
    const { segment: left } = thin(
      [
        segment(
          ['p'],
          values.map((v) => [v]),
        ),
      ],
      1,
    );
    expect(rows(left).map(([, seq]) => seq)).toEqual([2, 3, 4]);
  });

  test('a clock that steps back begins a bucket, and takes nothing with it', () => {
    const jumping = segment(['p'], [[1], [2], [3], [4], [5], [6]]);
    for (const i of [3, 4, 5]) (jumping.events[i] as StoredReadings)[2] -= 86_400_000;
    const { segment: left } = thin([jumping], 1);
    expect(rows(left).map(([, , , [value]]) => value)).toEqual([1, 3, 4, 6]);
  });

  test('level after level keeps the span and the extremes of a long series', () => {
    const draw = random(5);
    const values = Array.from({ length: 5000 }, () => Math.round(draw() * 1e6));
    let left = segment(
      ['p'],
      values.map((v) => [v]),
    );
    let before = 5000;
    for (let level = 1; level <= 10; level++) {
      const thinned = thin([left], level);
      left = thinned.segment;
      const buckets = Math.ceil(5_000_000 / bucketOf(level));
      expect(thinned.readings).toBeLessThanOrEqual(3 * buckets);
      expect(thinned.readings).toBe(before - thinned.gone.readings);
      before = thinned.readings;
      const kept = rows(left).map(([, , , [value]]) => value as number);
      expect([Math.min(...kept), Math.max(...kept), kept.at(-1)]).toEqual([
        Math.min(...values),
        Math.max(...values),
        values.at(-1),
      ]);
    }
    expect(before).toBeLessThanOrEqual(3);
  });

  test('joins segments, alike shapes once', () => {
    const { segment: left } = thin(
      [segment(['p'], [[1], [2]]), segment(['p'], [[3]], { first: 2 }), segment(['q'], [[4]], { first: 3 })],
      1,
    );
    expect(left.shapes).toHaveLength(2);
    expect(rows(left).map(([shape, seq]) => [shape, seq])).toEqual([
      [0, 1],
      [0, 3],
      [1, 4],
    ]);
  });
});
