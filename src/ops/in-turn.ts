/** Work that is asked for again and again, and done one at a time. */

/** The work, one at a time: whoever asks while it is at work shares the next turn with all who do. The promise resolves when a turn is done that began later. */
export function inTurn(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  const turn = (): Promise<void> => {
    if (running) {
      const go = (): Promise<void> => {
        next = undefined;
        return turn();
      };
      next ??= running.then(go, go);
      return next;
    }
    running = work().finally(() => {
      running = undefined;
    });
    return running;
  };
  return turn;
}
