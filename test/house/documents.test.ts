/** Documents say what is true: links lead somewhere, commands exist, every error is explained, generated files are fresh. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, posix } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CODES } from '../../src/errors.js';
import { filesIn, lengthOf, read, root } from './tree.js';

const files = filesIn();
const documents = files.filter((path) => path.endsWith('.md') && !path.startsWith('test/golden/'));
const packageJson = JSON.parse(read('package.json'));

function node(...args: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
  return { status, output: stdout + stderr };
}

describe('errors', () => {
  const codes = Object.keys(CODES);

  test('docs/errors.md explains every code, and no other', () => {
    const told = [...read('docs/errors.md').matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, code]) => code);
    expect(told.sort()).toEqual([...codes].sort());
  });

  test.each(codes)('%s can happen', (code) => {
    const throwers = files.filter((path) => /^(src|drivers)\/.*\.ts$/.test(path) && path !== 'src/errors.ts');
    expect(throwers.some((path) => read(path).includes(`'${code}'`))).toBe(true);
  });
});

test('generated files are fresh', () => {
  expect(node('scripts/generate.mjs', '--check')).toMatchObject({ status: 0 });
});

describe('links', () => {
  const links = documents.flatMap((path) =>
    [...withoutCode(read(path)).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, link = '']) => link)
      .filter((link) => !/^[a-z]+:/.test(link))
      .map((link) => [path, link] as const),
  );

  test('are found', () => expect(links.length).toBeGreaterThan(10));

  test.each(links)('%s → %s', (path, link) => {
    const [file = '', anchor] = link.split('#');
    const target = file === '' ? path : posix.join(posix.dirname(path), file);
    expect(existsSync(join(root, target)), `${target} does not exist`).toBe(true);
    if (anchor !== undefined) expect(anchors(target)).toContain(anchor);
  });
});

describe('commands', () => {
  const code = documents.flatMap((path) => codeIn(read(path)).map((text) => ({ path, text })));
  const named = (pattern: RegExp): string[] => [
    ...new Set(code.flatMap(({ text }) => [...text.matchAll(pattern)].map(([, name = '']) => name))),
  ];

  test('npm scripts that documents name exist', () => {
    const scripts = named(/\bnpm (?:run )?((?:start|test|setup|bench|check|format|generate)(?::[a-z]+)?)\b/g);
    expect(scripts).toEqual(expect.arrayContaining(['start', 'test']));
    expect(scripts.filter((name) => !(name in packageJson.scripts))).toEqual([]);
  });

  test('commands of tidegate that documents name exist', () => {
    const commands = named(/(?:^|npx |\n|\$ )tidegate ([a-z]+)/g);
    const help = node('dist/src/main.js', '--help').output;
    const known = [...help.matchAll(/^ {2}([a-z]+)/gm)].map(([, name]) => name);
    expect(commands).toContain('run');
    expect(commands.filter((name) => !known.includes(name))).toEqual([]);
  });
});

test('decisions are short: at most 40 lines', () => {
  const decisions = files.filter((path) => /^docs\/decisions\/\d{4}-.*\.md$/.test(path));
  expect(decisions.length).toBeGreaterThan(0);
  expect(decisions.filter((path) => lengthOf(path) > 40)).toEqual([]);
});

describe('package', () => {
  test('versions are exact, and the lock file has the same', () => {
    const wanted = { ...packageJson.dependencies, ...packageJson.devDependencies };
    expect(Object.values<string>(wanted).filter((version) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
    const locked = JSON.parse(read('package-lock.json')).packages;
    const versions = Object.keys(wanted).map((name) => [name, locked[`node_modules/${name}`]?.version]);
    expect(Object.fromEntries(versions)).toEqual(wanted);
    expect(locked[''].version).toBe(packageJson.version);
  });

  test('the licence is Apache-2.0, and is enclosed', () => {
    expect(packageJson.license).toBe('Apache-2.0');
    expect(read('LICENSE')).toMatch(/^\s*Apache License\s+Version 2\.0, January 2004/);
  });

  test('what it ships exists', () => {
    const shipped = [...packageJson.files, ...Object.values<string>(packageJson.bin)];
    expect(shipped.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });

  test('the change log has an entry for its version', () => {
    expect(read('CHANGELOG.md')).toContain(`## [${packageJson.version}]`);
  });
});

/** Fenced blocks and code spans. */
function codeIn(text: string): string[] {
  return [...text.matchAll(/^```[^\n]*\n([\s\S]*?)^```|`([^`\n]+)`/gm)].map(([, block, span]) => block ?? span ?? '');
}

function withoutCode(text: string): string {
  return text.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]+`/g, '');
}

/** Anchors of a page's headings, formed as code hosts do. */
function anchors(path: string): string[] {
  return [...read(path).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
