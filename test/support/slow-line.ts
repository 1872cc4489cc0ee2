/** A serial line with its own time, for tests on a faked clock: bytes take what they take at its speed, devices think before they answer. */
import type { Transport } from '../../drivers/modbus/transport.js';
import { crcOf, lineFrame } from './line-peer.js';

/** What the line was busy with: milliseconds, by unit. */
export class SlowLine implements Transport {
  readonly name = 'line';
  readonly busy = new Map<number, number>();
  readonly reads = new Map<number, number>();
  readonly #byteTime: number;
  readonly #answer: (unit: number) => number;
  readonly #dead: ReadonlySet<number>;
  #onData: (chunk: Buffer) => void = () => {};
  #asked: { unit: number; at: number } | undefined;

  /** A unit needs `answer` milliseconds; those in `dead` never answer. Every register holds its address. */
  constructor(byteTime: number, answer: (unit: number) => number, dead: Iterable<number>) {
    this.#byteTime = byteTime;
    this.#answer = answer;
    this.#dead = new Set(dead);
  }

  write(request: Buffer): void {
    this.rest();
    const [unit = 0, code = 0] = request;
    const frame = request.subarray(0, -2);
    if (Buffer.compare(request.subarray(-2), Buffer.from(crcOf(frame))) !== 0) throw new Error('wrong CRC');
    this.#asked = { unit, at: performance.now() };
    if (this.#dead.has(unit)) return;
    const [address, count] = [request.readUInt16BE(2), request.readUInt16BE(4)];
    const words = Buffer.alloc(2 * count);
    for (let at = 0; at < count; at += 1) words.writeUInt16BE(address + at, 2 * at);
    const reply = lineFrame('rtu', Buffer.from([unit, code, words.length, ...words]));
    const wait = (request.length + reply.length) * this.#byteTime + this.#answer(unit);
    setTimeout(() => {
      this.#add(unit, wait);
      this.#asked = undefined;
      this.reads.set(unit, (this.reads.get(unit) ?? 0) + 1);
      this.#onData(reply);
    }, wait);
  }

  /** Books what a request without reply took. */
  rest(): void {
    if (this.#asked) this.#add(this.#asked.unit, performance.now() - this.#asked.at);
    this.#asked = undefined;
  }

  listen(onData: (chunk: Buffer) => void): void {
    this.#onData = onData;
  }

  async close(): Promise<void> {}

  #add(unit: number, milliseconds: number): void {
    this.busy.set(unit, (this.busy.get(unit) ?? 0) + milliseconds);
  }
}
