/** Reads a profile: its file, the one that it extends, its driver; checks all of it. */
import { basename, dirname } from 'node:path';
import { check, type Where } from '../config/check.js';
import { Source } from '../config/source.js';
import { hintFor } from '../config/suggest.js';
import type { Driver } from '../driver.js';
import { ProblemList, TidegateError } from '../errors.js';
import type { Point, Value } from '../model.js';
import { listProfiles } from './find.js';
import { mergePoints, type ProfileFile } from './layers.js';
import { buildPoints } from './points.js';
import { profileSchema, type WrittenProfile } from './schema.js';

/** Drivers by name, loaded when asked for. */
export type Drivers = Readonly<Record<string, () => Promise<Driver>>>;

/** One example of a profile: what is on the wire, in the driver's own form, and what it must give. */
export interface Example {
  /** Its place in the file, from 0. */
  readonly index: number;
  readonly wire: unknown;
  readonly gives: Readonly<Record<string, Value>>;
}

/** What every device of one type shares. */
export interface Profile {
  readonly name: string;
  readonly title: string;
  /** Where the numbers come from. */
  readonly source: string | undefined;
  readonly description: string | undefined;
  readonly driver: Driver;
  /** Settings for every such device, as written: a device's own go above them. */
  readonly device: Readonly<Record<string, unknown>>;
  readonly points: readonly Point[];
  /** Ids of points that are wrong, and so not among `points`: none in a profile that is sound. */
  readonly leftOut: readonly string[];
  readonly examples: readonly Example[];
  readonly file: string;
  /** The text of the file, to say where something is wrong. */
  readonly text: Source;
}

/**
 * Loads and checks one profile.
 * @param folders where to look, the first that has the name wins: own ones, then the shipped ones
 * @throws ProblemList with every problem of the profile
 */
export async function loadProfile(name: string, folders: readonly string[], drivers: Drivers): Promise<Profile> {
  const known = listProfiles(folders);
  const file = known.get(name);
  if (file === undefined) throw new ProblemList([unknownProfile(name, known.keys())]);
  const problems: TidegateError[] = [];
  const profile = await readProfile(file, folders, drivers, problems);
  if (!profile || problems.length > 0) throw new ProblemList(problems);
  return profile;
}

/** The error about a name that no profile has. */
export function unknownProfile(name: string, known: Iterable<string>): TidegateError {
  const names = [...known];
  const akin = names.filter((one) => one.startsWith(name.replace(/[^/]*$/, '')));
  const hint =
    hintFor(name, names) ??
    hintFor(name, akin) ??
    'own profiles are files <vendor>/<model>.yaml in the folder of profiles';
  return new TidegateError('CONFIG_UNKNOWN_NAME', `no profile is called "${name}"`, { hint });
}

/** Reads the profile in `file`; adds what is wrong to `problems`, and gives undefined when too little is right to go on. */
export async function readProfile(
  file: string,
  folders: readonly string[],
  drivers: Drivers,
  problems: TidegateError[],
): Promise<Profile | undefined> {
  const own = readFile(file, problems);
  if (!own) return undefined;
  const parent = own.written.extends === undefined ? undefined : readParent(own, folders, problems);
  if (own.written.extends !== undefined && !parent) return undefined;
  const driver = await driverOf(own, parent, drivers, problems);
  if (!driver) return undefined;

  const { points, leftOut } = buildPoints(mergePoints(own, parent, problems), driver, problems);
  if (points.length === 0 && leftOut.length === 0 && problems.length === 0) {
    const hint = 'write at least one point';
    problems.push(
      own.source.problem('CONFIG_MISSING_KEY', ['points'], 'the profile has no points', { hint, key: true }),
    );
  }
  const examples = own.written.examples.flatMap((written, index) => {
    const { gives, note: _, ...wire } = written;
    const known = ['gives', 'note'];
    const checked = check(driver.example, own.source, wire, ['examples', index], problems, { known });
    return checked === undefined ? [] : [{ index, wire: checked, gives }];
  });
  const { profile: name, title, source, description } = own.written;
  const device = checkDevice(own, parent, driver, problems);
  return { name, title, source, description, driver, device, points, leftOut, examples, file, text: own.source };
}

