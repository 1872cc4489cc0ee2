/** Proves a profile by its examples: the words on the wire must give exactly the values that are written beside them. */
import { isDeepStrictEqual } from 'node:util';
import { hintFor } from '../config/suggest.js';
import { messageOf, type TidegateError } from '../errors.js';
import { type Flaw, Structure, type Value } from '../model.js';
import { compileScaling } from '../scaling.js';
import type { Profile } from './load.js';

/** What is wrong with the examples of a profile; nothing when each gives what it says. */
export function proveProfile(profile: Profile): TidegateError[] {
  const problems: TidegateError[] = [];
  for (const { index, wire, gives } of profile.examples) {
    const at = ['examples', index, 'gives'];
    if (Object.keys(gives).length === 0)
      problems.push(profile.text.problem('CONFIG_VALUE', at, 'name at least one point and its value'));
    let given: Map<string, Given>;
    try {
      given = decode(profile, wire);
    } catch (error) {
      problems.push(profile.text.problem('PROFILE_EXAMPLE', ['examples', index], messageOf(error)));
      continue;
    }
    for (const [id, expected] of Object.entries(gives)) {
      if (profile.leftOut.includes(id)) continue;
      const got = given.get(id);
      if (got === undefined) {
        const hint = hintFor(id, given.keys());
        const options = { key: true, ...(hint !== undefined && { hint }) };
        problems.push(profile.text.problem('CONFIG_UNKNOWN_NAME', [...at, id], `no point is called "${id}"`, options));
      } else if (!equal(got.value, expected)) {
        const message = `the words give ${show(got)}, not ${show({ value: expected })}`;
        problems.push(profile.text.problem('PROFILE_EXAMPLE', [...at, id], message));
      }
    }
  }
  return problems;
}

/** What a point became, and why when it is bad. */
interface Given {
  readonly value: Value;
  readonly flaw?: Flaw | undefined;
}

function decode({ driver, points }: Profile, wire: unknown): Map<string, Given> {
  const samples = driver.decodeExample(points, wire);
  // Scale factors are consumed by scaling; an example may still state them.
  const raw = points.map((point, i): [string, Given] => [
    point.id,
    { value: samples.values[i] ?? null, flaw: samples.flaws?.get(i) },
  ]);
  const scaling = compileScaling(points);
  const { values, flaws } = scaling.apply(samples);
  const scaled = scaling.points.map((point, i): [string, Given] => [
    point.id,
    { value: values[i] ?? null, flaw: flaws?.get(i) },
  ]);
  return new Map([...raw, ...scaled]);
}

function equal(got: Value, expected: Value): boolean {
  if (typeof got === 'bigint' || typeof expected === 'bigint')
    return got !== null && expected !== null && String(got) === String(expected);
  if (got instanceof Structure && expected instanceof Structure)
    return isDeepStrictEqual(got.toJSON(), expected.toJSON());
  // -0 is written 0 in a document.
  return got === expected;
}

function show({ value, flaw }: Given): string {
  if (value === null)
    return !flaw ? 'no value' : /^no value/.test(flaw.reason) ? flaw.reason : `no value (${flaw.reason})`;
  return typeof value === 'string' ? `"${value}"` : String(value);
}
