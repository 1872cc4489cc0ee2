/** A site in a temporary folder, as people write it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { loadSite, type Site } from '../../src/site.js';
import { temporaryFolder } from './upstream.js';

/** What gateway.yaml says: the keys of each entry, by group. */
export interface Written {
  readonly connections?: Readonly<Record<string, object>>;
  readonly devices?: Readonly<Record<string, object>>;
  readonly upstreams?: Readonly<Record<string, object>>;
  readonly [key: string]: unknown;
}

/** Files that can be written again and again. */
export class SiteFolder {
  readonly path = temporaryFolder();
  readonly file = join(this.path, 'gateway.yaml');

  /** Writes a file below the folder. */
  write(name: string, text: string): void {
    mkdirSync(dirname(join(this.path, name)), { recursive: true });
    writeFileSync(join(this.path, name), text);
  }

  /** Writes gateway.yaml; JSON is YAML. */
  say(written: Written): void {
    this.write('gateway.yaml', JSON.stringify({ gateway: 'g', ...written }, undefined, 2));
  }

  /** Writes gateway.yaml, and loads the site as a reload does. */
  load(written: Written): Promise<Site> {
    this.say(written);
    return loadSite(this.file, { thorough: true });
  }
}

/** A profile of one number, read as often as is said. */
export function meterProfile(name: string, every: string): string {
  return `profile: ${name}
title: Shows numbers
source: none
driver: modbus
points:
  n: { type: uint32, table: holding, address: 0, every: ${every} }
examples:
  - { words: { "0": [1, 2] }, gives: { n: 65538 } }
`;
}
