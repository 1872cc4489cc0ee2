#!/usr/bin/env node
// Makes a fresh clone ready: installs what package-lock.json names, compiles to dist/. Needs only Node and npm,
// and does nothing when nothing has changed since it last ran.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const SOURCES = ['src', 'drivers', 'test', 'bench'];
const [major] = process.versions.node.split('.').map(Number);
if (major < 20) fail(`Tidegate needs Node 20 or newer; this is ${process.version}.`);

step(
  'node_modules/.tidegate-setup',
  fingerprintOfPackages(),
  'Installing packages (a few minutes where SQLite has to be compiled)',
  () => run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']),
);
step('dist/.tidegate-setup', fingerprintOfSources(), 'Compiling', () => {
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc')]);
  // So that `npx tidegate` finds a program: it names its own Node flags in its first line.
  chmodSync(join(root, 'dist/src/main.js'), 0o755);
});

/** Runs `work` unless the stamp file already holds `fingerprint`; writes the stamp after success. */
function step(stamp, fingerprint, title, work) {
  const file = join(root, stamp);
  if (existsSync(file) && readFileSync(file, 'utf8') === fingerprint) return;
  process.stderr.write(`${title} …\n`);
  work();
  writeFileSync(file, fingerprint);
}

function fingerprintOfPackages() {
  const lock = readFileSync(join(root, 'package-lock.json'));
  return digest(`${process.version} ${process.arch} ${lock}`);
}

function fingerprintOfSources() {
  const files = [join(root, 'tsconfig.json'), join(root, 'package-lock.json')];
  for (const folder of SOURCES.filter((name) => existsSync(join(root, name))))
    for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true }))
      if (entry.isFile() && entry.name.endsWith('.ts')) files.push(join(entry.parentPath ?? entry.path, entry.name));
  return digest(
    files
      .sort()
      .map((file) => `${file} ${statSync(file).size} ${statSync(file).mtimeMs}`)
      .join('\n'),
  );
}

function digest(text) {
  return createHash('sha256').update(text).digest('hex');
}

function run(command, args) {
  // Both streams go to stderr: what `npm start` prints on stdout is the program's own.
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  });
  if (status !== 0) fail(`${command} ${args.join(' ')} failed${error ? `: ${error.message}` : ''}`);
}

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
