/** What every driver must do, over its own protocol on a real wire. Each driver's test calls this with a bench of its own. */
import { isDeepStrictEqual } from 'node:util';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { BrowsedNode, Driver, FoundDevice, Session } from '../../src/driver.js';
import { isKind } from '../../src/errors.js';
import type { Device, Point, Samples, Value } from '../../src/model.js';
import { driverContext } from '../support/driver-context.js';
import { Heard } from './heard.js';

/** The other side, and what is written in `gateway.yaml` to reach it. */
export interface DriverBench {
  readonly driver: Driver;
  /** What people write for the connection, without `driver:`; must give up on a reply within 200 ms. */
  readonly connection: Record<string, unknown>;
  /** The driver's folder, where it keeps something. */
  readonly data?: string;
  /** At least five points. All of them are readable, but for the one that `spoil` spoils. */
  readonly device: Device;
  /** On the same connection; never answers. */
  readonly dead: Device;
  /** A point that can be written, and two raw values that differ. */
  readonly writable: { readonly point: Point; readonly raws: readonly [Value, Value] };
  /** What the points of `device` hold. */
  truth(): Value[];
  /** Makes the device refuse one point from now on; gives its index. */
  spoil(): number;
  /** From now on the other side takes requests and says nothing. */
  silence(): void;
  /** Ends every connection from the other side; new ones are answered as before. */
  cut(): void;
  /** For drivers that subscribe: changes a point of `device`; gives its index. `truth` says the new value. */
  change?(): number;
  /** For drivers that browse: what the values in the tree of names are called. */
  readonly tree?: readonly string[];
  /** For drivers that scan: settings of the devices at its first five places, in their order. */
  readonly found?: readonly object[];
  /** For drivers whose devices announce themselves: has one do so, each time with another identity; gives what is told of it. */
  announce?(): Pick<FoundDevice, 'settings' | 'identity'>;
  close(): Promise<void>;
}

/** Optional parts of the contract; a part that is named is there, and is tested. */
export type Part = 'subscribe' | 'browse' | 'scan' | 'discover';

const signal = new AbortController().signal;

