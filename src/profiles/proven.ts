/** Profiles by name, each read once and proven by its examples. */
import { setImmediate as otherWork } from 'node:timers/promises';
import type { TidegateError } from '../errors.js';
import { listProfiles } from './find.js';
import { type Drivers, type Profile, readProfile } from './load.js';
import { proveProfile } from './prove.js';

/** Those of the named profiles that are there: undefined for one that is wrong. */
export async function provenProfiles(
  names: ReadonlySet<string>,
  folders: readonly string[],
  drivers: Drivers,
  problems: TidegateError[],
): Promise<Map<string, Profile | undefined>> {
  const profiles = new Map<string, Profile | undefined>();
  if (names.size === 0) return profiles;
  const files = listProfiles(folders);
  for (const name of names) {
    const file = files.get(name);
    if (file === undefined) continue;
    const found: TidegateError[] = [];
    // A running gateway polls between two files.
    await otherWork();
    const profile = await readProfile(file, folders, drivers, found);
    if (profile) found.push(...proveProfile(profile));
    profiles.set(name, found.length === 0 ? profile : undefined);
    problems.push(...found);
  }
  return profiles;
}
