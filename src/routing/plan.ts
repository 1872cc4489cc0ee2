/** What the rules mean for one list of points of one device: compiled once, then run for every batch of that list. */
import type { Point } from '../model.js';
import type { LastSent } from './change.js';
import { type Destination, Exit } from './exit.js';
import type { Reading } from './expression.js';
import { type Fail, Filter } from './filter.js';
import type { Rule } from './rule.js';

/** A rule that a device matches. What it sent last outlives the plans: the same point may be read in several lists. */
export interface DeviceRule {
  readonly rule: Rule;
  readonly matchesPoint: (id: string) => boolean;
  readonly last: LastSent;
  readonly destinations: readonly Destination[];
}

/** What a list of points means for a device. */
export interface Plan {
  readonly points: readonly Point[];
  readonly filters: readonly Filter[];
  readonly exits: readonly Exit[];
  readonly judged: number;
  readonly unrouted: number;
}

/** Compiles the rules that match a device for one list of its points. */
export function compilePlan(
  rules: readonly DeviceRule[],
  points: readonly Point[],
  names: readonly string[],
  reading: Reading,
  fail: Fail,
): Plan {
  const chosen = rules
    .map((owner) => ({
      owner,
      indices: [...names.keys()].filter((index) => owner.matchesPoint(names[index] as string)),
    }))
    .filter(({ indices }) => indices.length > 0);
  const always = new Map<Destination, Uint8Array>();
  const matched = new Uint8Array(points.length);
  for (const { owner, indices } of chosen) {
    for (const index of indices) matched[index] = 1;
    for (const destination of owner.destinations) {
      const mask = always.get(destination) ?? new Uint8Array(points.length);
      always.set(destination, mask);
      if (owner.rule.steps.length === 0) for (const index of indices) mask[index] = 1;
    }
  }
  const exits = new Map(
    [...always].map(([destination, mask]) => [destination, new Exit(destination, points, names, mask)]),
  );
  const filters = chosen
    .filter(({ owner }) => owner.rule.steps.length > 0)
    .map(({ owner, indices }) => {
      const own = owner.destinations.map((destination) => exits.get(destination) as Exit);
      return new Filter(owner.rule, owner.last, points, indices, own, reading, fail);
    });
  return {
    points,
    filters,
    exits: [...exits.values()],
    judged: filters.reduce((sum, filter) => sum + filter.size, 0),
    unrouted: matched.reduce((sum, one) => sum - one, points.length),
  };
}
