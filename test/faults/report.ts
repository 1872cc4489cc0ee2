/** What each fault cost: one row for each, the sum of its tests, printed as a table when all have run. */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What came of one fault. Counts are events. */
export interface Row {
  readonly fault: string;
  /** How many times the fault struck. */
  readonly runs: number;
  /** How many events had to arrive. */
  readonly events: number;
  /** Neither arrived nor told. */
  readonly lost: number;
  /** Given up, and told: in a gap, or in the log of a stop with a dead disk. */
  readonly told: number;
  readonly duplicated: number;
  readonly reordered: number;
}

const COLUMNS = ['fault', 'runs', 'events', 'lost', 'told', 'duplicated', 'reordered'];
const MARKS = { begin: '<!-- faults: begin -->', end: '<!-- faults: end -->' };

/** Where a run of the fault tests keeps its rows and mounts; undefined outside of one. */
export function runFolder(): string | undefined {
  return process.env.TIDEGATE_FAULTS;
}

/** Adds a row to the report; rows of the same fault become one. */
export function record(row: Row): void {
  const folder = runFolder();
  if (folder) appendFileSync(join(folder, 'rows'), `${JSON.stringify(row)}\n`);
}

/** All rows of a run, by the name of the fault. */
export function rowsIn(folder: string): Row[] {
  const file = join(folder, 'rows');
  if (!existsSync(file)) return [];
  const rows = new Map<string, Row>();
  for (const line of readFileSync(file, 'utf8').trim().split('\n')) {
    const row = JSON.parse(line) as Row;
    const sum = rows.get(row.fault);
    rows.set(row.fault, sum ? total(sum, row) : row);
  }
  return [...rows.values()].sort((a, b) => a.fault.localeCompare(b.fault, 'en'));
}

function total(a: Row, b: Row): Row {
  return {
    fault: a.fault,
    runs: a.runs + b.runs,
    events: a.events + b.events,
    lost: a.lost + b.lost,
    told: a.told + b.told,
    duplicated: a.duplicated + b.duplicated,
    reordered: a.reordered + b.reordered,
  };
}

/** The rows as a Markdown table. */
export function tableOf(rows: readonly Row[]): string {
  const cells = [
    COLUMNS,
    ...rows.map(({ fault, ...counts }) => [fault, ...Object.values(counts).map((count) => count.toLocaleString('en'))]),
  ];
  const widths = COLUMNS.map((_, column) => Math.max(3, ...cells.map((line) => line[column]?.length ?? 0)));
  const line = (texts: readonly string[]): string =>
    `| ${texts.map((text, i) => (i === 0 ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0))).join(' | ')} |`;
  const rule = `|${widths.map((width, i) => (i === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  return [line(cells[0] ?? []), rule, ...cells.slice(1).map(line)].join('\n');
}

/** Puts a table between the marks of a page. @throws Error when the page has none */
export function writeBetweenMarks(page: string, table: string): void {
  const text = readFileSync(page, 'utf8');
  const [begin, end] = [text.indexOf(MARKS.begin), text.indexOf(MARKS.end)];
  if (begin < 0 || end < begin) throw new Error(`${page} has no ${MARKS.begin} … ${MARKS.end}`);
  writeFileSync(page, `${text.slice(0, begin + MARKS.begin.length)}\n${table}\n${text.slice(end)}`);
}
