import { expect, test } from 'vitest';
import { countLine, startTally } from '../../src/demo/tally.js';

function tallyOf(...messages: [sequence: number, late?: 'late'][]) {
  const tally = startTally();
  for (const [sequence, late] of messages) tally.take({ id: `demo:1:${sequence}`, ...(late && { late: true }) });
  return tally;
}

test('all there, once, in order', () => {
  expect(tallyOf([1], [2], [3]).count(3)).toEqual({ sent: 3, received: 3, lost: 0, duplicates: 0, outOfOrder: 0 });
});

test('a hole is a loss, also at the end and at the beginning', () => {
  expect(tallyOf([2], [4]).count(5)).toMatchObject({ sent: 5, received: 2, lost: 3 });
});

test('a repetition is a duplicate, and not out of order', () => {
  expect(tallyOf([1], [2], [1], [2], [3]).count(3)).toMatchObject({ lost: 0, duplicates: 2, outOfOrder: 0 });
});

test('live events may overtake late ones, but each keep their order', () => {
  expect(tallyOf([1], [5], [2, 'late'], [6], [3, 'late'], [4, 'late']).count(6)).toMatchObject({ outOfOrder: 0 });
  expect(tallyOf([1], [3], [2]).count(3)).toMatchObject({ lost: 0, outOfOrder: 1 });
  expect(tallyOf([2, 'late'], [1, 'late']).count(2)).toMatchObject({ lost: 0, outOfOrder: 1 });
});

test('what came after the count was asked for is not counted', () => {
  expect(tallyOf([1], [2], [3], [3]).count(2)).toEqual({ sent: 2, received: 2, lost: 0, duplicates: 0, outOfOrder: 0 });
});

test('the line that scripts look for', () => {
  expect(countLine({ sent: 12, received: 11, lost: 1, duplicates: 2, outOfOrder: 3 })).toBe(
    'sent 12 · received 11 · lost 1 · duplicates 2 · out of order 3',
  );
});
