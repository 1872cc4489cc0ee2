/** A bare Modbus TCP gateway with many units, some of which can be struck dumb. */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';

export class Units {
  readonly port: number;
  readonly mute = new Set<number>();
  /** Requests that came, by unit. */
  readonly asked = new Map<number, number>();
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  /** Listens on a free port of the loopback. */
  static async listen(): Promise<Units> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Units(server);
  }

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as { port: number }).port;
    server.on('connection', (socket) => this.#serve(socket));
  }

  /** Drops all connections, as a gateway does that restarts. */
  drop(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.drop();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => {});
    let rest = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      // A read request has 12 bytes: transaction, protocol, length, unit, function, address, count.
      for (; rest.length >= 12; rest = rest.subarray(12)) this.#answer(socket, rest.subarray(0, 12));
    });
  }

  /** Every register holds its own unit id. */
  #answer(socket: Socket, request: Buffer): void {
    const unit = request.readUInt8(6);
    const count = request.readUInt16BE(10);
    this.asked.set(unit, (this.asked.get(unit) ?? 0) + 1);
    if (this.mute.has(unit)) return;
    const reply = Buffer.alloc(9 + 2 * count);
    request.copy(reply, 0, 0, 8);
    reply.writeUInt16BE(3 + 2 * count, 4);
    reply.writeUInt8(2 * count, 8);
    for (let index = 0; index < count; index++) reply.writeUInt16BE(unit, 9 + 2 * index);
    socket.write(reply);
  }
}
