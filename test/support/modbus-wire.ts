/** What tests ask over a wire of the Modbus driver, and what its peer answers. */
import { DATA_AT, Failure, readRequest } from '../../drivers/modbus/frame.js';
import type { Reply, Wire } from '../../drivers/modbus/wire.js';
import { type Answer, type Asked, truthful } from './modbus-peer.js';

/** Reads holding registers. */
export const ask = (wire: Wire, address: number, count = 1, unit = 1): Promise<Reply> =>
  wire.request(readRequest(unit, 'holding', address, count));

/** The registers of a reply, or why there is none. */
export const words = (reply: Reply): number[] | string =>
  reply instanceof Failure
    ? reply.reason
    : Array.from({ length: (reply.length - DATA_AT - 2) / 2 }, (_, at) => reply.readUInt16BE(DATA_AT + at * 2));

/** Answers of a list, one after the other; the right one when the list is at its end. */
export const inTurn = (...answers: ((asked: Asked) => Answer)[]): ((asked: Asked) => Answer) => {
  return (asked) => (answers.shift() ?? truthful)(asked);
};
