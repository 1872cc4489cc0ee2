/** A bare Modbus TCP server whose register never shows the same number twice, and that remembers which it showed, and when. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';

/** Answers every read of two holding registers, of any unit, with the next number. */
export class CountingDevice {
  readonly shown: { n: number; at: number; unit: number }[] = [];
  /** Connections that were opened. */
  connections = 0;
  private constructor(private readonly server: Server) {}

  static async start(): Promise<CountingDevice> {
    const server = createServer((socket) => {
      device.connections++;
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('data', (request) => {
        // One request in flight: a chunk is a request. The reply echoes transaction, protocol, unit and function.
        const reply = Buffer.alloc(13);
        request.copy(reply, 0, 0, 8);
        reply.writeUInt16BE(7, 4);
        reply[8] = 4;
        const n = device.shown.length + 1;
        reply.writeUInt32BE(n, 9);
        device.shown.push({ n, at: Date.now(), unit: request[6] ?? 0 });
        socket.write(reply);
      });
    });
    const device = new CountingDevice(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return device;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  stop(): void {
    this.server.close();
  }
}
