import { describe, expect, test } from 'vitest';
import { Pace } from '../../src/delivery/pace.js';

/** How many messages may be in flight now. */
function width(pace: Pace): number {
  let inFlight = 0;
  while (pace.allows(inFlight, 0)) inFlight++;
  return inFlight;
}

describe('the pace of the backlog', () => {
  test('takes its share of the window and no more, and at least one', () => {
    expect(width(new Pace({ window: 32, maxShare: 0.5, maxRate: undefined }))).toBe(16);
    expect(width(new Pace({ window: 1, maxShare: 0.5, maxRate: undefined }))).toBe(1);
  });

  test('keeps to a rate, with half a second in hand', () => {
    const pace = new Pace({ window: 32, maxShare: 1, maxRate: 1000 });
    let sent = 0;
    for (let now = 0; now <= 10_000; now += 10)
      while (pace.allows(0, now)) {
        pace.sent(100);
        sent += 100;
      }
    expect(sent).toBeGreaterThanOrEqual(10_000);
    expect(sent).toBeLessThanOrEqual(10_000 + 500 + 100);
  });

  test('narrows when acknowledgements become slow, and widens again when they are quick', () => {
    const pace = new Pace({ window: 32, maxShare: 0.5, maxRate: undefined });
    for (let i = 0; i < 50; i++) pace.acknowledged(5);
    expect(width(pace)).toBe(16);
    for (let i = 0; i < 50; i++) pace.acknowledged(400);
    expect(width(pace)).toBe(1);
    for (let i = 0; i < 200; i++) pace.acknowledged(5);
    expect(width(pace)).toBe(16);
  });

  test('gets used to a way that has become longer', () => {
    const pace = new Pace({ window: 32, maxShare: 0.5, maxRate: undefined });
    pace.acknowledged(10);
    for (let i = 0; i < 5_000; i++) pace.acknowledged(300);
    expect(width(pace)).toBe(16);
  });

  test('halves with every refusal', () => {
    const pace = new Pace({ window: 32, maxShare: 1, maxRate: undefined });
    const widths = [1, 2, 3, 4, 5, 6].map(() => {
      pace.refused();
      return width(pace);
    });
    expect(widths).toEqual([16, 8, 4, 2, 1, 1]);
  });
});
