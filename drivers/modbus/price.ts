/** What reads cost on a wire, in milliseconds: what joining requests across a gap saves, and what it costs. */
import { framingOf, isBitTable, lineOf, type ModbusConnection, type Table } from './schema.js';

/** The price of a read: that of a request, and that of each register in it, wanted or not. */
export interface Price {
  readonly request: number;
  readonly register: number;
}

/** As few requests as can be, and among those as few registers. */
export const FEWEST: Price = { request: 1_000, register: 0.001 };

/** Milliseconds between two looks at what was measured. */
const REVIEW = 30_000;
/** Milliseconds until a device answers, beside the time of the bytes, as long as nobody has measured it. */
const ANSWER_ON_LINE = 20;
const ANSWER_ON_TCP = 5;
/** Bytes of an RTU request and its reply that carry no data: 8 and 5. ASCII takes two characters for each, and 4 or 3 more around them. */
const RTU_BYTES = 13;
const ASCII_BYTES = 2 * 11 + 7;
/** A register on a wire whose speed nobody has told: next to nothing, but not nothing. */
const NEXT_TO_NOTHING = 0.01;

/** The price of reads on a connection. `answer`: milliseconds that its devices typically take, as measured. */
export function priceOf(connection: ModbusConnection, answer: number | undefined): Price {
  const line = lineOf(connection);
  if (!line) return { request: (answer ?? ANSWER_ON_TCP) + connection.pause, register: NEXT_TO_NOTHING };
  const { byteTime, silence } = line;
  const isText = framingOf(connection) === 'ascii';
  return {
    request:
      (answer ?? ANSWER_ON_LINE) + Math.max(silence, connection.pause) + byteTime * (isText ? ASCII_BYTES : RTU_BYTES),
    register: byteTime * (isText ? 4 : 2),
  };
}

/**
 * The price on a wire as it is measured: the same object until it has moved far, and looked at only now and then, since every plan hangs
 * on it. `answer` gives what `priceOf` takes.
 */
export function followPrice(connection: ModbusConnection, answer: () => number | undefined): () => Price {
  let price = priceOf(connection, undefined);
  let reviewAt = performance.now() + REVIEW;
  return () => {
    const now = performance.now();
    if (now < reviewAt) return price;
    reviewAt = now + REVIEW;
    const next = priceOf(connection, answer());
    if (differs(next, price)) price = next;
    return price;
  };
}

/** A half more or less: enough to change a plan, and more than measuring wavers. */
function differs(one: Price, other: Price): boolean {
  const ratio = one.request / one.register / (other.request / other.register);
  return ratio > 1.5 || ratio < 1 / 1.5;
}

/** What one read of so many registers or bits costs. */
export function costOf({ request, register }: Price, table: Table, count: number): number {
  return request + register * (isBitTable(table) ? Math.ceil(count / 16) : count);
}
