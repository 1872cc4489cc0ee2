import { describe, expect, test } from 'vitest';
import { duration, formatDuration, formatSize, parseDuration, pause, size, wait } from '../../src/units.js';

describe('durations', () => {
  test.each([
    ['1ms', 1],
    ['500ms', 500],
    ['10s', 10_000],
    ['1.5s', 1_500],
    ['15m', 900_000],
    ['2h', 7_200_000],
    ['30d', 2_592_000_000],
    ['365d', 31_536_000_000],
  ])('%s is %d ms', (text, milliseconds) => {
    expect(duration.parse(text)).toBe(milliseconds);
    expect(parseDuration(text)).toBe(milliseconds);
  });

  test.each(['', '10', '10 s', '10S', 's', '-1s', '1e3s', '1h30m', '.5s', '٣s', '0s', '0.4ms', '366d', 10, null])(
    '%j is none',
    (text) => {
      expect(duration.safeParse(text).success).toBe(false);
    },
  );

  test('a pause may be none, a wait lasts a day at most', () => {
    expect(pause.parse('0s')).toBe(0);
    expect(wait.safeParse('0s').success).toBe(false);
    expect(wait.parse('24h')).toBe(86_400_000);
    expect(wait.safeParse('25h').success).toBe(false);
  });
});

describe('sizes', () => {
  test.each([
    ['1B', 1],
    ['64kB', 64_000],
    ['256MB', 256_000_000],
    ['1.5GB', 1_500_000_000],
  ])('%s is %d bytes', (text, bytes) => {
    expect(size.parse(text)).toBe(bytes);
  });

  test.each(['256', '256mb', '256MiB', '256 MB', '0B', '9999999999GB', 256])('%j is none', (text) => {
    expect(size.safeParse(text).success).toBe(false);
  });
});

test.each([1, 20, 1_000, 1_500, 30_000, 60_000, 90_000, 7_200_000, 86_400_000, 129_600_000])(
  '%d ms are read back as written',
  (milliseconds) => {
    expect(parseDuration(formatDuration(milliseconds))).toBe(milliseconds);
  },
);

test('what is written is the largest unit without a fraction', () => {
  expect([0, 1_500, 90_000, 60_000].map(formatDuration)).toEqual(['0ms', '1500ms', '90s', '1m']);
  expect([1, 64_000, 1_500_000_000].map(formatSize)).toEqual(['1B', '64kB', '1500MB']);
});
