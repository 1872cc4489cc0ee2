/**
 * How requests and replies lie on a line that takes one request at a time: RTU, ASCII (Modbus over Serial Line V1.02 §2.5), and the
 * frames of Modbus TCP in datagrams. A frame inside of Tidegate is unit id, function and data, with two spare bytes.
 */
import { crc16, lrc } from './checksum.js';
import { CRC_LENGTH, DATA_AT, replyLength } from './frame.js';

/** One way to put frames on a line. */
export interface Framing {
  /** True when every chunk that comes in is whole: a datagram. */
  readonly datagrams: boolean;
  /** Bytes on the wire of the shortest reply: what is shorter is a glitch, as drivers of RS-485 make when they turn round. */
  readonly shortest: number;
  /** The bytes to send. */
  encode(request: Buffer): Buffer;
  /**
   * Looks for a frame that can answer the request, wherever it begins: noise before it does no harm.
   * @returns the frame, or undefined while there is none
   */
  find(request: Buffer, received: Buffer): Buffer | undefined;
  /** Bytes on the wire of the longest regular reply, for the time that it takes. */
  lengthOfReply(request: Buffer): number;
}

/** Bytes of the longest frame without checksum. */
const LONGEST = 254;
/** Bytes of an exception reply without checksum. */
const EXCEPTION = 3;

/** Binary, with a CRC. */
export const rtu: Framing = {
  datagrams: false,
  shortest: EXCEPTION + CRC_LENGTH,
  encode(request) {
    const end = request.length - CRC_LENGTH;
    request.writeUInt16LE(crc16(request, 0, end), end);
    return request;
  },
  find(request, received) {
    for (let at = 0; at + EXCEPTION + CRC_LENGTH <= received.length; at += 1) {
      if (received[at] !== request[0]) continue;
      const length = lengthAt(request, received, at);
      if (length === undefined || at + length + CRC_LENGTH > received.length) continue;
      const end = at + length;
      if (crc16(received, at, end) === received.readUInt16LE(end)) return received.subarray(at, end + CRC_LENGTH);
    }
    return undefined;
  },
  lengthOfReply: (request) => (replyLength(request) ?? LONGEST) + CRC_LENGTH,
};

/** Length of the reply that begins at `at`, without checksum; undefined when it does not answer the request. */
function lengthAt(request: Buffer, received: Buffer, at: number): number | undefined {
  const code = received[at + 1] as number;
  if (code === ((request[1] as number) | 0x80)) return EXCEPTION;
  const length = replyLength(request, received.subarray(at));
  const fits = code === request[1] && (code > 4 || received[at + 2] === (length as number) - DATA_AT);
  return fits ? length : undefined;
}

const COLON = 0x3a;
const END = '\r\n';

/** Hexadecimal text between a colon and a line's end, with an LRC. */
export const ascii: Framing = {
  datagrams: false,
  shortest: 5 + 2 * EXCEPTION,
  encode(request) {
    const frame = request.subarray(0, request.length - CRC_LENGTH);
    return Buffer.from(`:${hex(frame)}${hex([lrc(frame)])}${END}`, 'latin1');
  },
  find(request, received) {
    for (let from = received.indexOf(COLON); from >= 0; from = received.indexOf(COLON, from + 1)) {
      const to = received.indexOf(END, from, 'latin1');
      if (to < 0) return undefined;
      const text = received.toString('latin1', from + 1, to);
      if (!/^(?:[0-9A-Fa-f]{2}){4,256}$/.test(text)) continue;
      const bytes = Buffer.from(text, 'hex');
      if (lrc(bytes) !== 0 || bytes[0] !== request[0]) continue;
      const length = lengthAt(request, bytes, 0);
      if (length === bytes.length - 1) return Buffer.concat([bytes.subarray(0, length), Buffer.alloc(CRC_LENGTH)]);
    }
    return undefined;
  },
  lengthOfReply: (request) => 5 + 2 * (replyLength(request) ?? LONGEST),
};

const HEADER = 6;

/** The frames of Modbus TCP, one in each datagram; the transaction id tells a late reply from the one asked for. */
export function datagrams(): Framing {
  let id = 0;
  return {
    datagrams: true,
    shortest: HEADER + EXCEPTION,
    encode(request) {
      id = (id + 1) & 0xffff;
      const length = request.length - CRC_LENGTH;
      const frame = Buffer.alloc(HEADER + length);
      frame.writeUInt16BE(id, 0);
      frame.writeUInt16BE(length, 4);
      request.copy(frame, HEADER, 0, length);
      return frame;
    },
    find(request, received) {
      const length = received.length - HEADER;
      if (length < EXCEPTION || received.readUInt16BE(0) !== id || received.readUInt16BE(2) !== 0) return undefined;
      if (received.readUInt16BE(4) !== length || received[HEADER] !== request[0]) return undefined;
      if (lengthAt(request, received, HEADER) !== length) return undefined;
      return Buffer.concat([received.subarray(HEADER), Buffer.alloc(CRC_LENGTH)]);
    },
    lengthOfReply: (request) => HEADER + (replyLength(request) ?? LONGEST),
  };
}

function hex(bytes: Uint8Array | readonly number[]): string {
  return Buffer.from(bytes).toString('hex').toUpperCase();
}
