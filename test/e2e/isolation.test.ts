import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import { drivers } from '../../drivers/index.js';
import type { Batch, Device } from '../../src/model.js';
import { type Poller, startPoller } from '../../src/polling/poller.js';
import { driverContext } from '../support/driver-context.js';
import { device } from '../support/scripted-wire.js';
import { Units } from '../support/units.js';

const EVERY = 100;
const UNITS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
const DEAD = 5;

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** Ten devices on one connection, polled by the real driver. */
class Plant {
  readonly units: Units;
  readonly batches: Batch[] = [];
  readonly poller: Poller;
  readonly #waiting: { until: (plant: Plant) => boolean; resolve: () => void }[] = [];

  static async start(mute: number[]): Promise<Plant> {
    const driver = await (drivers.modbus as NonNullable<typeof drivers.modbus>)();
    const units = await Units.listen();
    for (const unit of mute) units.mute.add(unit);
    const settings = driver.connection.parse({ tcp: `127.0.0.1:${units.port}`, timeout: '80ms' });
    const points = ['a', 'b', 'c'].map((id, index) => [
      id,
      { every: EVERY, address: driver.address.parse({ table: 'holding', address: index }) },
    ]);
    const devices = UNITS.map((unit) => ({
      ...device(`unit-${unit}`, Object.fromEntries(points)),
      settings: driver.device.parse({ unit }),
    }));
    return new Plant(units, (onBatch) =>
      startPoller({ ...driverContext(), driver, settings, devices, log: pino({ level: 'silent' }), onBatch }),
    );
  }

  private constructor(units: Units, start: (onBatch: (batch: Batch) => void) => Poller) {
    this.units = units;
    this.poller = start((batch) => {
      this.batches.push(batch);
      for (const { until, resolve } of this.#waiting) if (until(this)) resolve();
    });
    ends.push(
      () => this.units.close(),
      () => this.poller.stop(),
    );
  }

  when(until: (plant: Plant) => boolean): Promise<void> {
    if (until(this)) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ until, resolve }));
  }

  /** Good polls of a device. */
  good(unit: number): number {
    return this.batches.filter((batch) => of(batch.device, unit) && !batch.flaws).length;
  }

  goodOfNine(): number {
    return UNITS.filter((unit) => unit !== DEAD).reduce((sum, unit) => sum + this.good(unit), 0);
  }
}

function of(device: Device, unit: number): boolean {
  return device.id === `unit-${unit}`;
}

describe('ten devices on one connection, one of them dead', () => {
  test('the nine are polled as often as without it, within 5 %; it is bad once, and good when it returns', async () => {
    // Both plants run side by side, so that a busy machine slows the one as much as the other.
    const healthy = await Plant.start([]);
    const ailing = await Plant.start([DEAD]);
    await healthy.when(() => healthy.goodOfNine() >= 9 * 60);
    const [without, withDead] = [healthy.goodOfNine(), ailing.goodOfNine()];
    expect(withDead).toBeGreaterThan(0.95 * without);
    expect(healthy.good(DEAD)).toBeGreaterThan(50);
    expect(ailing.poller.state(`unit-${DEAD}`)).toEqual({ state: 'offline', reason: 'timeout' });
    const told = ailing.batches.filter((batch) => of(batch.device, DEAD));
    expect(told.map(({ values, flaws }) => [values, flaws?.size])).toEqual([[[null, null, null], 3]]);

    ailing.units.mute.clear();
    await ailing.when(() => ailing.good(DEAD) > 2);
    expect(ailing.poller.state(`unit-${DEAD}`)).toEqual({ state: 'online' });
    expect(
      ailing.batches.every(({ device, values }) =>
        values.every((value) => value === null || of(device, value as number)),
      ),
    ).toBe(true);
    expect(ailing.poller.stats.reconnects).toBe(0);
  });

  test('a gateway that drops its connections is found again, with no point told bad', async () => {
    const plant = await Plant.start([]);
    await plant.when(() => UNITS.every((unit) => plant.good(unit) >= 3));
    const before = plant.batches.length;
    plant.units.drop();
    await plant.when(() => plant.batches.length >= before + 40);
    expect(plant.poller.stats.reconnects).toBe(1);
    expect(plant.batches.filter(({ flaws }) => flaws)).toEqual([]);
  });
});
