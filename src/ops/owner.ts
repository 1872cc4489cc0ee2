/**
 * Whose work it was: an error that nobody caught (a driver throws in a timer, rejects a promise that nobody waits for) ends the work
 * that it came from, and not the process. Node keeps the store of the work that failed while it tells of the failure.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

type Crashed = (error: unknown) => void;

const owner = new AsyncLocalStorage<Crashed | undefined>();

/** Does work, whatever it starts included, for an owner, who is told of each error in it that nobody caught. */
export function owned<T>(crashed: Crashed, work: () => T): T {
  return owner.run(crashed, work);
}

/** Does work that is nobody's: what others do with the news of owned work. */
export function disowned<T>(work: () => T): T {
  return owner.run(undefined, work);
}

/** Tells the owner of the work that an uncaught error came from. Gives false when it has none. */
export function tellOwner(error: unknown): boolean {
  const crashed = owner.getStore();
  crashed?.(error);
  return crashed !== undefined;
}