/** Runs the contract. */
export function driverContract(name: string, makeBench: () => Promise<DriverBench>, parts: readonly Part[] = []): void {
  describe(`contract: ${name}`, () => {
    let bench: DriverBench;
    const sessions: Session[] = [];
    beforeEach(async () => {
      bench = await makeBench();
    });
    afterEach(async () => {
      await Promise.all(sessions.splice(0).map((session) => session.close()));
      await bench.close();
    });

    const open = async (): Promise<Session> => {
      const session = await bench.driver.open(
        bench.driver.connection.parse(bench.connection),
        driverContext(bench.data),
      );
      sessions.push(session);
      return session;
    };
    const readAll = (session: Session, device = bench.device): Promise<Samples> =>
      session.read(device, device.points, { signal });
    /** Every point has a value or a reason, never both. */
    const settles = ({ values, flaws }: Samples, count: number): void => {
      expect(values).toHaveLength(count);
      values.forEach((value, index) => {
        expect([index, value === null]).toEqual([index, flaws?.has(index) ?? false]);
      });
      for (const { quality, reason } of flaws?.values() ?? []) {
        expect(quality).toBe('bad');
        expect(reason).toMatch(/\S/);
      }
    };

    test('reads all points, in their order, good without flaws', async () => {
      const samples = await readAll(await open());
      expect(samples.values).toEqual(bench.truth());
      expect(samples.answered).toBe(true);
      expect(samples.flaws).toBeUndefined();
    });

    test('reads any part of the points', async () => {
      const session = await open();
      for (const keep of [(at: number) => at % 2 === 0, (at: number) => at === 3, () => false]) {
        const points = bench.device.points.filter((_, index) => keep(index));
        const { values, answered } = await session.read(bench.device, points, { signal });
        expect(values).toEqual(bench.truth().filter((_, index) => keep(index)));
        expect(answered).toBe(true);
      }
    });

    test('one bad point costs the others nothing', async () => {
      const session = await open();
      const bad = bench.spoil();
      for (let count = 0; count < 3; count += 1) {
        const samples = await readAll(session);
        settles(samples, bench.device.points.length);
        expect([...(samples.flaws?.keys() ?? [])]).toEqual([bad]);
        expect(samples.values).toEqual(bench.truth().map((value, index) => (index === bad ? null : value)));
        expect(samples.answered).toBe(true);
      }
    });

    test('a dead device has not answered, and the connection lives on for the others', async () => {
      const session = await open();
      await readAll(session);
      for (let count = 0; count < 4; count += 1) {
        const samples = await readAll(session, bench.dead);
        settles(samples, bench.dead.points.length);
        expect(samples.answered).toBe(false);
        expect(samples.flaws?.size).toBe(bench.dead.points.length);
        expect((await readAll(session)).values).toEqual(bench.truth());
      }
    });

    test('raw words come as text, when asked for', async () => {
      const session = await open();
      expect((await readAll(session)).raw).toBeUndefined();
      const { raw } = await session.read(bench.device, bench.device.points, { signal, raw: true });
      expect([...(raw?.keys() ?? [])].sort((a, b) => a - b)).toEqual(bench.device.points.map((_, index) => index));
    });

    test('reads at once, as many as the session takes, do not mix', async () => {
      const session = await open();
      const lanes = Array.from({ length: Math.max(2, session.concurrency ?? 1) }, async (_, lane) => {
        const points = bench.device.points.filter((_, index) => index % 2 === lane % 2);
        for (let count = 0; count < 10; count += 1) {
          const { values } = await session.read(bench.device, points, { signal });
          expect(values).toEqual(bench.truth().filter((_, index) => index % 2 === lane % 2));
        }
      });
      await Promise.all(lanes);
    });

    test('a lost link is an error of kind reconnect, now and at the next read; another session reads again', async () => {
      const session = await open();
      await readAll(session);
      bench.cut();
      const failure = await vi.waitUntil(() =>
        readAll(session).then(
          () => undefined,
          (error: unknown) => error,
        ),
      );
      expect(isKind(failure, 'reconnect')).toBe(true);
      await expect(readAll(session)).rejects.toSatisfy((error) => isKind(error, 'reconnect'));
      await session.close();
      expect((await readAll(await open())).values).toEqual(bench.truth());
    });

    test('when all falls silent, every read still settles', async () => {
      const session = await open();
      await readAll(session);
      bench.silence();
      for (let count = 0; count < 5; count += 1) {
        const outcome = await readAll(session).catch((error: unknown) => error);
        if (isKind(outcome, 'reconnect')) return;
        settles(outcome as Samples, bench.device.points.length);
        expect((outcome as Samples).answered).toBe(false);
      }
    });

    test('close settles what is pending, never throws, and may be called again', async () => {
      const session = await open();
      bench.silence();
      const pending = readAll(session).catch((error: unknown) => error);
      await session.close();
      expect(isKind(await pending, 'reconnect')).toBe(true);
      await session.close();
    });

    test('nobody there: open fails with kind reconnect', async () => {
      await bench.close();
      await expect(open()).rejects.toSatisfy((error) => isKind(error, 'reconnect'));
    });

    test('what is written is read back', async () => {
      const session = await open();
      const { point, raws } = bench.writable;
      for (const raw of raws) {
        await session.write?.(bench.device, point, raw, signal);
        expect((await session.read(bench.device, [point], { signal })).values).toEqual([raw]);
      }
    });

    if (parts.includes('subscribe')) {
      test('what is subscribed to is told by itself, all of it at first, then what changes', async () => {
        const session = await open();
        const heard = await listen(session);
        await vi.waitUntil(() => heard.known.size === bench.device.points.length);
        expect(heard.values()).toEqual(bench.truth());
        const changed = bench.change?.() ?? -1;
        await vi.waitUntil(() => heard.known.get(changed)?.value === bench.truth()[changed]);
        expect(heard.values()).toEqual(bench.truth());
        expect([heard.silences, heard.breaks]).toEqual([[], []]);
      });

      test('one unknown point is one bad point, also by subscription', async () => {
        const session = await open();
        const bad = bench.spoil();
        const heard = await listen(session);
        await vi.waitUntil(() => heard.known.size === bench.device.points.length);
        expect(heard.values()).toEqual(bench.truth().map((value, index) => (index === bad ? null : value)));
        expect([...heard.known].filter(([, { flaw }]) => flaw).map(([index]) => index)).toEqual([bad]);
      });

      test('after a lost link the listener is told once, with kind reconnect; the next session tells all again', async () => {
        const heard = await listen(await open());
        await vi.waitUntil(() => heard.known.size === bench.device.points.length);
        bench.cut();
        await vi.waitUntil(() => heard.breaks.length > 0);
        expect(heard.breaks).toEqual([expect.toSatisfy((error) => isKind(error, 'reconnect'))]);
        const again = await listen(await open());
        await vi.waitUntil(() => again.known.size === bench.device.points.length);
        expect(again.values()).toEqual(bench.truth());
      });

      test('nothing is told after close: of the subscription, of the session', async () => {
        const session = await open();
        const other = await open();
        const heard = await listen(session);
        await heard.close();
        const closed = await listen(other);
        await other.close();
        const told = [heard.calls, closed.calls];
        bench.change?.();
        // What a session still had to say is said before it answers this.
        for (let count = 0; count < 3; count += 1) await readAll(session);
        expect([heard.calls, closed.calls]).toEqual(told);
      });

      test('when all falls silent, a subscription still settles', async () => {
        const session = await open();
        bench.silence();
        const outcome = await listen(session).catch((error: unknown) => error);
        if (outcome instanceof Error) expect(outcome.message).toMatch(/\S/);
      });
    }

    if (parts.includes('browse')) {
      const walk = async (session: Session, path = '', seen = new Set<string>()): Promise<BrowsedNode[]> => {
        const nodes: BrowsedNode[] = [];
        for await (const node of session.browse?.(path, signal) ?? []) {
          const { id = node.path } = node;
          if (seen.has(id)) continue;
          seen.add(id);
          nodes.push(node);
          if (node.kind === 'folder') nodes.push(...(await walk(session, node.path, seen)));
        }
        return nodes;
      };

      test('the tree of names leads to every value, each by a path of its own, as a point that a profile may have', async () => {
        const nodes = await walk(await open());
        const values = nodes.filter(({ kind }) => kind === 'value');
        expect(values.map(({ name }) => name)).toEqual(expect.arrayContaining([...(bench.tree ?? ['tree'])]));
        expect(new Set(nodes.map(({ path }) => path)).size).toBe(nodes.length);
        for (const { point = {} } of values) {
          const common = (key: string): boolean => key in bench.writable.point || key === 'unit' || key === 'states';
          const known = Object.entries(point).filter(([key]) => !common(key));
          expect(bench.driver.address.safeParse(Object.fromEntries(known)).success).toBe(true);
        }
      });

      test('browsing ends when nobody waits for it any more', async () => {
        const session = await open();
        bench.silence();
        const leaving = new AbortController();
        const next = session.browse?.('', leaving.signal)[Symbol.asyncIterator]().next();
        leaving.abort();
        const outcome = await next?.catch((error: unknown) => error);
        expect(outcome instanceof Error || (outcome as IteratorResult<unknown>).done).toBe(true);
      });
    }

    if (parts.includes('scan')) {
      test('a scan finds the devices that are there, place by place', async () => {
        const session = await open();
        const [first, last] = bench.driver.places ?? [1, 0];
        const found: FoundDevice[] = [];
        for (let place = first; place <= Math.min(last, first + 4); place += 1) {
          const device = await session.scan?.(place, signal);
          if (device) found.push(device);
        }
        expect(found.map(({ settings }) => settings)).toEqual(bench.found);
        for (const { settings } of found) expect(bench.driver.device.safeParse(settings).success).toBe(true);
      });

      test('a scan of a lost link is an error of kind reconnect', async () => {
        const session = await open();
        await readAll(session);
        bench.cut();
        const failure = await vi.waitUntil(() =>
          Promise.resolve(session.scan?.(bench.driver.places?.[0] ?? 1, signal)).then(
            () => undefined,
            (error: unknown) => error,
          ),
        );
        expect(isKind(failure, 'reconnect')).toBe(true);
      });
    }

    if (parts.includes('discover')) {
      const nobody = { settings: {}, identity: {} };

      test('devices that announce themselves are told, and again when they say something else', async () => {
        const session = await open();
        const told: FoundDevice[] = [];
        await session.discover?.((device) => told.push(device));
        for (let count = 0; count < 2; count += 1) {
          const expected = bench.announce?.() ?? nobody;
          await vi.waitUntil(() => told.some(({ identity }) => isDeepStrictEqual(identity, expected.identity)));
          expect(told.at(-1)).toMatchObject(expected);
        }
        for (const { settings } of told) expect(bench.driver.device.safeParse(settings).success).toBe(true);
      });

      test('no device is told of after close: of the discovery, of the session', async () => {
        const session = await open();
        const other = await open();
        const told: FoundDevice[] = [];
        const discovery = await session.discover?.((device) => told.push(device));
        await other.discover?.((device) => told.push(device));
        await discovery?.close();
        await other.close();
        const witness = vi.fn();
        await session.discover?.(witness);
        told.length = 0;
        bench.announce?.();
        await vi.waitUntil(() => witness.mock.calls.length > 0);
        expect(told).toEqual([]);
      });

      test('on a lost link discovery is an error of kind reconnect', async () => {
        const session = await open();
        await session.discover?.(() => {});
        bench.cut();
        const failure = await vi.waitUntil(() =>
          Promise.resolve(session.discover?.(() => {})).then(
            () => undefined,
            (error: unknown) => error,
          ),
        );
        expect(isKind(failure, 'reconnect')).toBe(true);
      });
    }

    /** Subscribes to all points of the device, reads those that are to be polled, and remembers what was told. */
    async function listen(session: Session): Promise<Heard> {
      const { points } = bench.device;
      const heard = new Heard(points.length);
      const subscription = await session.subscribe?.(bench.device, points, heard);
      if (!subscription) throw new Error('the session cannot subscribe');
      heard.close = () => subscription.close();
      const { polled } = subscription;
      if (polled.length > 0) {
        const samples = await session.read(bench.device, polled, { signal });
        heard.take({ ...samples, indexes: polled.map((point) => points.indexOf(point)) });
      }
      return heard;
    }
  });
}
