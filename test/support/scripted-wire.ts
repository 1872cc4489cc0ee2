/** A driver that answers from a script, in process: for tests of what polling makes of answers, silence and broken wires. */
import { pino } from 'pino';
import { z } from 'zod';
import type { Driver, Listener, Session, Subscription } from '../../src/driver.js';
import { TidegateError } from '../../src/errors.js';
import type { Batch, Device, Flaw, Point, Samples, Value } from '../../src/model.js';
import { type Poller, startPoller } from '../../src/polling/poller.js';
import type { Line } from '../../src/polling/pollers.js';

/** One read that reached the wire. */
export interface Read {
  readonly at: number;
  readonly device: string;
  readonly points: readonly string[];
  readonly list: readonly Point[];
}

/** One device that was asked to tell by itself. */
export interface Subscribed {
  readonly at: number;
  readonly device: string;
  readonly points: readonly Point[];
  readonly listener: Listener;
  /** True when the subscription was closed. */
  closed: boolean;
}

export type Reply = Samples | Promise<Samples>;

export class ScriptedWire {
  readonly reads: Read[] = [];
  readonly subscribed: Subscribed[] = [];
  readonly batches: Batch[] = [];
  readonly states: string[] = [];
  readonly log: { level: number; msg: string; [key: string]: unknown }[] = [];
  opened = 0;
  closed = 0;
  concurrency: number | undefined;
  /** What a read gives; everything is 1 unless a test says otherwise. */
  reply: (read: Read) => Reply = (read) => good(read);
  /** Ids of the points that a device that subscribes wants polled; undefined on a wire that knows no subscriptions. */
  subscribe: ((asked: Subscribed) => readonly string[] | Promise<readonly string[]>) | undefined;
  write: ((device: Device, point: Point, raw: Value) => Promise<void>) | undefined;
  open: () => Promise<void> = () => Promise.resolve();
  close: () => Promise<void> = () => Promise.resolve();

  start(devices: readonly Device[], onBatch: (batch: Batch) => void = () => {}): Poller {
    const logger = pino({ level: 'debug' }, { write: (line: string) => void this.log.push(JSON.parse(line)) });
    return startPoller({
      ...this.line('wire', devices),
      log: logger,
      onBatch: (batch) => {
        this.batches.push(batch);
        onBatch(batch);
      },
      onState: (device, state, reason) =>
        void this.states.push(`${device.id} ${state}${reason === undefined ? '' : `: ${reason}`}`),
    });
  }

  /** A connection on this wire. */
  line(connection: string, devices: readonly Device[]): Line {
    return { connection, driver: this.driver(), settings: {}, devices, data: '/nowhere', gateway: 'test' };
  }

  /** The listener that a device has now. */
  listenerOf(device: string): Listener {
    const last = this.subscribed.filter((each) => each.device === device).at(-1);
    if (!last) throw new Error(`${device} was not subscribed to`);
    return last.listener;
  }

  /** Times of the reads of one device. */
  timesOf(device: string): number[] {
    return this.reads.filter((read) => read.device === device).map((read) => read.at);
  }

  /** What the batches of one device said: values, and `!reason` for the bad. */
  toldBy(device: string): Record<string, unknown>[] {
    return this.batches.filter((batch) => batch.device.id === device).map(readable);
  }

  /** Opens sessions that do what is scripted. */
  driver(): Driver {
    const any = z.any();
    return {
      name: 'scripted',
      title: 'Scripted',
      connection: any,
      device: any,
      address: any,
      example: any,
      checkPoint: () => undefined,
      decodeExample: () => ({ values: [], answered: true }),
      open: async () => {
        await this.open();
        this.opened++;
        return this.#session();
      },
    };
  }

  #session(): Session {
    return {
      ...(this.concurrency === undefined ? {} : { concurrency: this.concurrency }),
      read: async (device, points) => {
        const read = { at: performance.now(), device: device.id, points: points.map(({ id }) => id), list: points };
        this.reads.push(read);
        return this.reply(read);
      },
      ...(this.subscribe && {
        subscribe: (device: Device, points: readonly Point[], listener: Listener) =>
          this.#subscribe(device, points, listener),
      }),
      ...(this.write && {
        write: (device: Device, point: Point, raw: Value) => this.write?.(device, point, raw) ?? Promise.resolve(),
      }),
      close: () => {
        this.closed++;
        return this.close();
      },
    };
  }

  async #subscribe(device: Device, points: readonly Point[], listener: Listener): Promise<Subscription> {
    const asked = { at: performance.now(), device: device.id, points, listener, closed: false };
    this.subscribed.push(asked);
    const polled = (await this.subscribe?.(asked)) ?? [];
    return {
      polled: points.filter(({ id }) => polled.includes(id)),
      close: async () => {
        asked.closed = true;
      },
    };
  }
}

export function device(id: string, points: Record<string, Partial<Point>>): Device {
  return {
    id,
    profile: 'test/device',
    connection: 'wire',
    tags: {},
    settings: {},
    points: Object.entries(points).map(([name, part]) => ({
      id: name,
      type: 'uint16',
      kind: 'gauge',
      access: 'read',
      every: 1000,
      scale: 1,
      offset: 0,
      address: undefined,
      ...part,
    })),
  };
}

/** Every point is 1, but those named are bad. */
export function good(read: Read, bad: Record<string, string> = {}): Samples {
  const flaws = new Map<number, Flaw>();
  for (const [index, id] of read.points.entries()) {
    if (bad[id] !== undefined) flaws.set(index, { quality: 'bad', reason: bad[id] });
  }
  const values = read.points.map((_, index) => (flaws.has(index) ? null : 1));
  return flaws.size === 0 ? { values, answered: true } : { values, flaws, answered: true };
}

/** No reply, after the time limit of the driver. */
export function silence(read: Read, after = 1000): Promise<Samples> {
  const samples: Samples = {
    values: read.points.map(() => null),
    flaws: new Map(read.points.map((_, index) => [index, { quality: 'bad', reason: 'timeout' }])),
    answered: false,
  };
  return later(after, samples);
}

export function later<T>(milliseconds: number, value: T): Promise<T> {
  return new Promise((resolve) => setTimeout(() => resolve(value), milliseconds));
}

export function linkDown(message = 'reset by the other side'): TidegateError {
  return new TidegateError('LINK_DOWN', message);
}

function readable(batch: Batch): Record<string, unknown> {
  return Object.fromEntries(
    batch.points.map(({ id }, index) => {
      const flaw = batch.flaws?.get(index);
      return [id, flaw?.quality === 'bad' ? `!${flaw.reason}` : batch.values[index]];
    }),
  );
}
