/** The outboxes that a command is about: those of gateway.yaml, and files whose upstream is not there any more. */
import type { UpstreamConfig } from '../config/schema.js';
import { outboxFiles } from '../delivery/status.js';
import { findSite } from './data.js';
import { find } from './find.js';

/** One upstream's outbox. */
export interface OutboxFile {
  readonly id: string;
  /** Undefined where nothing was ever kept. */
  readonly path: string | undefined;
  /** Undefined where gateway.yaml does not name it. */
  readonly config: UpstreamConfig | undefined;
}

/** What a command is about. */
export interface Outboxes {
  /** Path of gateway.yaml. */
  readonly file: string;
  readonly gateway: string;
  /** The data folder. */
  readonly folder: string;
  /** The one that was asked for, or all. */
  readonly chosen: readonly OutboxFile[];
}

/**
 * Finds them.
 * @throws ProblemList for what is wrong with gateway.yaml, TidegateError USAGE when nothing is called so
 */
export function openOutboxes(options: { config?: string; upstream?: string }): Outboxes {
  const { file, folder, config } = findSite(options.config ?? 'gateway.yaml');
  const files = new Map(outboxFiles(folder).map(({ id, path }) => [id, path]));
  const ids = new Set([...Object.keys(config.upstreams), ...files.keys()]);
  const all = [...ids].map((id) => ({ id, path: files.get(id), config: config.upstreams[id] }));
  const chosen = options.upstream === undefined ? all : [find(all, options.upstream, 'upstream')];
  return { file, folder, gateway: config.gateway, chosen };
}
