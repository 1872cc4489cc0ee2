/** Turns on a wire that is opened for them alone, while no gateway holds it. */
import type { Session } from '../driver.js';
import type { RunTurn } from './turn.js';

/**
 * Opens a wire, lends it, and closes it.
 * @throws what opening or the use of it throws
 */
export async function onOwnWire<T>(open: () => Promise<Session>, use: (run: RunTurn) => Promise<T>): Promise<T> {
  const session = await open();
  const never = new AbortController().signal;
  try {
    return await use((work, signal = never) => work({ session, signal, alive: () => {} }));
  } finally {
    await session.close();
  }
}
