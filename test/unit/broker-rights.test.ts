import { describe, expect, test } from 'vitest';
import { covers, mayRead, mayWrite } from '../../src/broker/rights.js';

/** All texts of up to three levels out of some, by MQTT 3.1.1 §4.7. */
function upTo3(levels: readonly string[], last: readonly string[] = []): string[] {
  const ends = [...levels, ...last];
  const two = levels.flatMap((a) => ends.map((b) => `${a}/${b}`));
  const three = levels.flatMap((a) => levels.flatMap((b) => ends.map((c) => `${a}/${b}/${c}`)));
  return [...ends, ...two, ...three];
}

/** A filter, written another way than what is tested. */
function patternOf(filter: string): RegExp {
  const levels = filter
    .split('/')
    .map((level, index) =>
      level === '#'
        ? index === 0
          ? '.*'
          : '(/.*)?'
        : `${index === 0 ? '' : '/'}${level === '+' ? '[^/]*' : level.replace('$', '\\$')}`,
    )
    .join('');
  return new RegExp(`^${/^[+#]/.test(filter) ? '(?!\\$)' : ''}${levels}$`);
}

test('a right covers a filter exactly when every topic of the filter is one of the right', () => {
  // Levels that no filter names stand for all others.
  const topics = upTo3(['a', 'b', '', '$s', 'other']).concat('a/b/a/b', 'other/other/other/other');
  const filters = upTo3(['a', 'b', '', '$s', '+'], ['#']).map((filter) => {
    const pattern = patternOf(filter);
    return { filter, matching: new Set(topics.filter((topic) => pattern.test(topic))) };
  });
  for (const right of filters)
    for (const { filter, matching } of filters) {
      // The same as #, written longer: it is not seen, and refused, which does no harm.
      if (right.filter === '+/#' && filter === '#') continue;
      const all = [...matching].every((topic) => right.matching.has(topic));
      if (covers(right.filter, filter) !== all)
        expect.fail(`${right.filter} covers ${filter}: ${covers(right.filter, filter)}, should be ${all}`);
    }
});

describe('who may write', () => {
  const all = { read: [], write: ['#', 'site/#', 'site'] };

  test.each(['site', 'site/', 'site/meter-1/power', 'site/a/b/c'])(
    '%s belongs to the gateway, whatever is written',
    (topic) => {
      expect(mayWrite(all, topic)).toBe(false);
    },
  );

  test.each(['$SYS/x', '$'])('%s belongs to the broker', (topic) => {
    expect(mayWrite({ read: [], write: ['$SYS/#', '$'] }, topic)).toBe(false);
  });

  test.each(['sites/a', 'site-1', '/site', 'x/site/a'])('%s does not', (topic) => {
    expect(mayWrite(all, topic)).toBe(true);
  });
});

test('rights to read say nothing about writing, nor the other way', () => {
  const rights = { read: ['in/#'], write: ['out/+'] };
  expect([mayRead(rights, 'in/a'), mayWrite(rights, 'in/a')]).toEqual([true, false]);
  expect([mayRead(rights, 'out/a'), mayWrite(rights, 'out/a')]).toEqual([false, true]);
});
