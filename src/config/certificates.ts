/** The PEM files that upstreams name: found beside gateway.yaml, and looked into before anything runs. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { TidegateError } from '../errors.js';
import type { UpstreamConfig } from './schema.js';
import { type Source, unreadable } from './source.js';

const KEYS = ['ca', 'cert', 'key'] as const;

/**
 * The upstreams with absolute paths and the digest of what is in the files; adds CONFIG_FILE to `problems` for each file that cannot
 * be read or is no PEM file.
 */
export function findCertificates(
  upstreams: Readonly<Record<string, UpstreamConfig>>,
  folder: string,
  source: Source,
  problems: TidegateError[],
): Record<string, UpstreamConfig> {
  const found = Object.entries(upstreams).map(([id, upstream]) => {
    const paths: Partial<Record<(typeof KEYS)[number], string>> = {};
    const digest = createHash('sha256');
    for (const key of KEYS) {
      const path = upstream[key];
      // What could not be resolved has been told already.
      if (path === undefined || path.includes('${')) continue;
      const file = resolve(folder, path);
      paths[key] = file;
      const { text, fault } = lookInto(file);
      digest.update(text);
      if (fault)
        problems.push(
          source.problem('CONFIG_FILE', ['upstreams', id, key], `cannot use ${path}: ${fault.message}`, fault),
        );
    }
    const certificates = Object.keys(paths).length > 0 ? { certificates: digest.digest('hex') } : {};
    return [id, { ...upstream, ...paths, ...certificates }] as const;
  });
  return Object.fromEntries(found);
}

function lookInto(file: string): { text: string; fault?: { message: string; hint?: string } } {
  try {
    const text = readFileSync(file, 'latin1');
    if (text.includes('-----BEGIN ')) return { text };
    const hint = 'PEM files are text and have a line that starts with -----BEGIN';
    return { text, fault: { message: 'it is no PEM file', hint } };
  } catch (cause) {
    return { text: '', fault: { message: unreadable(cause) } };
  }
}
