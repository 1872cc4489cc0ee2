/** Modbus devices on a line, at the far end of a byte stream or of datagrams. Answers whatever a test wants; knows nothing of the driver. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { Answer, Asked } from './modbus-peer.js';

/** How frames lie on the line. */
export type LineForm = 'rtu' | 'ascii';

/** The other end. */
export interface LinePeer {
  readonly port: number;
  readonly asked: Asked[];
  /** May be replaced at any time. Bytes that `onLine` made are sent as they are, frames of Modbus TCP as the line has them. */
  answer: (asked: Asked) => Answer;
  /** Sends raw bytes. */
  send(bytes: Uint8Array): void;
  /** Ends every connection. */
  cut(): void;
  close(): Promise<void>;
}

const raw = new WeakSet<Buffer>();

/** Bytes to be sent as they are: noise, halves, two frames at once. */
export function onLine(...parts: (Uint8Array | number[])[]): Buffer {
  const bytes = Buffer.concat(parts.map((part) => Buffer.from(part)));
  raw.add(bytes);
  return bytes;
}

/** The bits of the CRC one by one, as the specification describes it: not the table that the driver uses. */
export function crcOf(bytes: Uint8Array): [number, number] {
  let crc = 0xffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >> 1) ^ 0xa001 : crc >> 1;
  }
  return [crc & 0xff, crc >> 8];
}

/** Unit id, function and data as they lie on the line. */
export function lineFrame(form: LineForm, frame: Uint8Array): Buffer {
  if (form === 'rtu') return Buffer.from([...frame, ...crcOf(frame)]);
  const sum = frame.reduce((total, byte) => total + byte, 0);
  const body = Buffer.from([...frame, (256 - (sum & 0xff)) & 0xff]);
  return Buffer.from(`:${body.toString('hex').toUpperCase()}\r\n`);
}

/** Listens on TCP: a gateway that passes bytes on to a line. */
export async function startLinePeer(form: LineForm, answer: (asked: Asked) => Answer): Promise<LinePeer> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    let received: Buffer = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      for (let one = take(form, received); one; one = take(form, received)) {
        received = received.subarray(one.length);
        const asked = askedFrom(one.frame, socket);
        peer.asked.push(asked);
        const bytes = peer.answer(asked);
        if (bytes) socket.write(raw.has(bytes) ? bytes : lineFrame(form, bytes.subarray(6)));
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const peer: LinePeer = {
    port: (server.address() as AddressInfo).port,
    asked: [],
    answer,
    send: (bytes) => sockets.forEach((socket) => void socket.write(bytes)),
    cut: () => sockets.forEach((socket) => void socket.destroy()),
    close: () => {
      peer.cut();
      return new Promise((resolve) => void server.close(() => resolve()));
    },
  };
  return peer;
}

/** Listens on UDP: Modbus TCP frames in datagrams. */
export async function startUdpPeer(answer: (asked: Asked) => Answer): Promise<LinePeer> {
  const socket = createSocket('udp4');
  let from: { address: string; port: number } | undefined;
  socket.on('message', (datagram, sender) => {
    from = sender;
    const asked = { ...askedFrom(datagram.subarray(6), undefined as never), id: datagram.readUInt16BE(0) };
    peer.asked.push(asked);
    const bytes = peer.answer(asked);
    if (bytes) socket.send(bytes, sender.port, sender.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  let open = true;
  const peer: LinePeer = {
    port: socket.address().port,
    asked: [],
    answer,
    send: (bytes) => from && socket.send(bytes, from.port, from.address),
    cut: () => {},
    async close() {
      if (open) socket.close();
      open = false;
    },
  };
  return peer;
}

/** The first whole request. */
function take(form: LineForm, received: Buffer): { frame: Buffer; length: number } | undefined {
  if (form === 'ascii') {
    const end = received.indexOf('\r\n');
    if (end < 0) return undefined;
    return { frame: Buffer.from(received.toString('latin1', 1, end - 2), 'hex'), length: end + 2 };
  }
  if (received.length < 7) return undefined;
  const code = received[1] as number;
  const length = code === 15 || code === 16 ? 9 + (received[6] as number) : ({ 22: 10, 43: 7 }[code] ?? 8);
  if (received.length < length) return undefined;
  const frame = received.subarray(0, length - 2);
  const [low, high] = crcOf(frame);
  if (received[length - 2] !== low || received[length - 1] !== high) throw new Error('the request has a wrong CRC');
  return { frame, length };
}

function askedFrom(frame: Buffer, socket: Socket): Asked {
  const pdu = frame.subarray(1);
  return {
    id: 0,
    unit: frame[0] as number,
    code: pdu[0] as number,
    address: pdu.length < 5 ? 0 : pdu.readUInt16BE(1),
    count: pdu.length < 5 ? 0 : pdu.readUInt16BE(3),
    pdu,
    socket,
  };
}
