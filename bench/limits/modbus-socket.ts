/** The limit of the field side: a bare socket that sends the same Modbus requests and turns the replies into numbers, no more. */
import { createConnection, type Socket } from 'node:net';
import { answer } from '../peer.js';

/** What to ask for: `every` 0 is as fast as it goes. */
export interface SocketLoad {
  readonly port: number;
  readonly connections: number;
  readonly devices: number;
  readonly registers: number;
  readonly every: number;
}

const HEAD = 9;
let values = 0;
let timer: NodeJS.Timeout | undefined;
let wires: Wire[] = [];

/** One connection: one request at a time, the units that are due in their order. */
class Wire {
  private readonly socket: Socket;
  private readonly due: number[] = [];
  private readonly request: Buffer;
  private received: Buffer = Buffer.alloc(0);
  private transaction = 0;
  private busy = false;
  latest: number[] = [];

  constructor(
    private readonly load: SocketLoad,
    private readonly units: number,
  ) {
    this.request = Buffer.from([0, 0, 0, 0, 0, 6, 1, 3, 0, 0, load.registers >> 8, load.registers & 0xff]);
    this.socket = createConnection({ port: load.port, host: '127.0.0.1', noDelay: true });
    this.socket.on('data', (chunk) => this.take(chunk));
  }

  /** Makes every unit due. */
  poll(): void {
    for (let unit = 1; unit <= this.units; unit++) this.due.push(unit);
    if (!this.busy) this.next();
  }

  end(): void {
    this.socket.destroy();
  }

  private next(): void {
    let unit = this.due.shift();
    if (unit === undefined && this.load.every === 0) unit = (this.transaction % this.units) + 1;
    this.busy = unit !== undefined;
    if (unit === undefined) return;
    this.transaction = (this.transaction + 1) & 0xffff;
    const request = Buffer.from(this.request);
    request.writeUInt16BE(this.transaction, 0);
    request[6] = unit;
    this.socket.write(request);
  }

  private take(chunk: Buffer): void {
    const data = this.received.length > 0 ? Buffer.concat([this.received, chunk]) : chunk;
    const size = HEAD + this.load.registers * 2;
    if (data.length < size) {
      this.received = data;
      return;
    }
    this.received = data.subarray(size);
    if (data.readUInt16BE(0) !== this.transaction) throw new Error('a reply to another request');
    const { registers } = this.load;
    const latest = new Array<number>(registers);
    for (let i = 0; i < registers; i++) latest[i] = data.readUInt16BE(HEAD + i * 2);
    this.latest = latest;
    values += registers;
    this.next();
  }
}

answer({
  start: (load: SocketLoad) => {
    wires = Array.from({ length: load.connections }, () => new Wire(load, load.devices / load.connections));
    for (const wire of wires) wire.poll();
    if (load.every === 0) return;
    // The wires take turns within a period, as devices do in a gateway.
    let turn = 0;
    timer = setInterval(() => wires[turn++ % wires.length]?.poll(), load.every / wires.length);
  },
  stop: () => {
    clearInterval(timer);
    for (const wire of wires) wire.end();
  },
  /** Registers brought home so far. */
  values: () => values,
});
