/** Signals that ask the process to end. */

/** A signal that comes so soon after the first (milliseconds) is the same Ctrl-C, passed on by npm or a shell. */
const SAME = 500;

/** Resolves with the first SIGINT, SIGTERM or SIGHUP; a second one ends the process at once, with 128 plus its number. */
export function untilSignal(): Promise<string> {
  return new Promise((resolve) => {
    let first: number | undefined;
    const on = (name: 'SIGHUP' | 'SIGINT' | 'SIGTERM', number: number) =>
      process.on(name, () => {
        if (first !== undefined && performance.now() - first > SAME) process.exit(128 + number);
        first ??= performance.now();
        resolve(name);
      });
    on('SIGHUP', 1);
    on('SIGINT', 2);
    on('SIGTERM', 15);
  });
}
