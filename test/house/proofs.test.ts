/** docs/delivery.md promises, and names for each claim the tests that prove it: every claim is there, every test exists. */
import { existsSync } from 'node:fs';
import { join, posix } from 'node:path';
import { describe, expect, test } from 'vitest';
import { read, root } from './tree.js';

const text = read('docs/delivery.md');
const proofs = section('What proves it');

/** Claims of one of the tables of proofs, each with its tests. */
const claims = (head: string): { claim: string; tests: { title: string; file: string }[] }[] =>
  rowsOf(proofs.slice(proofs.indexOf(`| ${head} | test |`))).map(([claim = '', cell = '']) => ({
    claim,
    tests: [...cell.matchAll(/\*(.+?)\* \(\[[^\]]+\]\(([^)]+)\)\)/g)].map(([, title = '', link = '']) => ({
      title,
      file: posix.join('docs', link),
    })),
  }));

describe('docs/delivery.md proves', () => {
  test('every word of the promise', () => {
    const quoted = text.slice(text.indexOf('> **'), text.indexOf('**\n\n'));
    const said = quoted.replace(/^> /gm, '').replaceAll('**', '').replaceAll(/\s+/g, ' ').trim();
    expect(said).toMatch(/^An event accepted .* cause\.$/);
    expect(
      claims('the promise')
        .map(({ claim }) => claim)
        .join(' '),
    ).toBe(said);
  });

  test.each([
    ['how it is kept', 'How it keeps that promise'],
    ['what a receiver sees', 'What a receiver sees'],
  ])('%s: every line of the table', (head, heading) => {
    const told = rowsOf(section(heading)).map(([name]) => name);
    expect(told.length).toBeGreaterThan(5);
    expect(claims(head).map(({ claim }) => claim)).toEqual(expect.arrayContaining(told));
  });

  const all = ['the promise', 'how it is kept', 'what a receiver sees'].flatMap(claims);

  test.each(all)('“$claim” by tests that exist', ({ tests }) => {
    expect(tests).not.toEqual([]);
    for (const { title, file } of tests) {
      expect(existsSync(join(root, file)), `${file} does not exist`).toBe(true);
      const titles = [...read(file).matchAll(/(['"`])((?:(?!\1)[^\n\\]|\\.)*?)(?:\1|\$\{)/g)].map(
        ([, , words]) => words,
      );
      expect(titles, `${file} has no such test`).toContain(title);
    }
  });
});

/** What stands under a heading. */
function section(heading: string): string {
  const [, after = ''] = text.split(`\n## ${heading}\n`);
  return after.split('\n## ')[0] ?? '';
}

/** The cells of the first table in a text, without its head. */
function rowsOf(part: string): string[][] {
  const lines = part.slice(part.indexOf('|')).split('\n');
  const end = lines.findIndex((line) => !line.startsWith('|'));
  return lines.slice(2, end < 0 ? undefined : end).map((line) => line.slice(2, -2).split(' | '));
}
