import { EventEmitter, once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ProblemList, TidegateError } from '../../src/errors.js';
import { askControl, serveControl, watchControl } from '../../src/ops/control.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidegate-test-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function take<T>(stream: AsyncIterable<T>, count: number): Promise<T[]> {
  const taken: T[] = [];
  for await (const item of stream) if (taken.push(item) === count) break;
  return taken;
}

describe.each([
  ['a short path', ''],
  ['a path longer than a socket address', `${'a-long-folder-name/'.repeat(8)}data`],
])('with %s', (_name, below) => {
  let data: string;
  beforeEach(() => {
    data = join(folder, below);
    mkdirSync(data, { recursive: true });
  });

  test('whoever connects is told a snapshot at once, then one per second', async () => {
    let count = 0;
    const control = await serveControl(data, () => ({ count: ++count, big: 2n ** 60n, small: 7n }));
    const stream = await watchControl<{ count: number }>(data);
    expect(stream && (await take(stream, 2))).toEqual([
      { count: 1, big: '1152921504606846976', small: 7 },
      { count: 2, big: '1152921504606846976', small: 7 },
    ]);
    await control.close();
  });

  test('the socket is its owner’s alone, and gone after close', async () => {
    const control = await serveControl(data, () => ({}));
    expect(statSync(join(data, 'control.sock')).mode & 0o777).toBe(0o600);
    await control.close();
    expect(readdirSync(data)).toEqual([]);
  });

  test('what a dead gateway left behind is replaced', async () => {
    writeFileSync(join(data, 'control.sock'), '');
    expect(await watchControl(data)).toBeUndefined();
    const control = await serveControl(data, () => ({ alive: true }));
    const stream = await watchControl(data);
    expect(stream && (await take(stream, 1))).toEqual([{ alive: true }]);
    await control.close();
  });

  test('a listener that goes away disturbs nobody', async () => {
    const control = await serveControl(data, () => ({ alive: true }));
    const leaving = await watchControl(data);
    const staying = await watchControl(data);
    expect(leaving && (await take(leaving, 1))).toHaveLength(1);
    expect(staying && (await take(staying, 2))).toHaveLength(2);
    await control.close();
  });
});

test('where nobody listens, nobody is found', async () => {
  expect(await watchControl(folder)).toBeUndefined();
  expect(await watchControl(join(folder, 'absent'))).toBeUndefined();
});

test('the stream ends when the gateway ends, and when the listener wants', async () => {
  const control = await serveControl(folder, () => ({ n: 1 }));
  const stream = await watchControl(folder);
  const abort = new AbortController();
  const other = await watchControl(folder, abort.signal);
  const all = async (items: AsyncIterable<unknown> | undefined) => {
    const seen: unknown[] = [];
    for await (const item of items ?? []) seen.push(item);
    return seen;
  };
  const [ended, aborted] = [all(stream), all(other)];
  abort.abort();
  expect((await aborted).length).toBeLessThanOrEqual(1);
  await control.close();
  expect((await ended).length).toBeLessThanOrEqual(1);
});

