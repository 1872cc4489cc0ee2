import { expect, test } from 'vitest';
import { Breaker, probeSpacing, type Tally } from '../../src/polling/breaker.js';

test('all dead devices together take at most 4 % of the wire, as long as somebody is alive', () => {
  for (const dead of [1, 2, 5, 12, 100, 246])
    for (const cost of [50, 900, 5_000, 60_000])
      expect((cost * dead) / probeSpacing(cost, { devices: 247, dead })).toBeLessThanOrEqual(0.04);
});

test('probes of one device are never closer than two seconds', () => {
  expect(probeSpacing(1, { devices: 2, dead: 1 })).toBe(2000);
});

test('a wire where nobody is alive is probed often', () => {
  expect(probeSpacing(1000, { devices: 1, dead: 1 })).toBe(2000);
  expect(probeSpacing(1000, { devices: 3, dead: 3 })).toBe(6000);
});

test('two unanswered reads in a row open it, an answer in between does not, an answer closes it on trial', () => {
  const tally: Tally = { devices: 3, dead: 0 };
  const breaker = new Breaker(tally);
  expect(breaker.miss(0, 1000)).toBe(false);
  expect(breaker.hit()).toBe(false);
  expect(breaker.miss(0, 1000)).toBe(false);
  expect(breaker.miss(1000, 1000)).toBe(true);
  expect([breaker.open, breaker.probeAt, tally.dead]).toEqual([true, 26_000, 1]);
  expect(breaker.miss(26_000, 400)).toBe(true);
  expect([breaker.probeAt, tally.dead]).toEqual([36_000, 1]);
  expect(breaker.hit()).toBe(true);
  expect([breaker.open, tally.dead]).toEqual([false, 0]);
  // Back for one probe only: it has no second chance until it has really answered.
  expect(breaker.miss(40_000, 1000)).toBe(true);
  breaker.hit();
  breaker.hit();
  expect(breaker.miss(80_000, 1000)).toBe(false);
});
