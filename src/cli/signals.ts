/** Signals that ask the process to end. */

/** A signal that comes so soon after the first (milliseconds) is the same Ctrl-C, passed on by npm or a shell. */
const SAME = 500;

/** Resolves with the first SIGINT, SIGTERM or SIGHUP; a second one ends the process at once, with 128 plus its number. */
export function untilSignal(): Promise<string> {
  return new Promise((resolve) => {
    let first: number | undefined;
    // Waiting for a signal holds no process by itself; a gateway with nothing to do yet must not end.
    const hold = setInterval(() => {}, 3_600_000);
    const on = (name: 'SIGHUP' | 'SIGINT' | 'SIGTERM', number: number) =>
      process.on(name, () => {
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
