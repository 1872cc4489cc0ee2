/** Checks the names that a rule uses. A pattern may match nothing (yet); a name without wildcard must exist. */
import { LOCAL } from '../config/broker.js';
import { isName } from '../config/pattern.js';
import type { Path, Source } from '../config/source.js';
import { hintFor } from '../config/suggest.js';
import type { TidegateError } from '../errors.js';
import type { Device } from '../model.js';
import { compileDeviceMatch } from './match.js';
import type { Rule } from './rule.js';
import { checkTopic } from './topic.js';

/** What rules can name. */
export interface RuleContext {
  readonly devices: readonly Device[];
  /** Devices of the register, those that wait and those that are gone included: what is only there cannot be held to every word of a rule. */
  readonly others?: readonly Pick<Device, 'id' | 'profile' | 'tags' | 'points'>[];
  /** Upstream ids. */
  readonly upstreams: readonly string[];
}

/** Adds a problem for every upstream, device, profile, tag and point that the rule at `at` names and nothing is called. */
export function checkNames(
  rule: Rule,
  source: Source,
  at: Path,
  context: RuleContext | undefined,
  problems: TidegateError[],
): void {
  const { match } = rule;
  if (!context) return;
  const matched = context.devices.filter(compileDeviceMatch(match));
  if (rule.topic !== undefined) checkTopic(rule.topic, source, [...at, 'send', 'topic'], matched, problems);

  const report = (path: Path, name: string, known: Iterable<string>, message: string, key = false) => {
    const hint = name === LOCAL && path.includes('send') ? 'add `broker:` to gateway.yaml' : hintFor(name, known);
    problems.push(source.problem('CONFIG_UNKNOWN_NAME', path, message, { key, ...(hint !== undefined && { hint }) }));
  };
  const checkList = (
    path: Path,
    written: readonly string[],
    known: Iterable<string>,
    say: (name: string) => string,
    patterns = true,
  ) => {
    const existing = new Set(known);
    for (const [index, name] of written.entries()) {
      if (existing.has(name) || (patterns && !isName(name))) continue;
      const entry = [...path, index];
      report(source.has(entry) ? entry : path, name, existing, say(name));
    }
  };

  const to = [...at, 'send', 'to'];
  checkList(
    source.has(to) ? to : [...at, 'send'],
    rule.to,
    context.upstreams,
    (name) => `no upstream is called "${name}"`,
    false,
  );
  if (rule.topic !== undefined && rule.to.every((name) => name === LOCAL)) {
    const message = 'a topic has no use here: what goes to the local broker is at site/{device}/{point}';
    problems.push(
      source.problem('CONFIG_CONFLICT', [...at, 'send', 'topic'], message, { hint: 'remove it', key: true }),
    );
  }
  const { others = [] } = context;
  const devices = [...context.devices, ...others];
  // A gateway without devices (they may come later) cannot tell a wrong name from one that is not there yet.
  if (devices.length === 0) return;

  const checkPatterns = (key: 'device' | 'profile' | 'point', known: string[], say: (name: string) => string) => {
    checkList([...at, 'match', key], match[key] ?? [], known, say);
  };
  checkPatterns('device', ids(devices), (name) => `no device is called "${name}"`);
  const profiles = devices.map((device) => device.profile);
  checkPatterns('profile', profiles, (name) => `no device has the profile "${name}"`);
  const tags = new Set(devices.flatMap((device) => Object.keys(device.tags)));
  for (const tag of Object.keys(match.tags ?? {}))
    if (!tags.has(tag)) report([...at, 'match', 'tags', tag], tag, tags, `no device has a tag "${tag}"`, true);
  const having = [...matched, ...others.filter(compileDeviceMatch(match))];
  const points = having.flatMap((device) => ids(device.points));
  const one = having.length === 1 ? having[0]?.id : undefined;
  if (points.length > 0)
    checkPatterns('point', points, (name) =>
      one ? `the device ${one} has no point "${name}"` : `no device that this rule matches has a point "${name}"`,
    );
}

function ids(items: readonly Pick<Device, 'id'>[]): string[] {
  return items.map((item) => item.id);
}
