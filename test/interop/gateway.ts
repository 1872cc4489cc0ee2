/** The gateway as its users run it: a folder with gateway.yaml, profiles and rules, and `tidegate run` on it. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Program, start, temporaryFolder } from './programs.js';

const MAIN = join(dirname(fileURLToPath(import.meta.url)), '../../src/main.js');

/** Writes files into an empty folder; gives the folder. */
export function writeSite(files: Record<string, string>): string {
  const folder = temporaryFolder();
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

/** Starts a command of tidegate that runs until it is stopped. */
export function startTidegate(args: readonly string[], env: NodeJS.ProcessEnv = {}): Program {
  return start(process.execPath, [MAIN, ...args], env);
}

/** Runs a command of tidegate to its end. */
export function tidegate(...args: string[]): { code: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });
  return { code: status, stdout, stderr };
}

/** The default payload. */
export interface Telemetry {
  readonly id: string;
  readonly ts: number;
  readonly device: string;
  readonly values: Readonly<Record<string, unknown>>;
  readonly bad?: Readonly<Record<string, string>>;
  readonly uncertain?: Readonly<Record<string, string>>;
  readonly late?: boolean;
}
