/** The PEM files that upstreams name: found beside gateway.yaml, and looked into before anything runs. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { TidegateError } from '../errors.js';
import type { UpstreamConfig } from './schema.js';
import { type Source, unreadable } from './source.js';

const KEYS = ['ca', 'cert', 'key'] as const;

/** The upstreams with absolute paths; adds CONFIG_FILE to `problems` for each file that cannot be read or is no PEM file. */
export function findCertificates(
  upstreams: Readonly<Record<string, UpstreamConfig>>,
  folder: string,
  source: Source,
  problems: TidegateError[],
): Record<string, UpstreamConfig> {
  const found = Object.entries(upstreams).map(([id, upstream]) => {
    const paths: Partial<Record<(typeof KEYS)[number], string>> = {};
    for (const key of KEYS) {
      const path = upstream[key];
      // What could not be resolved has been told already.
      if (path === undefined || path.includes('${')) continue;
      paths[key] = resolve(folder, path);
      const fault = faultOf(paths[key]);
      if (fault)
        problems.push(
          source.problem('CONFIG_FILE', ['upstreams', id, key], `cannot use ${path}: ${fault.message}`, fault),
        );
    }
    return [id, { ...upstream, ...paths }] as const;
  });
  return Object.fromEntries(found);
}

function faultOf(file: string): { message: string; hint?: string } | undefined {
  try {
    if (readFileSync(file, 'latin1').includes('-----BEGIN ')) return undefined;
    return { message: 'it is no PEM file', hint: 'PEM files are text and have a line that starts with -----BEGIN' };
  } catch (cause) {
    return { message: unreadable(cause) };
  }
}
