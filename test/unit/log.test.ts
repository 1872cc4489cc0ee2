import { closeSync, existsSync, openSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { TidegateError } from '../../src/errors.js';
import { openLog } from '../../src/ops/log.js';

function capture(options: { secrets?: string[]; form?: 'json' | 'text'; color?: boolean } = {}) {
  const lines: string[] = [];
  const { log } = openLog({ level: 'debug', to: (line) => void lines.push(line), ...options });
  return { log, lines, last: () => JSON.parse(lines.at(-1) ?? '') as Record<string, unknown> };
}

describe('secrets', () => {
  const secret = 'hunter"2\\é\n';

  test('are masked in messages, fields, nested values and bindings', () => {
    const { log, lines } = capture({ secrets: [secret] });
    log.child({ user: `me:${secret}` }).info({ deep: { list: [`a ${secret} b`] } }, `said ${secret}`);
    expect(lines.join('')).not.toContain('hunter');
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      user: 'me:***',
      deep: { list: ['a *** b'] },
      msg: 'said ***',
    });
  });

  test("are masked in errors' messages, causes and stacks", () => {
    const { log, lines } = capture({ secrets: [secret] });
    log.error({ err: new Error(`no ${secret}`, { cause: new Error(secret) }) }, 'failed');
    log.error({ err: new TidegateError('UPSTREAM_DOWN', secret, { cause: new Error(secret) }) }, 'failed');
    log.error(new Error(secret));
    expect(lines).toHaveLength(3);
    expect(lines.join('')).not.toContain('hunter');
  });

  test('are masked as a URL writes them', () => {
    const { log, last } = capture({ secrets: ['p@ss/word'] });
    log.info({ url: `mqtt://me:${encodeURIComponent('p@ss/word')}@broker` }, 'connecting');
    expect(last().url).toBe('mqtt://me:***@broker');
  });

  test('leave the line readable even when they are short', () => {
    const { log, last } = capture({ secrets: ['i', '2', ''] });
    log.info({ count: 2 }, 'twice');
    expect(last()).toMatchObject({ level: 'info', msg: 'tw***ce', count: 2 });
  });

  test('of which one holds another are masked whole', () => {
    const { log, last } = capture({ secrets: ['abc', 'abcdef'] });
    log.info('x abcdef y');
    expect(last().msg).toBe('x *** y');
  });
});

describe('errors', () => {
  test('of ours are a code and a message, without a stack', () => {
    const { log, last } = capture();
    log.warn({ err: new TidegateError('LINK_DOWN', 'refused', { cause: new Error('ECONNREFUSED') }) }, 'down');
    expect(last().err).toEqual({ code: 'LINK_DOWN', message: 'refused', cause: 'ECONNREFUSED' });
  });

  test('that nobody expected keep their stack', () => {
    const { log, last } = capture();
    log.error({ err: new Error('odd') }, 'down');
    expect(last().err).toMatchObject({ message: 'odd', stack: expect.stringContaining('log.test') });
  });
});

describe('for people', () => {
  test('a line leads with its subject and ends with its fields', () => {
    const { log, lines } = capture({ form: 'text' });
    log.child({ device: 'meter-1' }).warn({ unit: 1, why: 'two words' }, 'no reply');
    expect(lines[0]).toMatch(/^\d\d:\d\d:\d\d warn {2}meter-1 no reply unit=1 why="two words"\n$/);
  });

  test('control characters from outside cannot move the cursor', () => {
    const { log, lines } = capture({ form: 'text' });
    log.info({ name: '\u001b[2J\u0007' }, 'a\rb');
    expect(lines[0]).toContain('a·b name=·[2J·');
  });

  test('colours are used only when asked for', () => {
    const plain = capture({ form: 'text' });
    const colored = capture({ form: 'text', color: true });
    for (const { log } of [plain, colored]) log.info({ a: 1 }, 'hello');
    expect(plain.lines[0]).not.toContain('\u001b');
    expect(colored.lines[0]).toContain('\u001b[36minfo');
  });

  test('an error of ours shows its words and its code', () => {
    const { log, lines } = capture({ form: 'text' });
    log.error({ err: new TidegateError('LINK_DOWN', 'refused') }, 'cannot open');
    expect(lines[0]).toMatch(/cannot open refused \[LINK_DOWN\]\n$/);
  });
});

describe.skipIf(!existsSync('/dev/full'))('where nothing can be written any more', () => {
  test('a line ends nothing, and the last flush does not wait for ever', async () => {
    const full = openSync('/dev/full', 'w');
    const { log, flush } = openLog({ level: 'info', to: full });
    log.info('lost');
    // The write is asynchronous; so is the word that it failed.
    await new Promise((resolve) => setTimeout(resolve, 100));
    flush();
    closeSync(full);
  });
});
