/** A bare socket that sends Modbus requests and turns the replies into numbers, no more. */
import { createConnection, type Socket } from 'node:net';

/** What to ask for. */
export interface WireLoad {
  readonly port: number;
  readonly connections: number;
  readonly devices: number;
  readonly registers: number;
}

const HEAD = 9;

/** One connection: one request at a time, units in the order in which they were asked for. */
export class Wire {
  private readonly socket: Socket;
  private readonly due: number[] = [];
  private readonly request: Buffer;
  private received: Buffer = Buffer.alloc(0);
  private transaction = 0;
  private busy = false;

  /** @param taken called with each reply's registers; what it asks for comes next */
  constructor(
    private readonly load: WireLoad,
    private readonly taken: (registers: number[], wire: Wire) => void,
  ) {
    this.request = Buffer.from([0, 0, 0, 0, 0, 6, 1, 3, 0, 0, load.registers >> 8, load.registers & 0xff]);
    this.socket = createConnection({ port: load.port, host: '127.0.0.1', noDelay: true });
    this.socket.on('data', (chunk) => this.take(chunk));
  }

  ask(unit: number): void {
    this.due.push(unit);
    if (!this.busy) this.next();
  }

  private next(): void {
    const unit = this.due.shift();
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
    const { registers } = this.load;
    const size = HEAD + registers * 2;
    if (data.length < size) {
      this.received = data;
      return;
    }
    this.received = data.subarray(size);
    if (data.readUInt16BE(0) !== this.transaction) throw new Error('a reply to another request');
    const values = new Array<number>(registers);
    for (let i = 0; i < registers; i++) values[i] = data.readUInt16BE(HEAD + i * 2);
    this.next();
    this.taken(values, this);
  }
}

/** All connections, asked at the times at which a gateway asks: within a period one unit after another, on every wire at once. */
export class Wires {
  private readonly wires: Wire[];
  private timer: NodeJS.Timeout | undefined;
  /** Milliseconds between two polls of a unit; 0 is as fast as it goes. */
  every = 0;

  constructor(
    private readonly load: WireLoad,
    taken: (registers: number[], wire: Wire) => void,
  ) {
    this.wires = Array.from({ length: load.connections }, () => new Wire(load, taken));
  }

  pace(every: number): void {
    this.every = every;
    clearInterval(this.timer);
    const { devices, connections } = this.load;
    const units = devices / connections;
    let turn = 0;
    const ask = (): void => {
      const unit = 1 + (turn++ % units);
      for (const wire of this.wires) wire.ask(unit);
    };
    if (every === 0) ask();
    else this.timer = setInterval(ask, every / units);
  }
}
