/**
 * The field: a Modbus TCP server on a bare socket, made to cost little. Any unit id exists on any connection; every register that
 * is read moves by a few counts, so that what is buffered compresses no better than real measurements do.
 */
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { answer } from '../peer.js';
import { percentile } from '../usage.js';

/** What the field was asked. `first` is the wall-clock time of the first request, milliseconds. */
export interface FieldCounts {
  readonly requests: number;
  readonly values: number;
  readonly first: number;
}

const REGISTERS = 256;
const MBAP = 7;

let [requests, values, first] = [0, 0, 0];
let random = 0x2545f491;
/** Milliseconds that a device thinks before it answers. */
let delay = 0;
/** When each unit of each connection was asked, while somebody watches. */
let asked: Map<string, number[]> | undefined;

const server = createServer({ noDelay: true }, (socket) => {
  const units = new Map<number, Uint16Array>();
  let rest: Buffer | undefined;
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    if (first === 0) first = Date.now();
    rest = serve(socket, rest ? Buffer.concat([rest, chunk]) : chunk, units);
  });
});

/** Answers all whole requests; gives what is left. */
function serve(socket: Socket, data: Buffer, units: Map<number, Uint16Array>): Buffer | undefined {
  let at = 0;
  while (data.length - at >= MBAP && data.length - at >= 6 + data.readUInt16BE(at + 4)) {
    const unit = data[at + 6] as number;
    let memory = units.get(unit);
    if (!memory) {
      memory = Uint16Array.from({ length: REGISTERS }, (_, i) => 1_000 + unit * 211 + i * 97);
      units.set(unit, memory);
    }
    note(`${socket.remotePort} ${unit}`);
    const bytes = reply(data.subarray(at, at + 12), memory);
    if (delay === 0) socket.write(bytes);
    else setTimeout(() => socket.write(bytes), delay);
    at += 6 + data.readUInt16BE(at + 4);
  }
  return at < data.length ? data.subarray(at) : undefined;
}

function note(unit: string): void {
  if (!asked) return;
  const times = asked.get(unit);
  if (times) times.push(performance.now());
  else asked.set(unit, [performance.now()]);
}

/** How late requests came, each unit's earliest taken as on time: 99 of 100 at most so, and the latest. */
function lateness(every: number): { p99: number; most: number } {
  const all = [...(asked?.values() ?? [])].flatMap((times) => {
    const [first = 0] = times;
    const off = times.map((at) => at - first - Math.round((at - first) / every) * every);
    const least = Math.min(...off);
    return off.map((ms) => ms - least);
  });
  asked = undefined;
  return { p99: percentile(all, 0.99), most: percentile(all, 1 - 1e-9) };
}

/** Modbus Application Protocol V1.1b3 §6.1 to §6.4, and §6.6; any other function is refused (exception 01). */
function reply(request: Buffer, memory: Uint16Array): Buffer {
  const code = request[7] as number;
  const address = request.readUInt16BE(8);
  const count = request.readUInt16BE(10);
  requests++;
  if (code === 6) {
    memory[address % REGISTERS] = count;
    return framed(request, request.subarray(MBAP));
  }
  if (code < 1 || code > 4) return framed(request, Buffer.from([code | 0x80, 1]));
  values += count;
  const bits = code <= 2;
  const bytes = bits ? Math.ceil(count / 8) : count * 2;
  const body = Buffer.allocUnsafe(2 + bytes);
  body[0] = code;
  body[1] = bytes;
  for (let i = 0; i < bytes; i += bits ? 1 : 2) {
    const register = moved(memory, address + i / 2);
    if (bits) body[2 + i] = register;
    else body.writeUInt16BE(register, 2 + i);
  }
  return framed(request, body);
}

function moved(memory: Uint16Array, address: number): number {
  random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0;
  const index = (address >>> 0) % REGISTERS;
  const value = ((memory[index] as number) + (random >>> 28) - 7) & 0xffff;
  memory[index] = value;
  return value;
}

function framed(request: Buffer, body: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(MBAP + body.length);
  request.copy(frame, 0, 0, MBAP);
  frame.writeUInt16BE(1 + body.length, 4);
  body.copy(frame, MBAP);
  return frame;
}

answer({
  listen: () =>
    new Promise<number>((resolve) => {
      server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
    }),
  counts: (): FieldCounts => ({ requests, values, first }),
  delay: (milliseconds: number) => {
    delay = milliseconds;
  },
  watch: () => {
    asked = new Map();
  },
  lateness,
  reset: () => {
    [requests, values, first] = [0, 0, 0];
  },
});
