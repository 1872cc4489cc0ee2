import { mkdirSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { watchFiles } from '../../src/ops/watch-files.js';
import { silent, temporaryFolder } from '../support/upstream.js';

let folder: string;
let changes: number;
beforeEach(() => {
  folder = temporaryFolder();
  changes = 0;
  write('gateway.yaml');
  write('rules/north.yaml');
  write('profiles/acme/meter.yaml');
});

function write(name: string, text = name): void {
  mkdirSync(join(folder, name, '..'), { recursive: true });
  writeFileSync(join(folder, name), text);
}

function watch(): void {
  const files = ['gateway.yaml', 'cloud.password'].map((name) => join(folder, name));
  const folders = ['rules', 'profiles'].map((name) => join(folder, name));
  const onChange = () => void changes++;
  const unwatch = watchFiles({ files, folders, log: silent, onChange });
  onTestFinished(() => void unwatch());
}

/** Does something that counts, and resolves when it was seen. What came before would have been seen too. */
async function seen(work: () => void): Promise<void> {
  const before = changes;
  work();
  await vi.waitFor(() => expect(changes).toBe(before + 1), 10_000);
}

describe('is seen', () => {
  test.each<[string, () => void]>([
    ['a file that is written', () => write('gateway.yaml', 'new')],
    [
      'a file put in the place of another',
      () => {
        write('elsewhere/new.yaml');
        renameSync(join(folder, 'elsewhere/new.yaml'), join(folder, 'gateway.yaml'));
      },
    ],
    ['a file that appears', () => write('cloud.password')],
    ['a rule that is new', () => write('rules/south.yaml')],
    ['a rule that is gone', () => unlinkSync(join(folder, 'rules/north.yaml'))],
    ['a profile', () => write('profiles/acme/meter.yaml', 'new')],
    ['a folder of profiles', () => mkdirSync(join(folder, 'profiles/initech'))],
    ['a folder that is moved away', () => renameSync(join(folder, 'profiles/acme'), join(folder, 'acme'))],
    ['a folder that is gone', () => rmSync(join(folder, 'rules'), { recursive: true })],
    ['the one link by which Kubernetes changes a volume', () => symlinkSync('elsewhere', join(folder, '..data'))],
  ])('%s', async (_, work) => {
    watch();
    await seen(work);
  });

  test('again and again, also in folders that came later or were replaced', async () => {
    watch();
    await seen(() => write('profiles/initech/pump.yaml'));
    await seen(() => write('profiles/initech/pump.yaml', 'new'));
    await seen(() => {
      write('newer/north.yaml');
      renameSync(join(folder, 'rules'), join(folder, 'older'));
      renameSync(join(folder, 'newer'), join(folder, 'rules'));
    });
    await seen(() => write('rules/north.yaml', 'new'));
    await seen(() => write('gateway.yaml', 'new'));
  });
});

test('many pieces are one change', async () => {
  watch();
  await seen(() => {
    for (let piece = 0; piece < 50; piece++) writeFileSync(join(folder, 'gateway.yaml'), `${piece}`, { flag: 'a' });
    write('rules/south.yaml');
  });
});

test('other files beside them are not', async () => {
  watch();
  write('gateway.yaml~');
  write('.gateway.yaml.swp');
  write('notes.txt');
  write('data/outbox/cloud.sqlite');
  write('rules/4913');
  write('rules/.north.yaml.swp');
  write('rules/.#north.yaml');
  write('profiles/acme/README.md');
  // Long enough that what these did would be seen by itself.
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  expect(changes).toBe(0);
  await seen(() => write('gateway.yaml', 'new'));
});
