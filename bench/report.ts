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

export type Unit = 'share' | 'MB' | 'ms' | 'µs' | 'perSecond' | 'bytes' | 'count';

export type Verdict = 'ok' | 'missed' | 'not measured' | '';

/** How a figure stands against what it must be. */
export function verdictOf({ value, most, least }: Row): Verdict {
  if (Number.isNaN(value)) return 'not measured';
  if (most === undefined && least === undefined) return '';
  return value <= (most ?? Number.POSITIVE_INFINITY) && value >= (least ?? 0) ? 'ok' : 'missed';
}

/** How many times the limit; above 1 is dearer, or faster for a rate. */
export function ratioOf({ value, limit }: Row): number | undefined {
  return limit && limit.value > 0 && !Number.isNaN(value) ? value / limit.value : undefined;
}

/** The rows as a table for people. */
export function tableOf(rows: readonly Row[]): string {
  const cells = [
    ['', 'measured', 'must be', '', 'physical limit', 'ratio'],
    ...rows.map((row) => [
      row.name,
      show(row.value, row.unit),
      row.most !== undefined
        ? `≤ ${show(row.most, row.unit)}`
        : row.least !== undefined
          ? `≥ ${show(row.least, row.unit)}`
          : '',
      verdictOf(row),
      row.limit ? `${show(row.limit.value, row.unit)} ${row.limit.of}` : '',
      ratioOf(row)?.toFixed(2) ?? '',
    ]),
  ];
  const widths = cells[0]?.map((_, column) => Math.max(...cells.map((line) => line[column]?.length ?? 0))) ?? [];
  const lines = cells.map((line) =>
    line
      .map((cell, i) => (i === 0 || i >= 3 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
  return `${lines.join('\n')}\n`;
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
    case 'count':
      return String(value);
  }
}
