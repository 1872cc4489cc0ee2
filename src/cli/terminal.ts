/** What the terminal can do. */

/** Whether to colour what goes to this stream: a terminal, and not asked otherwise (no-color.org). */
export function useColor(stream: { isTTY?: boolean }): boolean {
  const { NO_COLOR, TERM } = process.env;
  return stream.isTTY === true && (NO_COLOR === undefined || NO_COLOR === '') && TERM !== 'dumb';
}

/** A piece of a line, and the colour it has where colours are shown. */
export type Span = string | readonly [text: string, style: Style];
export type Style = keyof typeof STYLES;

const STYLES = { bold: '1', dim: '2', red: '31', green: '32', yellow: '33', cyan: '36' } as const;

/** Joins spans into one line of at most `columns` characters; what does not fit ends in `…`. */
export function joinSpans(spans: readonly Span[], columns: number, color: boolean): string {
  const total = spans.reduce((sum, span) => sum + [...textOf(span)].length, 0);
  let left = total > columns ? columns - 1 : columns;
  let line = '';
  for (const span of spans) {
    const text = [...textOf(span)].slice(0, Math.max(left, 0)).join('');
    left -= [...text].length;
    line += color && typeof span !== 'string' && text !== '' ? `\u001b[${STYLES[span[1]]}m${text}\u001b[0m` : text;
  }
  return total > columns ? `${line}…` : line;
}

function textOf(span: Span): string {
  return typeof span === 'string' ? span : span[0];
}

/** A table of plain text: columns as wide as their widest cell, numbers (columns named in `right`) to the right. */
export function formatTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly string[] = [],
) {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => [...(row[i] ?? '')].length)));
  const line = (cells: readonly string[]) =>
    widths
      .map((width, i) => {
        const cell = cells[i] ?? '';
        const pad = ' '.repeat(width - [...cell].length);
        return right.includes(head[i] ?? '') ? pad + cell : cell + pad;
      })
      .join('  ')
      .trimEnd();
  return [line(head), ...rows.map(line)];
}
