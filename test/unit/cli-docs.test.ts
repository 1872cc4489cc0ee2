import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { describeProgram } from '../../src/cli/program.js';

const docs = readFileSync(new URL('../../../docs/cli.md', import.meta.url), 'utf8');

/** A command with all below it, as `tidegate outbox status`. */
function walk(command: Command, path: string[] = []): [name: string, command: Command][] {
  const names = [...path, command.name()];
  const below = command.commands.filter((child) => child.name() !== 'help');
  return [[names.join(' '), command], ...below.flatMap((child) => walk(child, names))];
}

/** What `--help` prints. */
function helpOf(command: Command): string {
  const parts: string[] = [];
  command.configureOutput({ writeOut: (part) => void parts.push(part), getOutHelpWidth: () => 100 });
  command.outputHelp();
  return parts.join('');
}

const commands = walk(describeProgram());

describe('docs/cli.md', () => {
  test.each(commands)('shows the help of %s as it is printed', (name, command) => {
    expect(docs).toContain(`\`\`\`text\n$ ${name} --help\n${helpOf(command).trimEnd()}\n\`\`\``);
  });

  test('shows no help of a command that is not there', () => {
    const shown = [...docs.matchAll(/^\$ (tidegate.*) --help$/gm)].map(([, name]) => name);
    expect(shown.sort()).toEqual(commands.map(([name]) => name).sort());
  });
});
