/** Serves devices over MQTT: a small broker on which they publish plausible values, retained, and take orders. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { createAedes } from '../../src/aedes.js';
import type { Simulator, SimulatorOptions } from '../../src/driver.js';
import { messageOf, TidegateError } from '../../src/errors.js';
import type { Device, Point, Value } from '../../src/model.js';
import { stateWave, waveOf } from '../../src/waves.js';
import { encodeBytes, sizeOf } from './bytes.js';
import { valueIn, wordOf } from './command.js';
import { Unfit, writeJson } from './payload.js';
import { put, stepsOf } from './pointer.js';
import type { Command, MqttAddress, MqttDevice } from './schema.js';
import { fill } from './topic.js';
import { valueDecoder } from './value.js';

type MqttPoint = Point<MqttAddress>;
type SimulatedDevice = Device<MqttDevice, MqttAddress>;

/** Milliseconds between two messages. */
const REFRESH = 1_000;
/** Milliseconds after which a client that does not read is cut off. */
const DRAIN = 2_000;
/** A payload that is neither text nor a number of bytes that anybody expects. */
const GARBAGE = Buffer.from([0xff]);

/**
 * Starts a broker and lets all devices publish on it.
 * @throws TidegateError LINK_DOWN when the port is taken
 */
export async function simulate(
  devices: readonly SimulatedDevice[],
  { host, port, faults }: SimulatorOptions,
): Promise<Simulator> {
  const broker = await createAedes({ drainTimeout: DRAIN });
  const sockets = new Set<Socket>();
  const publish: Publish = (topic, payload) => {
    broker.publish({ cmd: 'publish', topic, payload, qos: 0, retain: true, dup: false }, () => {});
  };
  /** With what is to be wrong: a message that does not come, is none, is late, or after which all connections break. */
  const tell: Publish = (topic, payload) => {
    const { kind, delay } = faults?.() ?? {};
    const send = (): void => {
      if (kind !== 'timeout') publish(topic, kind === 'garbage' ? GARBAGE : payload);
      if (kind === 'drop') for (const socket of sockets) socket.destroy();
    };
    if (delay) setTimeout(send, delay).unref();
    else send();
  };
  const simulated = devices.map((device) => new Simulated(device, publish, tell));
  for (const device of simulated)
    for (const [topic, take] of device.orders)
      await new Promise<void>((resolve) => {
        const heard = ({ payload }: { payload: Buffer | string }, done: () => void): void => {
          take(payload.toString());
          done();
        };
        broker.subscribe(topic, heard, () => resolve());
      });
  const move = (): void => {
    for (const device of simulated) device.move();
  };
  move();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    broker.handle(socket);
  });
  try {
    server.listen(port, host);
    await once(server, 'listening');
  } catch (cause) {
    broker.close();
    throw new TidegateError('LINK_DOWN', `cannot listen on ${host}:${port}: ${messageOf(cause)}`, {
      cause,
      hint: 'Choose another address or port.',
    });
  }
  const timer = setInterval(move, REFRESH).unref();
  return {
    host,
    port: (server.address() as AddressInfo).port,
    close: async () => {
      clearInterval(timer);
      for (const socket of sockets) socket.destroy();
      server.close();
      await new Promise<void>((resolve) => broker.close(() => resolve()));
    },
  };
}

type Publish = (topic: string, payload: string | Buffer) => void;

class Simulated {
  /** What takes an order, by topic. */
  readonly orders = new Map<string, (payload: string) => void>();
  readonly #device: SimulatedDevice;
  readonly #publish: Publish;
  /** The points that are told, by topic. */
  readonly #told = new Map<string, MqttPoint[]>();
  readonly #waves = new Map<MqttPoint, (seconds: number) => Value>();
  /** What was written stays. */
  readonly #held = new Map<MqttPoint, Value>();

  constructor(device: SimulatedDevice, publish: Publish, tell: Publish) {
    this.#device = device;
    this.#publish = tell;
    const { topic: own, availability } = device.settings;
    for (const point of device.points) {
      this.#waves.set(point, rawWave(point, device.id));
      const { topic, command } = point.address;
      const at = fill(topic, own);
      if (point.access !== 'write') this.#told.set(at, [...(this.#told.get(at) ?? []), point]);
      if (command) this.#obey(point, command);
    }
    for (const { topic, pointer, online } of availability)
      publish(fill(topic, own), pointer === undefined ? online : writeJson(put(undefined, stepsOf(pointer), online)));
  }

  /** All topics are told anew. */
  move(): void {
    for (const topic of this.#told.keys()) this.#tell(topic);
  }

  #obey(point: MqttPoint, command: Command): void {
    const { topic: own } = this.#device.settings;
    const topic = fill(command.topic, own);
    const before = this.orders.get(topic);
    const decode = valueDecoder(point);
    this.orders.set(topic, (payload) => {
      before?.(payload);
      const said = valueIn(command, payload);
      const raw = said === undefined ? new Unfit('no order') : decode(said);
      if (raw instanceof Unfit) return;
      this.#held.set(point, raw);
      if (point.access !== 'write') this.#tell(fill(point.address.topic, own));
    });
  }

  #tell(topic: string): void {
    const seconds = performance.now() / 1_000;
    const points = this.#told.get(topic) ?? [];
    let document: unknown;
    let bytes: Buffer | undefined;
    for (const point of points) {
      const { pointer, words, binary, timestamp } = point.address;
      const raw = this.#held.get(point) ?? this.#waves.get(point)?.(seconds) ?? null;
      if (binary) {
        const end = binary.at + (sizeOf(point.type, binary) ?? 0);
        bytes = Buffer.concat([bytes ?? Buffer.alloc(0), Buffer.alloc(Math.max(0, end - (bytes?.length ?? 0)))]);
        encodeBytes(point.type, binary, raw, bytes);
      } else document = put(document, stepsOf(pointer ?? ''), wordOf(words, raw));
      if (timestamp !== undefined) document = put(document, stepsOf(timestamp), new Date().toISOString());
    }
    this.#publish(topic, bytes ?? (typeof document === 'string' ? document : writeJson(document)));
  }
}

/** Scaled wave → raw value. */
function rawWave(point: MqttPoint, seed: string): (seconds: number) => Value {
  const { type, kind, states, scale, offset } = point;
  if (kind === 'scale') return () => 0;
  const long = type === 'int64' || type === 'uint64';
  if (states) {
    const raw = stateWave(point, [...states.keys()], seed);
    return (seconds) => (long ? BigInt(raw(seconds)) : type === 'bool' ? raw(seconds) !== 0 : raw(seconds));
  }
  const wave = waveOf(point, seed);
  if (type === 'bool' || type === 'string') return wave;
  const raw = (seconds: number): number => (Number(wave(seconds)) - offset) / scale;
  if (!/^u?int/.test(type)) return (seconds) => Number(raw(seconds).toPrecision(7));
  const most = 2 ** (Math.min(53, Number(type.replace(/\D/g, ''))) - (type.startsWith('u') ? 0 : 1)) - 1;
  const least = type.startsWith('u') ? 0 : -most - 1;
  const whole = (seconds: number): number => Math.min(most, Math.max(least, Math.round(raw(seconds))));
  return (seconds) => (long ? BigInt(whole(seconds)) : whole(seconds));
}
