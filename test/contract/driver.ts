/** What every driver must do, over its own protocol on a real wire. Each driver's test calls this with a bench of its own. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Driver, Session } from '../../src/driver.js';
import { isKind } from '../../src/errors.js';
import type { Device, Point, Samples, Value } from '../../src/model.js';
import { driverContext } from '../support/driver-context.js';

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
  close(): Promise<void>;
}

const signal = new AbortController().signal;

/** Runs the contract. */
export function driverContract(name: string, makeBench: () => Promise<DriverBench>): void {
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
  });
}
