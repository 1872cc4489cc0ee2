/** How long a process had to wait, for the processor and for `fsync`, as it tells itself: what no program could do better is no fault of ours. */
import { readFileSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';

/** Milliseconds between two looks. */
const EVERY = 20;

/** Writes and syncs a line again and again until the process dies: when, and how much longer than it should the last time took. */
export async function tellStalls(path: string): Promise<void> {
  const file = await open(path, 'w');
  for (let wait = 0; ; ) {
    const since = performance.now();
    await file.write(`${Date.now()} ${Math.ceil(wait)}\n`);
    await file.sync();
    await new Promise((resolve) => setTimeout(resolve, EVERY).unref());
    wait = performance.now() - since - EVERY;
  }
}

/**
 * What a process told that lost its power at a time (milliseconds since 1970), and may have gone on for a moment. The next one tells anew.
 * @returns gives the longest wait after another time, in milliseconds; a wait that it died in counts. Infinite if it never came to tell
 */
export function stallsTold(path: string, died: number): (since: number) => number {
  const lines = read(path).matchAll(/^(\d+) (\d+)\n/gm);
  const told = Array.from(lines, ([, at, wait]) => ({ at: Number(at), wait: Number(wait) }));
  const last = told.at(-1);
  if (!last) return () => Number.POSITIVE_INFINITY;
  return (since) =>
    told.reduce(
      (longest, { at, wait }) => (at < since ? longest : Math.max(longest, wait)),
      Math.max(0, died - last.at),
    );
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  } finally {
    rmSync(path, { force: true });
  }
}
