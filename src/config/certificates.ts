/** The PEM files that gateway.yaml names: found beside gateway.yaml, and looked into before anything runs. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { TidegateError } from '../errors.js';
import type { GatewayConfig } from './schema.js';
import { type Path, type Source, unreadable } from './source.js';

const KEYS = ['ca', 'cert', 'key'] as const;

/** What may name PEM files. */
type Owner = { readonly [key in (typeof KEYS)[number]]?: string | undefined };

/**
 * The upstreams and the broker with absolute paths and the digest of what is in their files; adds CONFIG_FILE to `problems` for each
 * file that cannot be read or is no PEM file.
 */
export function findCertificates(
  { upstreams, broker }: Pick<GatewayConfig, 'upstreams' | 'broker'>,
  folder: string,
  source: Source,
  problems: TidegateError[],
): Pick<GatewayConfig, 'upstreams' | 'broker'> {
  const found = Object.entries(upstreams).map(
    ([id, upstream]) => [id, findFiles(upstream, ['upstreams', id], folder, source, problems)] as const,
  );
  const tls = broker?.tls && findFiles(broker.tls, ['broker', 'tls'], folder, source, problems);
  return { upstreams: Object.fromEntries(found), ...(broker && { broker: tls ? { ...broker, tls } : broker }) };
}

function findFiles<T extends Owner>(
  owner: T,
  at: Path,
  folder: string,
  source: Source,
  problems: TidegateError[],
): T & { readonly certificates?: string } {
  const paths: { [key in (typeof KEYS)[number]]?: string } = {};
  const digest = createHash('sha256');
  for (const key of KEYS) {
    const path = owner[key];
    // What could not be resolved has been told already.
    if (path === undefined || path.includes('${')) continue;
    const file = resolve(folder, path);
    paths[key] = file;
    const { text, fault } = lookInto(file);
    digest.update(text);
    if (fault)
      problems.push(source.problem('CONFIG_FILE', [...at, key], `cannot use ${path}: ${fault.message}`, fault));
  }
  return Object.keys(paths).length > 0 ? { ...owner, ...paths, certificates: digest.digest('hex') } : owner;
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
