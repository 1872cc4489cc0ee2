/** What carries requests to devices and brings back their replies, whatever it is made of. */
import type { Failure } from './frame.js';
import { framingOf, type ModbusConnection } from './schema.js';

/** The frame that answers (unit id, function, data, two spare bytes), or why there is none. */
export type Reply = Buffer | Failure;

/** One wire. Every request settles: with its own reply, with a failure, or by rejecting when the wire is gone. */
export interface Wire {
  /** While true, silence is not held against the connection: whoever is asked may not be there. */
  patient: boolean;
  /** Milliseconds that devices typically take to answer, beside the time of the bytes; undefined until one has. */
  readonly answerTime: number | undefined;
  /**
   * Sends a request made by `frame.ts`, as soon as there is room on the wire. The buffer may be used again once it settles.
   * @throws TidegateError LINK_DOWN when the connection is gone
   */
  request(request: Buffer): Promise<Reply>;
  /** Rejects all that is pending and lets go of the wire, within half a second whatever the other side does. */
  close(): Promise<void>;
}

/** A running mean that forgets slowly: what is typical after one more observation. */
export function typical(before: number | undefined, observed: number): number {
  return before === undefined ? Math.max(0, observed) : before + (Math.max(0, observed) - before) / 16;
}

/**
 * Opens the wire that a connection describes. `stray` is told of what came in and answers nothing.
 * @throws TidegateError LINK_DOWN when it cannot be opened in time
 */
export async function openWire(connection: ModbusConnection, stray: (what: string) => void): Promise<Wire> {
  if (connection.tcp && framingOf(connection) === 'tcp') {
    const { timeout, in_flight: inFlight, pause } = connection;
    const { openTcpWire } = await import('./tcp-wire.js');
    return openTcpWire({ ...connection.tcp, timeout, inFlight, pause, stray });
  }
  const { openLine } = await import('./line.js');
  return openLine(connection, stray);
}
