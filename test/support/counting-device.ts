/** A bare Modbus TCP server whose register never shows the same number twice, and that remembers which it showed, and when. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';

/** Answers every read of two holding registers, of any unit, with the next number. */
export class CountingDevice {
  readonly shown: { n: number; at: number; unit: number }[] = [];
  /** Connections that were opened. */
  connections = 0;
  /** Requests that wait for their answer; undefined while each is answered at once. */
  private held: (() => void)[] | undefined;
  private constructor(private readonly server: Server) {}

  static async start(): Promise<CountingDevice> {
    const server = createServer((socket) => {
      device.connections++;
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('data', (request) => {
        const answer = (): void => device.answer(socket, request);
        if (device.held) device.held.push(answer);
        else answer();
      });
    });
    const device = new CountingDevice(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return device;
  }

  /** Answers nothing, and so shows nothing, until `resume`. */
  hold(): void {
    this.held ??= [];
  }

  /** Answers again, also what was asked meanwhile if `all`. */
  resume(all: boolean): void {
    const { held = [] } = this;
    this.held = undefined;
    if (all) for (const answer of held) answer();
  }

  private answer(socket: Socket, request: Buffer): void {
    // One request in flight: a chunk is a request. The reply echoes transaction, protocol, unit and function.
    const reply = Buffer.alloc(13);
    request.copy(reply, 0, 0, 8);
    reply.writeUInt16BE(7, 4);
    reply[8] = 4;
    const n = this.shown.length + 1;
    reply.writeUInt32BE(n, 9);
    this.shown.push({ n, at: Date.now(), unit: request[6] ?? 0 });
    socket.write(reply);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  stop(): void {
    this.server.close();
  }
}
