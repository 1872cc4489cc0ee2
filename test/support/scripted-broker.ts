/** A TCP server that speaks MQTT packets by a script: every answer of a broker, the wrong ones included, in the hands of a test. */
import { EventEmitter, once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import mqttPacket, { type IConnackPacket, type IPublishPacket, type Packet } from 'mqtt-packet';

/** One connection, as the script sees it. */
export interface Peer {
  /** Counts connections from 1. */
  readonly number: number;
  readonly socket: Socket;
  send(packet: Packet): void;
}

/** What the script answers; what it leaves out is answered as a friendly broker would. */
export interface Script {
  connack?(peer: Peer): Partial<IConnackPacket> | 'silence';
  publish?(peer: Peer, packet: IPublishPacket): { reasonCode?: number } | 'silence';
}

/** Records every PUBLISH outside of the status topic. */
export class ScriptedBroker extends EventEmitter {
  readonly published: { connection: number; topic: string; payload: string; messageId: number; dup: boolean }[] = [];
  connections = 0;
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    private readonly script: Script,
  ) {
    super();
    server.on('connection', (socket) => this.serve(socket));
  }

  static async start(script: Script): Promise<ScriptedBroker> {
    const server = createServer();
    const broker = new ScriptedBroker(server, script);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return broker;
  }

  get url(): string {
    return `mqtt://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await once(this, 'change');
  }

  stop(): void {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }

  private serve(socket: Socket): void {
    const number = ++this.connections;
    this.sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.sockets.delete(socket);
      this.emit('change');
    });
    let version = 4;
    const peer: Peer = {
      number,
      socket,
      send: (packet) => socket.write(mqttPacket.generate(packet, { protocolVersion: version })),
    };
    const parser = mqttPacket.parser();
    parser.on('packet', (packet) => {
      if (packet.cmd === 'connect') {
        version = packet.protocolVersion ?? 4;
        const connack = this.script.connack?.(peer) ?? {};
        if (connack !== 'silence')
          peer.send({
            cmd: 'connack',
            sessionPresent: false,
            ...(version === 5 ? { reasonCode: 0 } : { returnCode: 0 }),
            ...connack,
          } as Packet);
      } else if (packet.cmd === 'publish') this.take(peer, packet);
      else if (packet.cmd === 'pingreq') peer.send({ cmd: 'pingresp' });
      this.emit('change');
    });
    socket.on('data', (chunk) => parser.parse(chunk));
  }

  private take(peer: Peer, packet: IPublishPacket): void {
    const messageId = packet.messageId ?? 0;
    if (packet.topic.endsWith('/status')) {
      peer.send({ cmd: 'puback', messageId });
      return;
    }
    this.published.push({
      connection: peer.number,
      topic: packet.topic,
      payload: packet.payload.toString(),
      messageId,
      dup: packet.dup,
    });
    const answer = this.script.publish?.(peer, packet) ?? {};
    if (answer !== 'silence') peer.send({ cmd: 'puback', messageId, ...answer });
  }
}
