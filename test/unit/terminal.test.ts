import { EventEmitter } from 'node:events';
import type { WriteStream } from 'node:tty';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { openScreen } from '../../src/cli/screen.js';
import { formatTable, joinSpans, useColor } from '../../src/cli/terminal.js';

describe('colours', () => {
  afterEach(() => vi.unstubAllEnvs());

  test.each([
    [true, {}, true],
    [false, {}, false],
    [undefined, {}, false],
    [true, { NO_COLOR: '1' }, false],
    [true, { NO_COLOR: '' }, true],
    [true, { TERM: 'dumb' }, false],
  ])('terminal %s with %j: %s', (isTTY, env, expected) => {
    vi.stubEnv('NO_COLOR', undefined);
    vi.stubEnv('TERM', 'xterm');
    for (const [key, value] of Object.entries(env)) vi.stubEnv(key, value);
    expect(useColor({ isTTY })).toBe(expected);
  });
});

test('a line that is too long is cut within its colours', () => {
  const spans = ['ab', ['cdef', 'red'], 'gh'] as const;
  expect(joinSpans(spans, 8, true)).toBe('ab\u001b[31mcdef\u001b[0mgh');
  expect(joinSpans(spans, 5, true)).toBe('ab\u001b[31mcd\u001b[0m…');
  expect(joinSpans(spans, 1, true)).toBe('…');
});

test('a table has columns as wide as their widest cell', () => {
  expect(
    formatTable(
      ['name', 'count'],
      [
        ['a', '1'],
        ['größer', '1000000'],
      ],
      ['count'],
    ),
  ).toEqual(['name      count', 'a             1', 'größer  1000000']);
});

describe('the screen', () => {
  function terminal() {
    const written: string[] = [];
    const out = Object.assign(new EventEmitter(), { write: (text: string) => void written.push(text) });
    const screen = openScreen(out as unknown as WriteStream);
    return { screen, out, last: () => written.at(-1) ?? '' };
  }

  test('repaints as many lines as it painted before', () => {
    const { screen, last } = terminal();
    screen.paint(['one', 'two']);
    expect(last()).not.toContain('A\r');
    expect(last()).toContain('one\ntwo\n');
    screen.paint(['three']);
    expect(last()).toContain('\u001b[2A\r\u001b[Jthree\n');
    screen.paint(['four']);
    expect(last()).toContain('\u001b[1A\r\u001b[Jfour\n');
    screen.close();
  });

  test('prints above what it painted', () => {
    const { screen, last } = terminal();
    screen.paint(['one', 'two']);
    screen.print('news\n');
    expect(last()).toContain('\u001b[2A\r\u001b[Jnews\none\ntwo\n');
    screen.close();
  });

  test('starts on a clean page when the width changes, and gives the cursor back', () => {
    const { screen, out, last } = terminal();
    screen.paint(['one']);
    out.emit('resize');
    expect(last()).toContain('\u001b[2J\u001b[Hone\n');
    screen.close();
    expect(last()).toBe('\u001b[?25h');
    expect(out.listenerCount('resize')).toBe(0);
  });
});
