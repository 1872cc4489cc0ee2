/** A turn on a wire: the one way in which anything but polling reaches a device. */
import type { Session } from '../driver.js';

/** What a turn lends. It lasts until the work's promise settles; meanwhile the wire takes one call less at once. */
export interface Turn {
  readonly session: Session;
  /** Aborts when whoever asked is gone, or the wire is. */
  readonly signal: AbortSignal;
  /** Says that long work (a scan) still moves: a minute without a sign, and the driver is taken to be stuck. */
  alive(): void;
}

/**
 * Does the work in the wire's next turn.
 * @throws what the work throws; TidegateError LINK_DOWN when the wire is not there, or goes before the work is done; the
 *   signal's reason when that aborts
 */
export type RunTurn = <T>(work: (turn: Turn) => Promise<T>, signal?: AbortSignal) => Promise<T>;
