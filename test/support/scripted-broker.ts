/** A TCP or TLS server that speaks MQTT packets by a script: every answer of a broker, the wrong ones included, in the hands of a test. */
import { EventEmitter, once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import mqttPacket, { type IConnackPacket, type IConnectPacket, type IPublishPacket, type Packet } from 'mqtt-packet';

/** One connection, as the script sees it. */
export interface Peer {
  /** Counts connections from 1. */
  readonly number: number;
  readonly socket: Socket;
  send(packet: Packet): void;
  /** Sends a last packet and closes, as a polite broker does: what still comes is not looked at. */
  leave(packet: Packet): void;
}

/** What the script answers; what it leaves out is answered as a friendly broker would. */
export interface Script {
  connack?(peer: Peer, packet: IConnectPacket): Partial<IConnackPacket> | 'silence';
  publish?(peer: Peer, packet: IPublishPacket): { reasonCode?: number } | 'silence';
}

/** One PUBLISH, and what the broker said of it last. */
export interface Published {
  readonly connection: number;
  readonly topic: string;
  readonly payload: string;
  readonly messageId: number;
  readonly dup: boolean;
  answer?: 'acknowledged' | 'refused';
}

/** Where a broker listens, and how. */
export interface Listening {
  /** A free one by default. */
  readonly port?: number;
  readonly tls?: TlsOptions | undefined;
}

/** Records every CONNECT, and every PUBLISH; those to the status topic apart. */
export class ScriptedBroker extends EventEmitter {
  readonly connects: IConnectPacket[] = [];
  readonly published: Published[] = [];
  readonly status: IPublishPacket[] = [];
  connections = 0;
  port = 0;
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    private readonly script: Script,
    private readonly tls: boolean,
  ) {
    super();
    server.on(tls ? 'secureConnection' : 'connection', (socket) => this.serve(socket));
  }

  static async start(script: Script = {}, { port = 0, tls }: Listening = {}): Promise<ScriptedBroker> {
    const server = tls ? createTlsServer(tls) : createServer();
    const broker = new ScriptedBroker(server, script, tls !== undefined);
    server.on('tlsClientError', () => undefined);
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    broker.port = (server.address() as AddressInfo).port;
    return broker;
  }

  get url(): string {
    return `${this.tls ? 'mqtts' : 'mqtt'}://127.0.0.1:${this.port}`;
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
    let gone = false;
    const peer: Peer = {
      number,
      socket,
      send: (packet) => {
        if (packet.cmd === 'puback') this.answered(number, packet.messageId ?? 0, packet.reasonCode ?? 0);
        socket.write(mqttPacket.generate(packet, { protocolVersion: version }));
      },
      leave: (packet) => {
        peer.send(packet);
        gone = true;
        socket.end();
      },
    };
    const parser = mqttPacket.parser();
    // What is not MQTT ends the connection.
    parser.on('error', () => socket.destroy());
    parser.on('packet', (packet) => {
      if (gone) return;
      if (packet.cmd === 'connect') {
        version = packet.protocolVersion ?? 4;
        this.connects.push(packet);
        const connack = this.script.connack?.(peer, packet) ?? {};
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
      this.status.push(packet);
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

  private answered(connection: number, messageId: number, reasonCode: number): void {
    const message = this.published.findLast((sent) => sent.connection === connection && sent.messageId === messageId);
    if (message) message.answer = reasonCode < 0x80 ? 'acknowledged' : 'refused';
  }
}
