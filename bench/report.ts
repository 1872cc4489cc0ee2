/** What is printed: one row for each figure, with what it must be and the physical limit beside it. */

/** One figure. Shares of a core, bytes, milliseconds, readings per second: `unit` says how it is shown. */
export interface Row {
  readonly name: string;
  readonly value: number;
  readonly unit: Unit;
  /** At most this, or at least this. */
  readonly most?: number;
  readonly least?: number;
  /** Must hold on any machine, however busy: counts, not times. */
  readonly exact?: boolean;
  /** What the machine takes at least for the same work. */
  readonly limit?: { readonly of: string; readonly value: number };
}

export type Unit = 'share' | 'MB' | 'ms' | 'µs' | 'perSecond' | 'bytes' | 'times' | 'GB a day' | 'count';

export type Verdict = 'ok' | 'missed' | 'not measured' | '';

/** How a figure stands against what it must be. */
export function verdictOf({ value, most, least }: Row): Verdict {
  if (Number.isNaN(value)) return 'not measured';
  if (most === undefined && least === undefined) return '';
  return value <= (most ?? Number.POSITIVE_INFINITY) && value >= (least ?? 0) ? 'ok' : 'missed';
}

/** How many times the limit; above 1 is dearer, or faster for a rate. */
function ratioOf({ value, limit }: Row): number | undefined {
  return limit && limit.value > 0 && !Number.isNaN(value) ? value / limit.value : undefined;
}

/** The rows as a table for people. */
export function tableOf(rows: readonly Row[]): string {
  const cells = cellsOf(rows);
  const widths = HEAD.map((_, column) => Math.max(...cells.map((line) => line[column]?.length ?? 0)));
  const pad = (text: string, column: number): string =>
    column === 1 || column === 2 ? text.padStart(widths[column] ?? 0) : text.padEnd(widths[column] ?? 0);
  return `${cells.map((line) => line.map(pad).join('  ').trimEnd()).join('\n')}\n`;
}

/** The rows as a table for a document. */
export function markdownOf(rows: readonly Row[]): string {
  const [head, ...lines] = cellsOf(rows).map((line) => `| ${line.join(' | ')} |`);
  return [head, '|---|--:|--:|---|---|--:|', ...lines].join('\n');
}

const HEAD = ['', 'measured', 'must be', '', 'physical limit', 'ratio'];

function cellsOf(rows: readonly Row[]): string[][] {
  return [
    HEAD,
    ...rows.map((row) => {
      const { name, value, unit, most, least, limit } = row;
      const bound = most !== undefined ? `≤ ${show(most, unit)}` : least !== undefined ? `≥ ${show(least, unit)}` : '';
      const beside = limit ? `${show(limit.value, unit)} ${limit.of}` : '';
      return [name, show(value, unit), bound, verdictOf(row), beside, ratioOf(row)?.toFixed(2) ?? ''];
    }),
  ];
}

/** The rows for programs. */
export function jsonOf(rows: readonly Row[]): unknown {
  return rows.map((row) => ({
    ...row,
    value: Number.isNaN(row.value) ? null : row.value,
    ratio: ratioOf(row) ?? null,
    verdict: verdictOf(row),
  }));
}

function show(value: number, unit: Unit): string {
  if (Number.isNaN(value)) return '–';
  switch (unit) {
    case 'share':
      return `${(value * 100).toFixed(1)} %`;
    case 'MB':
      return `${(value / 1e6).toFixed(0)} MB`;
    case 'ms':
      return `${value.toFixed(0)} ms`;
    case 'µs':
      return `${value.toFixed(2)} µs`;
    case 'perSecond':
      return `${(Math.round(value / 100) * 100).toLocaleString('en')}/s`;
    case 'bytes':
      return `${value.toFixed(value === 0 ? 0 : 1)} B`;
    case 'times':
      return `${value.toFixed(1)} ×`;
    case 'GB a day':
      return `${(value / 1e9).toFixed(1)} GB/day`;
    case 'count':
      return String(value);
  }
}
