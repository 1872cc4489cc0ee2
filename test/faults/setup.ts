/** Before and after all fault tests: a folder for mounts and rows; whatever a killed test left mounted goes; the report is printed. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from '../house/tree.js';
import { rowsIn, tableOf, writeBetweenMarks } from './report.js';
import { unmountBelow } from './volume.js';

/** Called by vitest; `REPORT=docs` also writes the table into docs/delivery.md. */
export default function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'tidegate-faults-'));
  process.env.TIDEGATE_FAULTS = folder;
  return () => {
    unmountBelow(folder);
    const rows = rowsIn(folder);
    rmSync(folder, { recursive: true, force: true });
    if (rows.length === 0) return;
    const table = tableOf(rows);
    process.stdout.write(`\n${table}\n`);
    if (process.env.REPORT === 'docs') writeBetweenMarks(join(root, 'docs/delivery.md'), table);
  };
}