/** The device settings of both files; those of the profile itself go above. */
function checkDevice(
  own: ProfileFile,
  parent: ProfileFile | undefined,
  driver: Driver,
  problems: TidegateError[],
): Profile['device'] {
  const device = { ...parent?.written.device, ...own.written.device };
  const where: Where = (path) => {
    const mine = !parent || path[0] === undefined || path[0] in own.written.device;
    return { source: mine ? own.source : parent.source, path: ['device', ...path] };
  };
  const found: TidegateError[] = [];
  check(driver.device, own.source, device, where, found);
  // What every device must say for itself may be missing here.
  problems.push(...found.filter(({ code }) => code !== 'CONFIG_MISSING_KEY'));
  return device;
}

/** Reads and checks the outer form of a file. */
function readFile(file: string, problems: TidegateError[]): ProfileFile | undefined {
  let source: Source;
  try {
    source = Source.read(file);
  } catch (error) {
    problems.push(error as TidegateError);
    return undefined;
  }
  problems.push(...source.errors);
  if (source.errors.length > 0) return undefined;
  const before = problems.length;
  const written = check(profileSchema, source, source.value, [], problems);
  if (source.value === null || (problems.length > before && typeof source.value !== 'object')) return undefined;
  const name = nameOf(file);
  if (written && written.profile !== name)
    problems.push(
      source.problem('CONFIG_CONFLICT', ['profile'], `the file is ${name}.yaml, the profile ${written.profile}`, {
        hint: `write profile: ${name}, or move the file`,
      }),
    );
  return { source, written: written ?? soundKeys(source.value) };
}

/** What is right in a file that has mistakes, so that the rest of it can be checked in the same run. */
function soundKeys(value: unknown): WrittenProfile {
  const written = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  const sound = Object.entries(profileSchema.shape).map(([key, schema]) => {
    const { data = schema.safeParse(undefined).data } = schema.safeParse(written[key]);
    return [key, data] as const;
  });
  return { ...(Object.fromEntries(sound) as WrittenProfile), profile: String(written.profile) };
}

function nameOf(file: string): string {
  return `${basename(dirname(file))}/${basename(file, '.yaml')}`;
}

function readParent(own: ProfileFile, folders: readonly string[], problems: TidegateError[]): ProfileFile | undefined {
  const name = own.written.extends as string;
  const say = (code: 'CONFIG_CONFLICT' | 'CONFIG_UNKNOWN_NAME', message: string, hint: string) => {
    problems.push(own.source.problem(code, ['extends'], message, { hint }));
    return undefined;
  };
  // An own profile may extend the shipped one that it stands in for.
  const files = folders.map((folder) => listProfiles([folder]).get(name)).filter((file) => file !== own.source.file);
  const file = files.find((candidate) => candidate !== undefined);
  if (file === undefined && name === own.written.profile)
    return say('CONFIG_CONFLICT', 'a profile cannot extend itself', 'name another profile, or remove `extends`');
  if (file === undefined) {
    const { code, message, hint = '' } = unknownProfile(name, listProfiles(folders).keys());
    return say(code as 'CONFIG_UNKNOWN_NAME', message, hint);
  }
  const before = problems.length;
  const parent = readFile(file, problems);
  if (parent?.written.extends !== undefined)
    return say(
      'CONFIG_CONFLICT',
      `${name} itself extends ${parent.written.extends}`,
      `one level only: extend ${parent.written.extends}, or write the points out`,
    );
  return problems.length > before ? undefined : parent;
}

async function driverOf(
  own: ProfileFile,
  parent: ProfileFile | undefined,
  drivers: Drivers,
  problems: TidegateError[],
): Promise<Driver | undefined> {
  const name = own.written.driver ?? parent?.written.driver;
  if (name === undefined) {
    const hint = `one of: ${Object.keys(drivers).join(', ')}`;
    problems.push(
      own.source.problem('CONFIG_MISSING_KEY', ['driver'], 'the key "driver" is missing', { hint, key: true }),
    );
    return undefined;
  }
  if (parent?.written.driver !== undefined && parent.written.driver !== name) {
    const message = `${parent.written.profile} is for the driver ${parent.written.driver}`;
    problems.push(
      own.source.problem('CONFIG_CONFLICT', ['driver'], message, {
        hint: 'leave `driver` out, or extend another profile',
      }),
    );
    return undefined;
  }
  const load = drivers[name];
  if (load) return load();
  const hint = hintFor(name, Object.keys(drivers));
  const at = own.written.driver === undefined && parent ? parent.source : own.source;
  problems.push(
    at.problem('CONFIG_UNKNOWN_NAME', ['driver'], `no driver is called "${name}"`, hint === undefined ? {} : { hint }),
  );
  return undefined;
}
