import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { measureRate, watchMotion } from '../../src/ops/motion.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('what grows is well; what stands still too long is stuck, until it grows again', () => {
  let count = 0;
  const motion = watchMotion('connection plc', 60_000, () => count);
  for (let i = 0; i < 10; i++) {
    count++;
    vi.advanceTimersByTime(50_000);
    expect(motion.stuck()).toBeUndefined();
  }
  vi.advanceTimersByTime(60_001);
  expect(motion.stuck()).toBe('connection plc has done nothing for 60 s');
  count++;
  expect(motion.stuck()).toBeUndefined();
});

test('a rate is the mean of the last ten seconds', () => {
  let count = 0;
  const rate = measureRate(() => count);
  expect(rate.perSecond()).toBe(0);
  const run = (seconds: number, each: number) => {
    for (let i = 0; i < seconds; i++) {
      count += each;
      vi.advanceTimersByTime(1_000);
    }
  };
  run(5, 100);
  expect(rate.perSecond()).toBeCloseTo(100, 0);
  run(10, 20);
  expect(rate.perSecond()).toBeCloseTo(20, 0);
  rate.stop();
});
