import { describe, expect, test } from 'vitest';
import { modbus } from '../../drivers/modbus/index.js';
import type { Driver } from '../../src/driver.js';
import { plannedShare } from '../../src/polling/load.js';
import { deviceOf, pointOf } from '../support/modbus-points.js';

describe('the planned share of a wire', () => {
  /** A read costs 10 ms, and 1 ms for each point. */
  const driver = {
    ...modbus,
    cost: (_: unknown, __: unknown, points: readonly unknown[]) => 10 + points.length,
  } as Driver;
  const points = (...every: number[]) =>
    every.map((interval, address) => ({ ...pointOf('uint16', { address }), every: interval }));

  test('is the cost of what is read together, as often as it is read', () => {
    expect(plannedShare(driver, {}, deviceOf(points(1000)))).toBeCloseTo(11 / 1000, 9);
    expect(plannedShare(driver, {}, deviceOf(points(1000, 1000)))).toBeCloseTo(12 / 1000, 9);
    // Nine reads of one point, and one of both.
    expect(plannedShare(driver, {}, deviceOf(points(1000, 10_000)))).toBeCloseTo((9 * 11 + 12) / 10_000, 9);
    expect(plannedShare(driver, {}, deviceOf(points(100, 250, 7_000)))).toBeGreaterThan(0.12);
  });

  test('is nothing where nothing is read, and unknown where the driver cannot tell', () => {
    expect(plannedShare(driver, {}, deviceOf([]))).toBe(0);
    const { cost: _, ...silent } = driver;
    expect(plannedShare(silent, {}, deviceOf(points(1000)))).toBeUndefined();
  });

  test('is half as much where two requests go at once', () => {
    const share = (keys: object) =>
      plannedShare(modbus as Driver, modbus.connection.parse({ tcp: '10.0.0.5', ...keys }), deviceOf(points(1000)));
    expect(share({ in_flight: 2 })).toBeCloseTo((share({}) as number) / 2, 9);
  });

  test('on a serial line is the time of its bytes, its silences and an answer', () => {
    const line = modbus.connection.parse({ serial: '/dev/ttyUSB0', baud: 9_600 });
    const share = plannedShare(modbus as Driver, line, deviceOf(points(1000)));
    // 8 bytes there, 7 back, 3.5 characters of silence: 18.5 characters of 10 bits, and 20 ms for the device.
    expect(share).toBeCloseTo((18.5 * 10) / 9_600 + 0.02, 6);
  });
});
