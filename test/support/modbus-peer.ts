/** A Modbus TCP server on a bare socket that answers whatever a test wants. Knows nothing of the driver. */
import { createServer, type Server, type Socket } from 'node:net';

/** One request as it came. */
export interface Asked {
  readonly id: number;
  readonly unit: number;
  readonly code: number;
  readonly address: number;
  /** Count, or the value of functions 5 and 6. */
  readonly count: number;
  readonly pdu: Buffer;
  readonly socket: Socket;
}

/** Bytes to send back, or nothing. */
export type Answer = Buffer | undefined;

export interface ModbusPeer {
  readonly port: number;
  readonly asked: Asked[];
  readonly sockets: Set<Socket>;
  /** May be replaced at any time. */
  answer: (asked: Asked) => Answer;
  /** Ends every connection. */
  cut(): void;
  close(): Promise<void>;
}

/** A frame with its header. */
export function frame(
  id: number,
  unit: number,
  pdu: Uint8Array | number[],
  protocol = 0,
  length = pdu.length + 1,
): Buffer {
  const header = Buffer.alloc(7);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(protocol, 2);
  header.writeUInt16BE(length, 4);
  header[6] = unit;
  return Buffer.concat([header, Buffer.from(pdu)]);
}

/** What the register (or bit) at an address holds, so that a value read at another address gives itself away. */
export const wordAt = (address: number): number => (address * 40_503 + 12_345) & 0xffff;
export const bitAt = (address: number): boolean => (wordAt(address) & 0x10) !== 0;

/** The right answer to any read: every register tells its address. Writes are echoed. */
export function truthful({ id, unit, code, address, count, pdu }: Asked): Buffer {
  if (code > 4) return frame(id, unit, pdu.subarray(0, 5));
  if (code > 2) {
    const data = Buffer.alloc(count * 2);
    for (let at = 0; at < count; at += 1) data.writeUInt16BE(wordAt(address + at), at * 2);
    return frame(id, unit, [code, data.length, ...data]);
  }
  const data = Buffer.alloc(Math.ceil(count / 8));
  for (let at = 0; at < count; at += 1)
    if (bitAt(address + at)) data[at >> 3] = (data[at >> 3] as number) | (1 << (at & 7));
  return frame(id, unit, [code, data.length, ...data]);
}

/** An exception reply. */
export const refusing = ({ id, unit, code }: Asked, exception: number): Buffer =>
  frame(id, unit, [code | 0x80, exception]);

/** Listens on a free port of the loopback. */
export async function startModbusPeer(answer: (asked: Asked) => Answer = truthful): Promise<ModbusPeer> {
  const sockets = new Set<Socket>();
  const asked: Asked[] = [];
  const server: Server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    let received: Buffer = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 6 && received.length >= 6 + received.readUInt16BE(4)) {
        const end = 6 + received.readUInt16BE(4);
        const pdu = received.subarray(7, end);
        const request: Asked = {
          id: received.readUInt16BE(0),
          unit: received[6] as number,
          code: pdu[0] as number,
          // Function 43 has less.
          address: pdu.length < 5 ? 0 : pdu.readUInt16BE(1),
          count: pdu.length < 5 ? 0 : pdu.readUInt16BE(3),
          pdu,
          socket,
        };
        received = received.subarray(end);
        asked.push(request);
        const bytes = peer.answer(request);
        if (bytes) socket.write(bytes);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const peer: ModbusPeer = {
    port: typeof address === 'object' && address ? address.port : 0,
    asked,
    sockets,
    answer,
    cut: () => {
      for (const socket of sockets) socket.destroy();
    },
    close: () => {
      peer.cut();
      return new Promise((resolve) => {
        server.close(() => resolve());
      });
    },
  };
  return peer;
}

/** Resolves when the next request has come, and holds back its answer until it is released. */
export async function holdNext(peer: ModbusPeer): Promise<{ release(): void }> {
  const { answer } = peer;
  const held = await new Promise<Asked>((resolve) => {
    peer.answer = (asked) => {
      peer.answer = answer;
      resolve(asked);
      return undefined;
    };
  });
  return { release: () => void held.socket.write(answer(held) ?? '') };
}
