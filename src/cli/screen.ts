/** Repaints a block of lines in place at the end of the terminal's text; ordinary lines scroll by above it. */
import type { WriteStream } from 'node:tty';

/** The block and what is above it. */
export interface Screen {
  /** Replaces the block. */
  paint(lines: readonly string[]): void;
  /** Writes text (with its newlines) above the block. */
  print(text: string): void;
  /** Leaves the block as it stands, and gives the cursor back. */
  close(): void;
}

// Control sequences of ECMA-48 and of xterm: hold and show what is painted (mode 2026), wrap, cursor.
const HOLD = '\u001b[?2026h\u001b[?25l\u001b[?7l';
const SHOW = '\u001b[?7h\u001b[?2026l';
const CURSOR = '\u001b[?25h';

/** Takes over the end of a terminal. */
export function openScreen(out: WriteStream): Screen {
  let block: readonly string[] = [];
  let height = 0;
  const up = () => (height > 0 ? `\u001b[${height}A\r\u001b[J` : '\r\u001b[J');
  const repaint = (above: string, clear = up()) => {
    out.write(`${HOLD}${clear}${above}${block.map((line) => `${line}\n`).join('')}${SHOW}`);
    height = block.length;
  };
  // After a change of width nobody knows how many lines the block takes: start on a clean page.
  const resized = () => repaint('', '\u001b[2J\u001b[H');
  const restore = () => void out.write(CURSOR);
  out.on('resize', resized);
  process.once('exit', restore);
  return {
    paint(lines) {
      block = lines;
      repaint('');
    },
    print(text) {
      repaint(text);
    },
    close() {
      out.off('resize', resized);
      process.off('exit', restore);
      restore();
    },
  };
}
