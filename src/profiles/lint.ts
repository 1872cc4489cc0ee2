/** Taste made mechanical: what a profile needs beyond being correct, so that all of them read alike. */

import type { Path } from '../config/source.js';
import { suggest } from '../config/suggest.js';
import type { TidegateError } from '../errors.js';
import type { Point } from '../model.js';
import type { Profile } from './load.js';
import { profileSchema } from './schema.js';
import { meantUnit, UNITS } from './units.js';

type Say = (path: Path, message: string, hint: string) => void;

/** Where a profile departs from the style of device-profiles/README.md; nothing when it is as it should be. */
export function lintProfile(profile: Profile): TidegateError[] {
  const problems: TidegateError[] = [];
  const say: Say = (path, message, hint) => {
    problems.push(profile.text.problem('PROFILE_STYLE', path, message, { hint, key: true }));
  };
  lintHead(profile, say);
  for (const point of profile.points) {
    lintPoint(point, say);
    const advice = profile.driver.advisePoint?.(point);
    if (advice) say(['points', point.id], `${point.id}: ${advice.message}`, advice.hint);
  }
  return problems;
}

function lintHead({ source, examples, text }: Profile, say: Say): void {
  if (source === undefined) say([], 'the profile names no source', 'add `source`: document, revision, pages');
  if (examples.length === 0)
    say([], 'the profile has no example', 'add `examples`: words and the values that they give');
  const wanted = Object.keys(profileSchema.shape);
  const order = Object.keys(text.value as object);
  const sorted = [...order].sort((a, b) => wanted.indexOf(a) - wanted.indexOf(b));
  const first = order.findIndex((key, index) => key !== sorted[index]);
  if (first >= 0)
    say([order[first] ?? ''], `the key "${order[first]}" is out of order`, `the order is ${sorted.join(', ')}`);
}

function lintPoint({ id, unit, kind, type, states, description }: Point, say: Say): void {
  const at: Path = ['points', id];
  if (!/^[a-z][a-z0-9]*(_[a-z0-9]+)*$/.test(id)) say(at, `the id "${id}" is not in snake_case`, `write ${snake(id)}`);
  if (unit !== undefined && !(unit in UNITS)) {
    const near = meantUnit(unit) ?? suggest(unit, Object.keys(UNITS));
    say(
      [...at, 'unit'],
      `"${unit}" is no unit of the list`,
      near ? `did you mean "${near}"?` : 'write a UCUM code; src/profiles/units.ts has the list',
    );
  }
  if (unit !== undefined && (states || type === 'bool' || type === 'string'))
    say([...at, 'unit'], `${states ? 'names of states have' : `a ${type} has`} no unit`, 'remove it');
  if (kind === 'counter' && unit === undefined)
    say(at, `the counter "${id}" has no unit`, 'write what it counts: kWh, m3, {count}');
  for (const [raw, name] of states ?? [])
    if (!/^[a-z0-9]+(_[a-z0-9]+)*$/.test(name))
      say([...at, 'states', String(raw)], `the state "${name}" is not in snake_case`, `write ${snake(name)}`);
  if (description !== undefined && words(description) === words(id))
    say([...at, 'description'], 'the description only repeats the id', 'say what the id cannot, or remove it');
}

function snake(text: string): string {
  return text
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '');
}

/** A text reduced to its words, in any order. */
function words(text: string): string {
  return snake(text).split('_').sort().join(' ');
}
