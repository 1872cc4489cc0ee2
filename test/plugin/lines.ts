/**
 * A driver that is not part of Tidegate: an example of a plugin, and a wire for tests of what no built-in driver does in the same way.
 * Its protocol is lines of JSON over TCP; see peer.ts. It imports nothing of Tidegate but types.
 */
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import type { BrowsedNode, Driver, FoundDevice, Listener, Session, Subscription } from '../../src/driver.js';
import type { Device, Flaw, Point, Samples, Value } from '../../src/model.js';
import { startPeer } from './peer.js';

const connection = z.strictObject({
  host: z.string().describe('Address of the other side.'),
  port: z.int().describe('Its port.'),
  timeout: z.int().default(1_000).describe('Milliseconds to wait for a reply.'),
});
const device = z.strictObject({ unit: z.int().min(1).default(1).describe('Number of the device.') });
const address = z.strictObject({ name: z.string().describe('What the device calls it.') });
const example = z.strictObject({ told: z.record(z.string(), z.unknown()).describe('Values by name.') });

type Settings = z.infer<typeof device>;
type Address = z.infer<typeof address>;
type LinesPoint = Point<Address>;
type LinesDevice = Device<Settings, Address>;

/** What the other side says: values by name, and why some are missing. */
interface Told {
  readonly values?: Readonly<Record<string, unknown>>;
  readonly faults?: Readonly<Record<string, string>>;
  readonly at?: number;
}

type Reply = Told & {
  readonly refused?: string;
  readonly nodes?: readonly BrowsedNode[];
  readonly found?: FoundDevice | null;
};

export const driver: Driver<z.infer<typeof connection>, Settings, Address, z.infer<typeof example>> = {
  name: 'lines',
  title: 'Lines of JSON',
  connection,
  device,
  address,
  example,
  places: [1, 4],
  checkPoint: ({ type }) => (type === 'json' ? 'lines have no structures' : undefined),
  decodeExample: (points, { told }) => ({ ...decode(points, { values: told }), answered: true }),
  async open({ host, port, timeout }) {
    const socket = connect({ host, port, noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve).once('error', (error) => reject(gone(error.message)));
    });
    return new LinesSession(socket, timeout);
  },
  async simulate(devices, { host, port }) {
    const peer = await startPeer({ host, port });
    for (const { settings, points } of devices)
      for (const [place, point] of points.entries())
        peer.set(settings.unit, point.address.name, plausible(point, place));
    return { host, port: peer.port, close: peer.close };
  },
};

/** Tidegate knows an error by its kind: an error class of its own would have to be the very same one. */
const fail = (kind: 'reconnect' | 'reject' | 'retry', message: string): Error =>
  Object.assign(new Error(message), { kind });
const gone = (why: string): Error => fail('reconnect', why);

class LinesSession implements Session<Settings, Address> {
  readonly concurrency = 4;
  readonly #socket: Socket;
  readonly #timeout: number;
  readonly #waiting = new Map<number, (reply: Reply | Error) => void>();
  readonly #listeners = new Map<number, { readonly points: readonly LinesPoint[]; readonly listener: Listener }>();
  #found: ((device: FoundDevice) => void) | undefined;
  #asked = 0;
  #gone: Error | undefined;

  constructor(socket: Socket, timeout: number) {
    this.#socket = socket;
    this.#timeout = timeout;
    socket.on('error', () => {}).on('close', () => this.#lose(gone('closed by the other side')));
    createInterface(socket)
      .on('error', () => {})
      .on('line', (line) => this.#hear(line));
  }

  async read({ settings }: LinesDevice, points: readonly LinesPoint[], { raw }: { raw?: boolean }): Promise<Samples> {
    if (points.length === 0) return { values: [], answered: true };
    const reply = await this.#ask({
      do: 'read',
      unit: settings.unit,
      names: points.map((point) => point.address.name),
    });
    if (!reply) return { ...decode(points, {}, 'timeout'), answered: false };
    const text =
      raw && new Map(points.map((point, index) => [index, JSON.stringify(reply.values?.[point.address.name] ?? null)]));
    return { ...decode(points, reply), answered: true, ...(text && { raw: text }) };
  }

