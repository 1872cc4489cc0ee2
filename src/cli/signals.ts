/** Signals that ask the process to end, or to read its configuration again. */
import { closeSync, openSync } from 'node:fs';

/** A signal that comes so soon after the first (milliseconds) is the same Ctrl-C, passed on by npm or a shell. */
const SAME = 500;

/**
 * Resolves with the first SIGINT, SIGTERM or SIGHUP; a second one ends the process at once, with 128 plus its number.
 * @param onReload called for each SIGHUP instead, unless that says that the terminal is gone
 */
export function untilSignal(onReload?: () => void): Promise<string> {
  const terminal = process.stdin.isTTY || process.stdout.isTTY;
  return new Promise((resolve) => {
    let first: number | undefined;
    // Waiting for a signal holds no process by itself; a gateway with nothing to do yet must not end.
    const hold = setInterval(() => {}, 3_600_000);
    const on = (name: 'SIGHUP' | 'SIGINT' | 'SIGTERM', number: number) =>
      process.on(name, () => {
        if (name === 'SIGHUP' && onReload && !hungUp(terminal)) return onReload();
        if (first !== undefined && performance.now() - first > SAME) process.exit(128 + number);
        first ??= performance.now();
        clearInterval(hold);
        resolve(name);
      });
    on('SIGHUP', 1);
    on('SIGINT', 2);
    on('SIGTERM', 15);
  });
}

/** True for a process that was started on a terminal, and has none any more: there is nobody left who could end it. */
function hungUp(terminal: boolean): boolean {
  if (!terminal) return false;
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return false;
  } catch {
    return true;
  }
}
