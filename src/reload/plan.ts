/**
 * What a changed configuration means for a running gateway. Pure: nothing is started or stopped here. What did not change stays
 * the very object of before, so that the running parts tell by identity what they must not touch.
 */
import { basename, dirname, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { ProblemList } from '../errors.js';
import type { Device, Point } from '../model.js';
import type { Site } from '../site.js';

/** Names of one kind of thing, sorted by what becomes of them. */
export interface Change {
  readonly added: readonly string[];
  /** With the keys that differ. */
  readonly changed: Readonly<Record<string, readonly string[]>>;
  readonly removed: readonly string[];
  readonly untouched: number;
}

/** All changes. `settings` are the keys of `gateway.yaml` beside the other kinds. */
export type Changes = Readonly<Record<'connections' | 'devices' | 'upstreams' | 'rules' | 'settings', Change>>;

/** What to run from now on. */
export interface ReloadPlan {
  /** The new site, made of objects of the old one wherever they say the same. */
  readonly site: Site;
  readonly changes: Changes;
}

/** Things by name, each as an object to compare key by key. */
type Things = ReadonlyMap<string, object>;

/** Keys that a running gateway cannot change, and why. */
const FIXED = {
  gateway: 'it is part of the id of every event that waits',
  data: 'the outboxes that are open lie there',
} as const;

/**
 * Compares a running site with a new one.
 * @throws ProblemList of CONFIG_RESTART when a key differs that only a restart can change
 */
export function planReload(old: Site, next: Site): ReloadPlan {
  refuseFixed(old, next);
  const connections = compare(connectionsOf(old), connectionsOf(next));
  const upstreams = compare(
    new Map(Object.entries(old.config.upstreams)),
    new Map(Object.entries(next.config.upstreams)),
  );
  const rules = compare(rulesOf(old), rulesOf(next));
  const candidates = withKnownPoints(old, next);
  const devices = compare(byId(old.devices), byId(candidates));

  const site: Site = {
    ...next,
    config: {
      ...next.config,
      broker: isDeepStrictEqual(old.config.broker, next.config.broker) ? old.config.broker : next.config.broker,
      upstreams: Object.fromEntries(
        merge(upstreams, Object.entries(old.config.upstreams), Object.entries(next.config.upstreams)),
      ),
    },
    connectionSettings: new Map(merge(connections, [...old.connectionSettings], [...next.connectionSettings])),
    devices: merge(devices, byId(old.devices), byId(candidates)).map(([, device]) => device),
    rules: merge(rules, named(old), named(next)).map(([, rule]) => rule),
  };
  const settings = compare(settingsOf(old), settingsOf(next));
  return { site, changes: { connections, devices: onLines(devices, next, connections), upstreams, rules, settings } };
}

/** Whether anything differs. */
export function isEmpty(changes: Changes): boolean {
  return Object.values(changes).every((change) => sizeOf(change) === 0);
}

/** The changes in one line: `devices: 2 added, 1 changed, 47 untouched; upstreams: 1 changed`. */
export function summaryOf(changes: Changes): string {
  const parts = Object.entries(changes)
    .filter(([, change]) => sizeOf(change) > 0)
    .map(([kind, { added, changed, removed, untouched }]) => {
      const counts = { added: added.length, changed: Object.keys(changed).length, removed: removed.length, untouched };
      const words = Object.entries(counts).flatMap(([word, count]) => (count > 0 ? [`${count} ${word}`] : []));
      return `${kind}: ${words.join(', ')}`;
    });
  return parts.length > 0 ? parts.join('; ') : 'nothing has changed';
}

function sizeOf({ added, changed, removed }: Change): number {
  return added.length + Object.keys(changed).length + removed.length;
}

function refuseFixed(old: Site, next: Site): void {
  const before = fixedOf(old);
  const problems = Object.entries(fixedOf(next)).flatMap(([key, value]) => {
    const was = before[key as keyof typeof FIXED];
    if (value === was) return [];
    const message = `"${key}" was ${was} and cannot change while the gateway runs: ${FIXED[key as keyof typeof FIXED]}`;
    return [next.source.problem('CONFIG_RESTART', [key], message)];
  });
  if (problems.length > 0) throw new ProblemList(problems);
}

function fixedOf({ config, file }: Site): Record<keyof typeof FIXED, string> {
  return { gateway: config.gateway, data: resolve(dirname(file), config.data) };
}

function compare(old: Things, next: Things): Change {
  const changed: Record<string, string[]> = {};
  for (const [name, thing] of next) {
    const before = old.get(name);
    const keys = before === undefined ? [] : differing(before, thing);
    if (keys.length > 0) changed[name] = keys;
  }
  const added = [...next.keys()].filter((name) => !old.has(name));
  const removed = [...old.keys()].filter((name) => !next.has(name));
  return { added, changed, removed, untouched: next.size - added.length - Object.keys(changed).length };
}

function differing(a: object, b: object): string[] {
  const [before, after] = [a as Record<string, unknown>, b as Record<string, unknown>];
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys].filter((key) => !isDeepStrictEqual(before[key], after[key]));
}

