import { describe, expect, test } from 'vitest';
import { covers, mayRead, mayWrite } from '../../src/broker/rights.js';

/** All texts of up to three levels out of some, by MQTT 3.1.1 §4.7. */
function upTo3(levels: readonly string[], last: readonly string[] = []): string[] {
  const ends = [...levels, ...last];
  const two = levels.flatMap((a) => ends.map((b) => `${a}/${b}`));
  const three = levels.flatMap((a) => levels.flatMap((b) => ends.map((c) => `${a}/${b}/${c}`)));
  return [...ends, ...two, ...three];
}

/** Whether a topic matches a filter, written another way than what is tested. */
function matches(filter: string, topic: string): boolean {
  if (topic.startsWith('$') && /^[+#]/.test(filter)) return false;
  const pattern = filter
    .split('/')
    .map((level, index) =>
      level === '#'
        ? index === 0
          ? '.*'
          : '(/.*)?'
        : `${index === 0 ? '' : '/'}${level === '+' ? '[^/]*' : level.replace('$', '\\$')}`,
    )
    .join('');
  return new RegExp(`^${pattern}$`).test(topic);
}

test('a right covers a filter exactly when every topic of the filter is one of the right', () => {
  // Levels that no filter names stand for all others.
  const topics = upTo3(['a', 'b', '', '$s', 'other']).concat('a/b/a/b', 'other/other/other/other');
  const filters = upTo3(['a', 'b', '', '$s', '+'], ['#']);
  for (const right of filters)
    for (const filter of filters) {
      // The same as #, written longer: it is not seen, and refused, which does no harm.
      if (right === '+/#' && filter === '#') continue;
      const all = topics.filter((topic) => matches(filter, topic)).every((topic) => matches(right, topic));
      if (covers(right, filter) !== all)
        expect.fail(`${right} covers ${filter}: ${covers(right, filter)}, should be ${all}`);
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

  test.each(['sites/a', 'site-1', '/site', 'x/site/a'])('%s does not', (topic) => {
    expect(mayWrite(all, topic)).toBe(true);
  });
});

test('rights to read say nothing about writing, nor the other way', () => {
  const rights = { read: ['in/#'], write: ['out/+'] };
  expect([mayRead(rights, 'in/a'), mayWrite(rights, 'in/a')]).toEqual([true, false]);
  expect([mayRead(rights, 'out/a'), mayWrite(rights, 'out/a')]).toEqual([false, true]);
});
