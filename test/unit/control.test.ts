import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connectControl, serveControl } from '../../src/ops/control.js';

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
    const stream = await connectControl<{ count: number }>(data);
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
    expect(await connectControl(data)).toBeUndefined();
    const control = await serveControl(data, () => ({ alive: true }));
    const stream = await connectControl(data);
    expect(stream && (await take(stream, 1))).toEqual([{ alive: true }]);
    await control.close();
  });

  test('a listener that goes away disturbs nobody', async () => {
    const control = await serveControl(data, () => ({ alive: true }));
    const leaving = await connectControl(data);
    const staying = await connectControl(data);
    expect(leaving && (await take(leaving, 1))).toHaveLength(1);
    expect(staying && (await take(staying, 2))).toHaveLength(2);
    await control.close();
  });
});

test('where nobody listens, nobody is found', async () => {
  expect(await connectControl(folder)).toBeUndefined();
  expect(await connectControl(join(folder, 'absent'))).toBeUndefined();
});

test('the stream ends when the gateway ends, and when the listener wants', async () => {
  const control = await serveControl(folder, () => ({ n: 1 }));
  const stream = await connectControl(folder);
  const abort = new AbortController();
  const other = await connectControl(folder, abort.signal);
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

test('what a client says is ignored', async () => {
  const control = await serveControl(folder, () => ({ alive: true }));
  const rude = createConnection(join(folder, 'control.sock'));
  rude.write('x'.repeat(1_000_000));
  const stream = await connectControl(folder);
  expect(stream && (await take(stream, 2))).toHaveLength(2);
  rude.destroy();
  await control.close();
});
