/** The limit of MQTT devices: a bare broker, and a bare client of it in the same process that parses each message, no more. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { MqttClient } from 'mqtt';
import { createAedes } from '../../src/aedes.js';
import { duplexPair } from '../../src/broker/duplex-pair.js';
import { answer } from '../peer.js';

let count = 0;

answer({
  async open(port: number): Promise<void> {
    const broker = await createAedes({});
    const [ours, theirs] = duplexPair();
    broker.handle(theirs);
    const link = new MqttClient(() => ours as MqttClient['stream'], { protocolVersion: 4, writeCache: false });
    link.on('message', (_topic, payload) => {
      JSON.parse(payload.toString());
      count++;
    });
    await link.subscribeAsync('#', { qos: 1 });
    const server = createServer((socket) => {
      socket.on('error', () => {});
      broker.handle(socket);
    }).listen(port, '127.0.0.1');
    await once(server, 'listening');
  },
  /** Messages that came. */
  count: () => count,
});