  async subscribe(
    { settings }: LinesDevice,
    points: readonly LinesPoint[],
    listener: Listener,
  ): Promise<Subscription<Address>> {
    const { unit } = settings;
    this.#listeners.set(unit, { points, listener });
    const names = points.map((point) => point.address.name);
    const reply = await this.#ask({ do: 'subscribe', unit, names });
    if (!reply) throw fail('retry', `unit ${unit} does not answer`);
    return {
      polled: [],
      close: async () => {
        this.#listeners.delete(unit);
        if (!this.#gone) await this.#ask({ do: 'unsubscribe', unit });
      },
    };
  }

  async write({ settings }: LinesDevice, { address: { name } }: LinesPoint, value: Value): Promise<void> {
    const written = typeof value === 'bigint' ? String(value) : value;
    const reply = await this.#ask({ do: 'write', unit: settings.unit, name, value: written });
    if (!reply) throw fail('retry', `${name} was not confirmed`);
    if (reply.refused !== undefined) throw fail('reject', reply.refused);
  }

  async *browse(path: string, signal: AbortSignal): AsyncGenerator<BrowsedNode> {
    const reply = await this.#ask({ do: 'browse', path }, signal);
    yield* reply?.nodes ?? [];
  }

  async scan(unit: number, signal: AbortSignal): Promise<FoundDevice | undefined> {
    const reply = await this.#ask({ do: 'identify', unit }, signal);
    return reply?.found ?? undefined;
  }

  async discover(found: (device: FoundDevice) => void): Promise<{ close(): Promise<void> }> {
    this.#found = found;
    return {
      close: async () => {
        this.#found = undefined;
      },
    };
  }

  async close(): Promise<void> {
    this.#listeners.clear();
    this.#lose(gone('closed'));
    this.#socket.destroy();
  }

  /** Undefined when no reply came in time. */
  #ask(request: object, signal?: AbortSignal): Promise<Reply | undefined> {
    if (this.#gone) return Promise.reject(this.#gone);
    if (signal?.aborted) return Promise.reject(signal.reason);
    const id = ++this.#asked;
    return new Promise((resolve, reject) => {
      const end = (reply: Reply | Error | undefined): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        this.#waiting.delete(id);
        if (reply instanceof Error) reject(reply);
        else resolve(reply);
      };
      const abort = (): void => end(signal?.reason);
      const timer = setTimeout(() => end(undefined), this.#timeout);
      signal?.addEventListener('abort', abort);
      this.#waiting.set(id, end);
      this.#socket.write(`${JSON.stringify({ id, ...request })}\n`);
    });
  }

  #hear(line: string): void {
    const said = JSON.parse(line) as Reply & { readonly id?: number; readonly unit?: number };
    if (said.id !== undefined) this.#waiting.get(said.id)?.(said);
    else if (said.found) this.#found?.(said.found);
    const subscribed = this.#listeners.get(said.unit ?? 0);
    if (!subscribed) return;
    const { points, listener } = subscribed;
    const indexes = [...points.keys()].filter((index) => isTold(said, points[index] as LinesPoint));
    const pushed = decode(
      indexes.map((index) => points[index] as LinesPoint),
      said,
    );
    listener.push({ indexes, ...pushed, ...(said.at !== undefined && { at: said.at }) });
  }

  #lose(error: Error): void {
    if (this.#gone) return;
    this.#gone = error;
    for (const end of [...this.#waiting.values()]) end(error);
    for (const { listener } of this.#listeners.values()) listener.broke(error);
  }
}

function isTold({ values = {}, faults = {} }: Told, { address: { name } }: LinesPoint): boolean {
  return name in values || name in faults;
}

function decode(
  points: readonly LinesPoint[],
  { values = {}, faults = {} }: Told,
  otherwise = 'not told',
): { values: Value[]; flaws?: Map<number, Flaw> } {
  const flaws = new Map<number, Flaw>();
  const decoded = points.map(({ type, address: { name } }, index): Value => {
    const value = values[name];
    if (typeof value === 'string' && type.endsWith('64') && type !== 'float64') return BigInt(value);
    if (typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean') return value;
    flaws.set(index, { quality: 'bad', reason: faults[name] ?? otherwise });
    return null;
  });
  return flaws.size === 0 ? { values: decoded } : { values: decoded, flaws };
}

function plausible({ type }: LinesPoint, place: number): unknown {
  if (type === 'bool') return true;
  return type === 'string' ? 'text' : type.endsWith('64') && type !== 'float64' ? `${place}` : place;
}
