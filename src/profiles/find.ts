/** Where profiles are: the folders that are looked through, and the files in them. */
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Folder of the profiles that Tidegate comes with. */
export const shippedProfiles = join(packageRoot(), 'device-profiles');

/** Name → file of every profile in the folders; the first folder that has a name wins. */
export function listProfiles(folders: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const folder of folders)
    for (const [name, file] of profilesIn(folder)) if (!found.has(name)) found.set(name, file);
  return found;
}

function profilesIn(folder: string): [name: string, file: string][] {
  return entries(folder, true).flatMap((vendor) =>
    entries(join(folder, vendor), false)
      .filter((file) => file.endsWith('.yaml'))
      .map((file): [string, string] => [`${vendor}/${file.slice(0, -'.yaml'.length)}`, join(folder, vendor, file)]),
  );
}

function entries(folder: string, folders: boolean): string[] {
  if (!existsSync(folder)) return [];
  const list = readdirSync(folder, { withFileTypes: true });
  // Links count by what their names promise: reading them says whether they keep it.
  const wanted = list.filter((entry) => entry.isSymbolicLink() || entry.isDirectory() === folders);
  return wanted.map((entry) => entry.name).sort();
}

/** The nearest folder above this file that holds package.json: the same from `src/` and from `dist/`. */
function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json')) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}