describe('a request', () => {
  test('is answered by whoever knows it, while others watch', async () => {
    const control = await serveControl(folder, () => ({ n: 1 }), {
      double: async ({ of }) => ({ result: 2 * Number(of), big: 2n ** 60n }),
    });
    const watcher = await watchControl(folder);
    expect(await askControl(folder, { ask: 'double', of: 21 })).toEqual({ result: 42, big: '1152921504606846976' });
    expect(watcher && (await take(watcher, 1))).toEqual([{ n: 1 }]);
    await control.close();
  });

  test('what it throws is thrown where it was asked', async () => {
    const place = { file: 'gateway.yaml', line: 3, column: 5, text: '  x: 1', length: 1 };
    const wrong = new TidegateError('CONFIG_VALUE', 'wrong', { hint: 'mend it', place });
    const control = await serveControl(folder, () => ({}), {
      one: () => Promise.reject(wrong),
      two: () => {
        throw new ProblemList([wrong, new TidegateError('CONFIG_SYNTAX', 'worse')]);
      },
      odd: () => {
        throw new RangeError('not foreseen');
      },
    });
    const caught = (name: string) => askControl(folder, { ask: name }).catch((error: unknown) => error);
    const one = await caught('one');
    expect(one).toBeInstanceOf(TidegateError);
    expect(one).toMatchObject({ code: 'CONFIG_VALUE', message: 'wrong', hint: 'mend it', place });
    expect(await caught('two')).toMatchObject({ errors: [{ message: 'wrong', place }, { code: 'CONFIG_SYNTAX' }] });
    expect(await caught('odd')).toMatchObject({ message: 'not foreseen' });
    expect(await caught('three')).toMatchObject({ code: 'USAGE', message: expect.stringContaining('one, two, odd') });
    await control.close();
  });

  test('where nobody listens is answered by nobody', async () => {
    expect(await askControl(folder, { ask: 'anything' })).toBeUndefined();
  });

  test('that is at work when the gateway stops is still answered', async () => {
    let finish = (_: object): void => {};
    const control = await serveControl(folder, () => ({}), {
      long: () => {
        setImmediate(begun);
        return new Promise((resolve) => {
          finish = resolve;
        });
      },
    });
    let begun = (): void => {};
    const asked = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const answer = askControl(folder, { ask: 'long' });
    await asked;
    const closed = control.close();
    finish({ done: true });
    expect(await answer).toEqual({ done: true });
    await closed;
  });

  test('may be told how far it is, before it is answered', async () => {
    const control = await serveControl(folder, () => ({}), {
      scan: async (_request, { tell }) => {
        for (const unit of [1, 2n ** 60n]) tell({ unit });
        return { found: 2 };
      },
    });
    const heard: object[] = [];
    expect(await askControl(folder, { ask: 'scan' }, { hear: (news) => void heard.push(news) })).toEqual({ found: 2 });
    expect(heard).toEqual([{ unit: 1 }, { unit: '1152921504606846976' }]);
    await control.close();
  });

  test.each([
    ['by whoever asked', 'leave'],
    ['by the gateway that stops', 'stop'],
  ])('is given up %s: the work is told', async (_name, how) => {
    const work = new EventEmitter();
    const [begun, ended] = [once(work, 'begun'), once(work, 'ended')];
    const control = await serveControl(folder, () => ({}), {
      scan: (_request, { signal }) => {
        work.emit('begun');
        return new Promise((resolve) =>
          signal.addEventListener('abort', () => {
            work.emit('ended');
            resolve({ given: 'up' });
          }),
        );
      },
    });
    const leaving = new AbortController();
    const answer = askControl(folder, { ask: 'scan' }, { signal: leaving.signal }).catch((error: unknown) => error);
    await begun;
    if (how === 'leave') leaving.abort();
    else await control.close();
    await ended;
    expect(await answer).toMatchObject(how === 'leave' ? { code: 'GATEWAY_GONE' } : { given: 'up' });
    await control.close();
  });

  test('that the gateway does not live to answer is told so', async () => {
    const server = createServer((socket) => socket.once('data', () => socket.destroy()));
    await new Promise<void>((resolve) => server.listen(join(folder, 'control.sock'), resolve));
    await expect(askControl(folder, { ask: 'anything' })).rejects.toMatchObject({ code: 'GATEWAY_GONE' });
    server.close();
  });
});

test.each([
  ['nothing', ''],
  ['no JSON', 'hello\n'],
  ['no request', '{"say":1}\n'],
  ['a name of every object', '{"ask":"constructor"}\n'],
  ['more than fits', 'x'.repeat(1_000_000)],
])('whoever asks %s is told so, and disturbs nobody', async (_name, words) => {
  const control = await serveControl(folder, () => ({ alive: true }));
  const rude = createConnection({ path: join(folder, 'control.sock'), allowHalfOpen: true });
  rude.end(words);
  let answer = '';
  for await (const chunk of rude) answer += chunk;
  expect(JSON.parse(answer)).toMatchObject({ problems: [{ code: 'USAGE' }] });
  const stream = await watchControl(folder);
  expect(stream && (await take(stream, 1))).toHaveLength(1);
  await control.close();
});
