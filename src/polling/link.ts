/** Opens and closes sessions within time limits that hold whatever a driver does. */
import type { Driver, DriverContext, Session } from '../driver.js';
import { TidegateError } from '../errors.js';

/** Milliseconds for one attempt to open; drivers have shorter limits of their own. */
const OPENING = 60_000;
/** Milliseconds to wait for a session to close. */
const CLOSING = 1_500;
const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 60_000;

/** Pauses between attempts: none, then 1 s doubling to 60 s, each a quarter more or less by chance. */
export class Backoff {
  #attempts = 0;

  /** Milliseconds to wait before the next attempt. */
  next(): number {
    const attempt = this.#attempts++;
    if (attempt === 0) return 0;
    return Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1)) * (0.75 + Math.random() / 2);
  }

  /** The next attempt comes at once. */
  reset(): void {
    this.#attempts = 0;
  }

  /** The next attempt does not come at once. */
  slow(): void {
    this.#attempts = Math.max(1, this.#attempts);
  }
}

/**
 * Opens a session.
 * @throws TidegateError LINK_DOWN when it takes too long or `signal` aborts, and whatever the driver throws
 */
export async function openSession(
  driver: Driver,
  settings: unknown,
  context: DriverContext,
  signal: AbortSignal,
): Promise<Session> {
  let late = false;
  const opening = driver.open(settings, context).then((session) => {
    if (late) void closeSession(session);
    return session;
  });
  try {
    return await race(opening, OPENING, signal);
  } catch (error) {
    late = true;
    throw error;
  }
}

/** Closes a session, or gives up on it in time. Never throws. */
export async function closeSession(session: Session): Promise<void> {
  try {
    await race(session.close(), CLOSING);
  } catch {
    // Nothing is lost with a session that does not close: no call will reach it again.
  }
}

/** Waits; ends early when `signal` aborts. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  if (milliseconds === 0) return;
  await race(new Promise<never>(() => {}), milliseconds, signal).catch(() => {});
}

/** Waits until something is ready; ends early when `signal` aborts. */
export async function until(ready: Promise<void>, signal: AbortSignal): Promise<void> {
  await race(ready, undefined, signal).catch(() => {});
}

function race<T>(promise: Promise<T>, milliseconds: number | undefined, signal?: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => {
      end();
      reject(
        new TidegateError(
          'LINK_DOWN',
          signal?.aborted ? 'stopped' : `the driver took over ${(milliseconds ?? 0) / 1000} s`,
        ),
      );
    };
    const timer = milliseconds === undefined ? undefined : setTimeout(giveUp, milliseconds);
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', giveUp);
    };
    signal?.addEventListener('abort', giveUp);
    if (signal?.aborted) giveUp();
    promise.finally(end).then(resolve, reject);
  });
}
