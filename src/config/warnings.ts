/** What works in `gateway.yaml`, but is likely not meant. */
import type { TidegateError } from '../errors.js';
import { isLoopback, placeOf } from './broker.js';
import type { ReadConfig } from './load.js';

/** @param used connections that have devices */
export function findWarnings({ config, source }: ReadConfig, used: ReadonlySet<string>): TidegateError[] {
  const warnings = Object.entries(config.connections)
    .filter(([id, { discover }]) => !used.has(id) && !discover)
    .map(([id]) => {
      const hint = 'give it a device, or remove it';
      const message = `no device uses the connection "${id}"`;
      return source.problem('CONFIG_CONFLICT', ['connections', id], message, { hint, key: true });
    });
  const { broker } = config;
  if (broker && !isLoopback(placeOf(broker.listen)?.host ?? '')) {
    const message = `the local broker listens on ${broker.listen} without TLS: passwords and readings can be read on the way`;
    const hint = 'add `tls:` and keep `listen:` on 127.0.0.1, unless all that reach it are trusted';
    warnings.push(source.problem('BROKER_PLAIN', ['broker', 'listen'], message, { hint }));
  }
  if (broker && !broker.anonymous && Object.keys(broker.users).length === 0) {
    const message = 'nobody may connect to the local broker';
    const hint = 'add `users:`, or `anonymous:` for programs on this machine; see docs/broker.md';
    warnings.push(source.problem('CONFIG_MISSING_KEY', ['broker'], message, { hint, key: true }));
  }
  if (Object.keys(config.upstreams).length === 0 && !broker) {
    const hint = 'write where readings go under `upstreams`';
    warnings.push(source.problem('CONFIG_MISSING_KEY', [], 'there is no upstream: nothing will be sent', { hint }));
  }
  return warnings;
}
