import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openLog } from '../../src/ops/log.js';
import { repeated, spanText } from '../../src/ops/repeated.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function setUp() {
  const lines: Record<string, unknown>[] = [];
  const { log } = openLog({ level: 'debug', to: (line) => void lines.push(JSON.parse(line)) });
  return { lines, trouble: repeated(log) };
}

test('a failure is said once, then with its count at growing distance', () => {
  const { lines, trouble } = setUp();
  const said: number[] = [];
  for (let second = 0; second < 24 * 3_600; second++) {
    const before = lines.length;
    trouble.failed('no reply', { unit: 1 });
    if (lines.length > before) said.push(second);
    vi.advanceTimersByTime(1_000);
  }
  expect(said).toEqual([0, 60, 300, 1_260, 5_100, 20_460, 42_060, 63_660, 85_260]);
  expect(lines[0]).toMatchObject({ level: 'warn', msg: 'no reply', unit: 1 });
  expect(lines[0]).not.toHaveProperty('times');
  expect(lines[1]).toMatchObject({ msg: 'no reply', times: 61, for: '60 s' });
});

test('its end is told once, with how often it failed', () => {
  const { lines, trouble } = setUp();
  trouble.over('fine');
  expect(lines).toHaveLength(0);
  for (let i = 0; i < 5; i++) {
    trouble.failed('no reply');
    vi.advanceTimersByTime(1_000);
  }
  trouble.over('answers again');
  trouble.over('answers again');
  expect(lines).toHaveLength(2);
  expect(lines[1]).toMatchObject({ level: 'info', msg: 'answers again', failures: 5, after: '5 s' });
});

test('after its end the next failure is said at once', () => {
  const { lines, trouble } = setUp();
  trouble.failed('no reply');
  trouble.over('answers again');
  trouble.failed('no reply');
  expect(lines.map(({ msg }) => msg)).toEqual(['no reply', 'answers again', 'no reply']);
});

test('different failures are each said, and endless variety is bounded', () => {
  const { lines, trouble } = setUp();
  trouble.failed('no reply');
  trouble.failed('refused');
  trouble.failed('no reply');
  expect(lines.map(({ msg }) => msg)).toEqual(['no reply', 'refused']);
  for (let i = 0; i < 1_000; i++) trouble.failed(`odd ${i}`);
  expect(lines).toHaveLength(16);
});

test('spans of time are told in people’s units', () => {
  expect([0, 999, 1_000, 90_000, 600_000, 7_200_000, 3 * 86_400_000].map(spanText)).toEqual([
    '0 ms',
    '999 ms',
    '1 s',
    '90 s',
    '10 min',
    '2 h',
    '3 d',
  ]);
});
