/** Faults as they are asked for on the command line, and how often they come. */
import { describe, expect, test } from 'vitest';
import { drawFaults, faultsText, parseFaults } from '../../src/cli/faults.js';

describe('what is asked for', () => {
  test('shares and delays', () => {
    expect(parseFaults(['timeout:5%', 'delay:200ms', 'drop:0.1%'])).toEqual([
      { kind: 'timeout', share: 0.05, delay: 0 },
      { kind: 'delay', share: 1, delay: 200 },
      { kind: 'drop', share: 0.001, delay: 0 },
    ]);
    expect(parseFaults(['delay:2s:12.5%'])).toEqual([{ kind: 'delay', share: 0.125, delay: 2_000 }]);
    expect(faultsText(parseFaults(['timeout:5%', 'delay:200ms', 'drop:0.1%']))).toBe(
      'timeout 5 %, delay 200 ms, drop 0.1 %',
    );
    expect(faultsText(parseFaults(['delay:1s:7%']))).toBe('delay 1000 ms in 7 %');
  });

  test.each([
    ['timeout', /"timeout" does not say how often, from 0% to 100%/],
    ['timeout:5', /does not say how often/],
    ['timeout:101%', /does not say how often/],
    ['timeout:-1%', /does not say how often/],
    ['timeout:5%:7%', /does not say how often/],
    ['delay:5%', /"delay:5%" does not say how long, at most 1h/],
    ['delay', /does not say how long/],
    ['delay:2h', /at most 1h/],
    ['delay:1s:', /does not say how often/],
    ['slowness:5%', /there is no fault "slowness"; there are timeout, exception, garbage, drop, delay/],
    ['', /there is no fault ""/],
  ])('%s is none', (text, message) => {
    const error = expect.objectContaining({ code: 'USAGE', message: expect.stringMatching(message) });
    expect(() => parseFaults([text])).toThrow(error);
  });

  test('each kind once, and no more than all answers', () => {
    expect(() => parseFaults(['timeout:5%', 'timeout:6%'])).toThrow(/timeout is there twice/);
    expect(() => parseFaults(['timeout:50%', 'garbage:51%'])).toThrow(/more than 100 % together/);
    expect(() => parseFaults(['timeout:50%', 'garbage:50%', 'delay:1s'])).not.toThrow();
  });
});

describe('what comes', () => {
  const count = (texts: string[], seed: number): Record<string, number> => {
    const draw = drawFaults(parseFaults(texts), seed);
    const seen: Record<string, number> = {};
    for (let answer = 0; answer < 10_000; answer += 1) {
      const { kind = 'none', delay } = draw();
      seen[kind] = (seen[kind] ?? 0) + 1;
      if (delay) seen.delay = (seen.delay ?? 0) + 1;
    }
    return seen;
  };

  test('is as often as asked for', () => {
    const seen = count(['timeout:5%', 'exception:20%', 'delay:1s:50%'], 1);
    expect(Math.abs((seen.timeout ?? 0) - 500)).toBeLessThan(100);
    expect(Math.abs((seen.exception ?? 0) - 2_000)).toBeLessThan(200);
    expect(Math.abs((seen.delay ?? 0) - 5_000)).toBeLessThan(300);
    expect(seen.none).toBe(10_000 - (seen.timeout ?? 0) - (seen.exception ?? 0));
    expect(count(['garbage:100%'], 2)).toEqual({ garbage: 10_000 });
    expect(count(['garbage:0%'], 2)).toEqual({ none: 10_000 });
  });

  test('is the same for the same seed', () => {
    const first = (seed: number) => Array.from({ length: 50 }, drawFaults(parseFaults(['drop:50%']), seed));
    expect(first(3)).toEqual(first(3));
    expect(first(3)).not.toEqual(first(4));
  });
});
