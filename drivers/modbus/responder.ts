/** Sends a server's answers, and does wrong with them what it is told to. Knows no wire. */
import type { Fault } from '../../src/driver.js';
import { answer, type Unit } from './server.js';

/** The way back to whoever asked. */
export interface WayBack {
  /** An answer (function and data) as it lies on this wire. */
  frame(pdu: Buffer): Buffer;
  write(bytes: Buffer): void;
  /** The same frame made invalid. */
  spoil(frame: Buffer): Buffer;
  /** Closes the connection, once what was written is out; a line has none to close. */
  drop(): void;
}

/** Server device failure and server device busy (Modbus Application Protocol V1.1b3 §7), one after the other. */
const REFUSALS = [4, 6] as const;

/** Gives what answers requests. `faults` is asked before each. */
export function makeResponder(
  faults: () => Fault = () => ({}),
): (unit: Unit | undefined, pdu: Buffer, way: WayBack) => void {
  let refused = 0;
  return (unit, pdu, way) => {
    const { kind, delay } = faults();
    const refusal = (): Buffer =>
      Buffer.from([(pdu[0] as number) | 0x80, REFUSALS[refused++ % REFUSALS.length] as number]);
    const frame = way.frame(kind === 'exception' ? refusal() : answer(unit, pdu));
    const send = (): void => {
      if (kind === 'timeout') return;
      if (kind === 'garbage') way.write(way.spoil(frame));
      else way.write(kind === 'drop' ? frame.subarray(0, frame.length >> 1) : frame);
      if (kind === 'drop') way.drop();
    };
    if (delay) setTimeout(send, delay).unref();
    else send();
  };
}
