/** Settings of `gateway.yaml` that exclude each other. Looks at what is written, so that it can speak even when other keys are wrong. */
import type { TidegateError } from '../errors.js';
import { parseDuration } from '../units.js';
import { isLoopback, LOCAL, placeOf } from './broker.js';
import type { Source } from './source.js';

type Keys = Readonly<Record<string, unknown>>;

/** Adds CONFIG_CONFLICT for each pair of settings that cannot both be. */
export function findConflicts(value: unknown, source: Source, problems: TidegateError[]): void {
  findBrokerConflicts(recordOf(value), source, problems);
  const clients = new Map<string, string>();
  for (const [id, upstream] of Object.entries(recordOf(recordOf(value).upstreams))) {
    const written = recordOf(upstream);
    const say = (key: string, message: string, hint: string) =>
      problems.push(source.problem('CONFIG_CONFLICT', ['upstreams', id, key], message, { hint, key: true }));
    if ('cert' in written !== 'key' in written) {
      const [here, other] = 'cert' in written ? ['cert', 'key'] : ['key', 'cert'];
      say(here, `${here} is given without ${other}`, 'a client certificate needs both');
    }
    if (typeof written.url === 'string' && written.url.startsWith('mqtt://'))
      for (const key of ['ca', 'cert', 'key'])
        if (key in written) say(key, `${key} has no use without TLS`, 'write mqtts:// in `url`, or remove it');
    if (String(written.version) === '3.1.1' && 'password' in written && !('username' in written))
      say('password', 'MQTT 3.1.1 has no password without a user name', 'add `username`, or use version 5');
    const { min, max } = recordOf(written.reconnect);
    const [first = 1_000, last = 60_000] = [parseDuration(min), parseDuration(max)];
    if (first > last)
      say('reconnect', 'the first pause (min) is longer than the longest (max)', 'make min the smaller');
    if (typeof written.client_id !== 'string') continue;
    const client = `${String(written.url)} ${written.client_id}`;
    const other = clients.get(client);
    if (other === undefined) clients.set(client, id);
    else say('client_id', `upstream "${other}" has the same client_id at the same broker`, 'they would end each other');
  }
}

function findBrokerConflicts({ broker, upstreams }: Keys, source: Source, problems: TidegateError[]): void {
  if (broker === undefined) return;
  const say = (path: string[], message: string, hint: string) =>
    problems.push(source.problem('CONFIG_CONFLICT', path, message, { hint, key: true }));
  if (LOCAL in recordOf(upstreams))
    say(['upstreams', LOCAL], `"${LOCAL}" is the local broker's name`, 'give the upstream another name');
  const { listen, tls, users } = recordOf(broker);
  const secure = recordOf(tls).listen;
  const outside = [listen, secure].find(
    (at) => typeof at === 'string' && !isLoopback(placeOf(at)?.host ?? 'localhost'),
  );
  if (outside !== undefined && Object.keys(recordOf(users)).length === 0)
    say(
      ['broker'],
      `it listens on ${outside}, but has no users: nobody could sign in`,
      'add `users:`, or listen on 127.0.0.1',
    );
  if (secure !== undefined && secure === listen)
    say(
      ['broker', 'tls', 'listen'],
      `it listens on ${listen} already, without TLS`,
      'give TLS a port of its own, such as 8883',
    );
}

function recordOf(value: unknown): Keys {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Keys) : {};
}
