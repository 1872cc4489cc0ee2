/** Signals that ask the process to end. */

/** Resolves with the first SIGINT or SIGTERM; a second one ends the process at once, with 128 plus its number. */
export function untilSignal(): Promise<string> {
  return new Promise((resolve) => {
    let asked = false;
    const on = (name: 'SIGINT' | 'SIGTERM', number: number) =>
      process.on(name, () => {
        if (asked) process.exit(128 + number);
        asked = true;
        resolve(name);
      });
    on('SIGINT', 2);
    on('SIGTERM', 15);
  });
}