/** The new things, in their order; those that did not change as the objects of before. */
function merge<T>(change: Change, old: Iterable<[string, T]>, next: Iterable<[string, T]>): [string, T][] {
  const before = new Map(old);
  return [...next].map(([name, thing]) => {
    const known = Object.hasOwn(change.changed, name) ? undefined : before.get(name);
    return [name, known ?? thing];
  });
}

function connectionsOf({ config, drivers, connectionSettings }: Site): Things {
  return new Map(
    [...drivers].map(([id, { name }]) => {
      const discover = config.connections[id]?.discover;
      return [id, { driver: name, discover, ...(connectionSettings.get(id) as object) }];
    }),
  );
}

/** What a rule does. To whom it sends is part of that: another broker has not got what the one before got. */
function rulesOf(site: Site): Things {
  return new Map(
    named(site).map(([name, { match, steps, to, topic, lane }]) => {
      const written = steps.map((step) => (step.kind === 'where' ? step.expression.text : step));
      const destinations = to.map((id) => [site.config.upstreams[id]?.url, site.config.upstreams[id]?.topic]);
      return [name, { match, steps: written, to, topic, lane, destinations }];
    }),
  );
}

function named({ rules }: Site): [string, Site['rules'][number]][] {
  return rules.map((rule) => [`${basename(rule.file)}: ${rule.title}`, rule]);
}

function settingsOf({ config: { profiles, rules, watch, log, broker, register } }: Site): Things {
  return new Map<string, object>([
    ['profiles', { folder: profiles }],
    ['rules', { folder: rules }],
    ['watch', { on: watch }],
    ['log', log],
    ['register', register],
    ...(broker ? ([['broker', broker]] as const) : []),
  ]);
}

function byId(devices: readonly Device[]): Map<string, Device> {
  return new Map(devices.map((device) => [device.id, device]));
}

/** The new devices, with the lists of points of before where those say the same: each list is compared once, not once for each device. */
function withKnownPoints(old: Site, next: Site): Device[] {
  const before = new Map(old.devices.map(({ profile, points }) => [profile, points]));
  const known = new Map<readonly Point[], readonly Point[]>();
  for (const { profile, points } of next.devices) {
    if (known.has(points)) continue;
    const same = before.get(profile);
    known.set(points, same !== undefined && isDeepStrictEqual(same, points) ? same : points);
  }
  return next.devices.map((device) => ({ ...device, points: known.get(device.points) ?? device.points }));
}

/** A device whose connection is opened anew is not untouched. */
function onLines(devices: Change, { devices: all }: Site, connections: Change): Change {
  const changed: Record<string, readonly string[]> = { ...devices.changed };
  for (const { id, connection } of all)
    if (Object.hasOwn(connections.changed, connection) && !devices.added.includes(id))
      changed[id] = [...new Set([...(changed[id] ?? []), 'connection'])];
  const more = Object.keys(changed).length - Object.keys(devices.changed).length;
  return { ...devices, changed, untouched: devices.untouched - more };
}
