/** Drivers that do not come with Tidegate. Only what `plugins:` of gateway.yaml names is loaded; it runs with all rights of the gateway. */
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import type { ReadConfig } from './config/load.js';
import type { Driver } from './driver.js';
import { messageOf, type TidegateError } from './errors.js';

/** Drivers by name, loaded when asked for. */
type Drivers = Readonly<Record<string, () => Promise<Driver>>>;

/** What every driver has, and what it is. */
const MEMBERS = {
  name: 'a word',
  title: 'a text',
  connection: 'a zod schema',
  device: 'a zod schema',
  address: 'a zod schema',
  example: 'a zod schema',
  checkPoint: 'a function',
  decodeExample: 'a function',
  open: 'a function',
} as const;

const HINT = 'see "How to ship one" in drivers/README.md';

/** The built-in drivers and those of the plugins; what is wrong with a plugin is added to `problems`. */
export async function withPlugins(
  { config, source }: ReadConfig,
  file: string,
  builtIn: Drivers,
  problems: TidegateError[],
): Promise<Drivers> {
  const drivers: Record<string, () => Promise<Driver>> = { ...builtIn };
  for (const [index, plugin] of config.plugins.entries()) {
    const wrong = (message: string, hint: string = HINT): void =>
      void problems.push(source.problem('CONFIG_PLUGIN', ['plugins', index], message, { hint }));
    let path: string;
    try {
      path = createRequire(file).resolve(plugin);
    } catch {
      wrong(
        `there is no ${plugin}`,
        'a path starts with ./ or /, from the folder of this file; else it is a package that is installed there',
      );
      continue;
    }
    let loaded: Readonly<Record<string, unknown>>;
    try {
      loaded = await import(pathToFileURL(path).href);
    } catch (error) {
      wrong(`${plugin} fails as it is loaded: ${messageOf(error)}`);
      continue;
    }
    const driver = loaded.default ?? loaded.driver;
    const faults = faultsOf(driver);
    if (faults.length > 0) {
      wrong(`${plugin} is no driver: ${faults.join(', ')}`);
      continue;
    }
    const { name } = driver as Driver;
    if (name in drivers)
      wrong(
        `${plugin} is a driver called ${name}, and there is one already`,
        'rename it in the plugin, or leave it out',
      );
    else drivers[name] = async () => driver as Driver;
  }
  return drivers;
}

function faultsOf(driver: unknown): string[] {
  if (typeof driver !== 'object' || driver === null) return ['it exports none, as default or as `driver`'];
  const members = driver as Readonly<Record<string, unknown>>;
  return Object.entries(MEMBERS)
    .filter(([key, what]) => !isA(what, members[key]))
    .map(([key, what]) => `${key} is not ${what}`);
}

function isA(what: (typeof MEMBERS)[keyof typeof MEMBERS], member: unknown): boolean {
  // It becomes a folder.
  if (what === 'a word') return typeof member === 'string' && /^[a-z][a-z0-9-]*$/.test(member);
  if (what === 'a text') return typeof member === 'string' && /\S/.test(member);
  if (what === 'a function') return typeof member === 'function';
  return typeof (member as { safeParse?: unknown } | undefined)?.safeParse === 'function';
}
