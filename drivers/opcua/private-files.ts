/** Files that only the gateway's user may read, also when an administrator's command makes them. */
import { chown, mkdir, rename, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Makes a folder and those above it, each owned by whom the nearest one above it belongs to. */
export async function makeFolder(folder: string): Promise<void> {
  const above = dirname(folder);
  if (above !== folder && !(await stat(above).catch(() => undefined))) await makeFolder(above);
  if (await stat(folder).catch(() => undefined)) return;
  await mkdir(folder, { mode: 0o700 }).catch(() => {});
  await likeItsFolder(folder);
}

/** Writes a file whole or not at all, readable by its owner only. */
export async function writeWhole(file: string, content: string | Buffer): Promise<void> {
  await makeFolder(dirname(file));
  const draft = `${file}.${process.pid}.new`;
  await writeFile(draft, content, { mode: 0o600, flush: true });
  await likeItsFolder(draft);
  await rename(draft, file);
}

/** What root makes in somebody's folder is to belong to them. */
async function likeItsFolder(path: string): Promise<void> {
  if (process.geteuid?.() !== 0) return;
  const { uid, gid } = await stat(dirname(path));
  await chown(path, uid, gid).catch(() => {});
}
