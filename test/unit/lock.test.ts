import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockData } from '../../src/ops/lock.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidegate-test-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('only one has the data folder, until it lets go', async () => {
  const data = join(folder, 'new', 'data');
  const first = await lockData(data);
  await expect(lockData(data)).rejects.toMatchObject({ code: 'DATA_IN_USE', message: expect.stringContaining(data) });
  await expect(lockData(data)).rejects.toMatchObject({ code: 'DATA_IN_USE' });
  first.release();
  (await lockData(data)).release();
});

test('another process that has it is noticed, and a killed one leaves nothing behind', async () => {
  const module = JSON.stringify(new URL('../../src/ops/lock.js', import.meta.url).href);
  const script = `await (await import(${module})).lockData(${JSON.stringify(folder)}); console.log('held'); setInterval(() => {}, 1000);`;
  const holder = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(holder.stdout, 'data');
  await expect(lockData(folder)).rejects.toMatchObject({ code: 'DATA_IN_USE' });
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  (await lockData(folder)).release();
});

test('nothing is written', async () => {
  const lock = await lockData(folder);
  expect(readdirSync(folder)).toEqual(['lock']);
  expect(statSync(join(folder, 'lock')).size).toBe(0);
  lock.release();
});

test('a folder that cannot be made says so', async () => {
  writeFileSync(join(folder, 'file'), '');
  await expect(lockData(join(folder, 'file', 'data'))).rejects.toMatchObject({ code: 'OUTBOX_OPEN' });
});

test('a file in its place says so', async () => {
  const lock = await lockData(folder);
  await expect(lockData(join(folder, 'lock'))).rejects.toMatchObject({ code: 'OUTBOX_OPEN' });
  lock.release();
});
