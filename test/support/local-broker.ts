/** The local broker on a free loopback port, with clients that speak to it over a real wire. */
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { type IClientOptions, type MqttClient, connect as mqttConnect } from 'mqtt';
import { generate, type IConnectPacket } from 'mqtt-packet';
import { onTestFinished } from 'vitest';
import { type Broker, openBroker } from '../../src/broker/broker.js';
import { type BrokerConfig, brokerSchema } from '../../src/config/broker.js';
import { hashPassword } from '../../src/config/password.js';
import { silent } from './upstream.js';

/** The password of every user here. */
export const PASSWORD = 'open sesame';
const hashed = hashPassword(PASSWORD);

/** The first packet of a client; of nobody by default. */
export function connectPacket(more: Partial<IConnectPacket> = {}): Buffer {
  return generate({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clean: true,
    clientId: 'raw',
    keepalive: 0,
    ...more,
  });
}

/** What clients may do, by user name. */
export type Users = Readonly<Record<string, { read?: string[]; write?: string[] }>>;

/** Settings of the broker with these users, on a free port. */
export async function brokerConfig(users: Users = {}, more: object = {}): Promise<BrokerConfig> {
  const password = await hashed;
  const named = Object.entries(users).map(([name, rights]) => [name, { password, ...rights }]);
  return brokerSchema.parse({ listen: '127.0.0.1:0', users: Object.fromEntries(named), ...more });
}

/** Opens a broker until the test ends. */
export async function startLocal(users: Users = {}, more: object = {}, log = silent): Promise<Broker> {
  const broker = await openBroker(await brokerConfig(users, more), log);
  onTestFinished(() => broker.close());
  return broker;
}

/** The port of the broker's first listener; `1` is that of the second. */
export function portOf(broker: Pick<Broker, 'status'>, index = 0): number {
  return Number(/:(\d+)/.exec(broker.status().listening[index] ?? '')?.[1]);
}

/** One message as it came. */
export interface Got {
  readonly topic: string;
  readonly text: string;
  readonly retain: boolean;
}

/** A client that has signed in, and what has come to it. */
export interface Visitor {
  readonly client: MqttClient;
  readonly got: Got[];
  /** Waits until so many messages have come. */
  until(enough: (got: readonly Got[]) => boolean): Promise<void>;
}

/** Signs in. @throws what the broker says */
export async function visit(
  broker: Pick<Broker, 'status'>,
  username?: string,
  more: IClientOptions = {},
): Promise<Visitor> {
  const client = mqttConnect({
    host: '127.0.0.1',
    port: portOf(broker),
    protocolVersion: 4,
    reconnectPeriod: 0,
    ...(username !== undefined && { username, password: PASSWORD }),
    ...more,
  });
  onTestFinished(() => void client.end(true));
  const got: Got[] = [];
  client.on('message', (topic, payload, { retain }) => void got.push({ topic, text: String(payload), retain }));
  await new Promise<void>((resolve, reject) => {
    client.once('connect', () => resolve());
    client.once('error', reject);
    client.once('close', () => reject(new Error('closed')));
  });
  client.on('error', () => {});
  return {
    client,
    got,
    async until(enough) {
      while (!enough(got)) await new Promise<void>((resolve) => client.once('message', () => resolve()));
    },
  };
}

/** Subscribes; gives the codes granted, 128 for a refusal (MQTT 3.1.1 §3.9.3). */
export function subscribe({ client }: Visitor, ...filters: string[]): Promise<number[]> {
  return new Promise((resolve) => {
    client.subscribe(filters, { qos: 1 }, (_, __, packet) =>
      resolve(((packet?.granted ?? []) as number[]).map(Number)),
    );
  });
}

/** A bare connection to the broker. */
export async function knock(broker: Broker): Promise<Socket> {
  const socket = connectTcp(portOf(broker), '127.0.0.1');
  socket.on('error', () => {});
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  return socket;
}
