/** Many units on one slow line, on a faked clock: each living one gets its rate, the dead ones hardly cost anything. */
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { rtu } from '../../drivers/modbus/framing.js';
import { modbus } from '../../drivers/modbus/index.js';
import { Line } from '../../drivers/modbus/line.js';
import { lineOf } from '../../drivers/modbus/schema.js';
import { sessionOn } from '../../drivers/modbus/session.js';
import type { Driver } from '../../src/driver.js';
import { plannedShare } from '../../src/polling/load.js';
import { startPoller } from '../../src/polling/poller.js';
import { driverContext } from '../support/driver-context.js';
import { deviceOf, pointOf } from '../support/modbus-points.js';
import { SlowLine } from '../support/slow-line.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('32 units at 9600 baud, 8 of them dead: the 24 get their rate, and the line is as busy as planned', async () => {
  const connection = modbus.connection.parse({ serial: '/dev/ttyUSB0', baud: 9_600, timeout: '300ms' });
  const { byteTime, silence } = lineOf(connection) as NonNullable<ReturnType<typeof lineOf>>;
  const EVERY = 2_500;
  const points = Array.from({ length: 10 }, (_, index) => ({
    ...pointOf('float32', { address: 2 * index, table: 'input' }),
    every: EVERY,
  }));
  const units = Array.from({ length: 32 }, (_, index) => index + 1);
  const dead = units.filter((unit) => unit % 4 === 0);
  // The planner takes 20 ms for every unit; these need 12 to 32.
  const line = new SlowLine(byteTime, (unit) => 12 + ((unit * 7) % 21), dead);
  const devices = units.map((unit) => deviceOf(points, { unit }, `meter-${unit}`));
  const options = { timeout: 300, pause: silence, byteTime, quiet: 100, echo: false, stray: () => {} };
  const poller = startPoller({
    ...driverContext(),
    connection: 'bus',
    driver: {
      ...(modbus as Driver),
      open: async (_, { log }) =>
        sessionOn(new Line(line, rtu, { ...options, mostSilent: Number.POSITIVE_INFINITY }), connection, log),
    },
    settings: connection,
    devices,
    log: pino({ level: 'silent' }),
    onBatch: () => {},
  });
  // The dead ones are found out in the first minute.
  await vi.advanceTimersByTimeAsync(60_000);
  line.rest();
  line.busy.clear();
  line.reads.clear();
  const { overruns } = poller.stats;
  const MINUTES = 10 * 60_000;
  await vi.advanceTimersByTimeAsync(MINUTES);
  line.rest();

  const alive = units.filter((unit) => !dead.includes(unit));
  for (const unit of alive) expect(Math.abs((line.reads.get(unit) ?? 0) - MINUTES / EVERY)).toBeLessThanOrEqual(1);
  expect(poller.stats.overruns).toBe(overruns);
  const spent = (of: readonly number[]): number => of.reduce((sum, unit) => sum + (line.busy.get(unit) ?? 0), 0);
  expect(spent(dead) / MINUTES).toBeLessThanOrEqual(0.05);
  const requests = alive.reduce((sum, unit) => sum + (line.reads.get(unit) ?? 0), 0);
  const share = (spent(alive) + requests * silence) / MINUTES;
  const planned = devices
    .filter((_, index) => alive.includes(index + 1))
    .reduce((sum, device) => sum + (plannedShare(modbus as Driver, connection, device) as number), 0);
  expect(planned).toBeGreaterThan(0.7);
  expect(Math.abs(share - planned)).toBeLessThanOrEqual(0.1 * planned);
  // What the gateway itself tells of the wire: all of it, over the last minute.
  const told = poller.usage.share(performance.now());
  expect(Math.abs(told - share - spent(dead) / MINUTES)).toBeLessThanOrEqual(0.05);
  const stopped = poller.stop();
  await vi.advanceTimersByTimeAsync(2_000);
  await stopped;
});
