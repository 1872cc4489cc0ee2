/** The wall clock is wrong, is set late, and jumps, under a running gateway. */
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { readOutboxStatus } from '../../src/delivery/status.js';
import type { Program } from '../interop/programs.js';
import { TestBroker } from '../support/broker.js';
import { CountingDevice } from '../support/counting-device.js';
import { writeCountingSite } from '../support/counting-site.js';
import { temporaryFolder } from '../support/upstream.js';
import { FakedTime, noFakedTime } from './faked-time.js';
import { expectPromiseKept } from './promise.js';

const DAY = 86_400_000;
const YEARS = 365.25 * DAY;

interface Message {
  readonly id: string;
  readonly ts: number;
  readonly values: { readonly n: number };
  readonly clock?: 'unset';
}

/** A gateway with five devices that count, a broker, and a clock of its own. */
async function plant() {
  const folder = temporaryFolder();
  const cloud = await TestBroker.start();
  onTestFinished(() => cloud.down());
  const device = await CountingDevice.start();
  onTestFinished(() => device.stop());
  const time = new FakedTime(folder);
  const upstream = { buffer: { flush: '100ms', live_for: '300ms' } };
  const file = writeCountingSite({ folder, device: device.port, url: cloud.url, upstream });
  const telemetry = () => cloud.received.filter(({ topic }) => /^tidegate\/g\/counter.*\/telemetry$/.test(topic));
  const messages = () => telemetry().map(({ payload }) => JSON.parse(payload) as Message);

  return {
    cloud,
    time,
    messages,
    run: () => time.run(file),
    /** Waits until so many more events have gone to disk, beside those that have not yet. */
    async keeps(events: number): Promise<void> {
      const before = await backlog(folder);
      await vi.waitFor(async () => expect(await backlog(folder)).toBeGreaterThanOrEqual(before + events), 20_000);
    },
    /** All that was shown until now has to arrive, once and in order; then the gateway is stopped. Gives how far each time is from the true one. */
    async allArrives(fault: string, gateway: Program): Promise<{ message: Message; error: number }[]> {
      const shown = new Map(device.shown.map(({ n, at }) => [n, at]));
      const missing = new Set(shown.keys());
      await cloud.until(() => {
        for (const { values } of messages()) missing.delete(values.n);
        return missing.size === 0;
      });
      const arrived = messages();
      expect(await gateway.stop('SIGTERM')).toBe(0);
      const received = cloud.received.filter(({ topic }) => topic !== 'tidegate/g/status');
      const [status] = await readOutboxStatus(folder);
      if (!status) throw new Error('there is no outbox file');
      const { accounts } = status;
      expect(expectPromiseKept({ fault, received, mustArrive: [...shown.keys()], accounts }).gaps).toEqual([]);
      return arrived.flatMap((message) => {
        const at = shown.get(message.values.n);
        return at === undefined ? [] : [{ message, error: message.ts - at }];
      });
    },
  };
}

/** Events on disk. */
async function backlog(folder: string): Promise<number> {
  return (await readOutboxStatus(folder))[0]?.backlog ?? 0;
}

describe.skipIf(noFakedTime)(`the wall clock${noFakedTime ? `: ${noFakedTime}` : ''}`, () => {
  test('starts in 1980 and is set during an outage: all that waited gets its true time', async () => {
    const { cloud, time, messages, run, keeps, allArrives } = await plant();
    time.set(-46 * YEARS);
    const gateway = run();
    await cloud.until(() => messages().length >= 20);
    await cloud.down();
    const before = messages();
    await keeps(200);
    time.set(0);
    await gateway.line((line) => line.includes('the clock is set'));
    await keeps(50);
    await cloud.up();
    const arrived = await allArrives('clock set during an outage', gateway);

    for (const { ts, clock } of before) {
      expect(new Date(ts).getUTCFullYear()).toBeLessThan(1981);
      expect(clock).toBe('unset');
    }
    // What was on its way when the broker went may come twice: with the time it had then, and with the true one.
    const after = arrived.slice(before.length);
    expect(after.length).toBeGreaterThan(250);
    expect(after.filter(({ message }) => message.clock)).toEqual([]);
    expect(after.filter(({ error }) => Math.abs(error) > 1_000)).toEqual([]);
  });

  test.each([
    ['a day back', -DAY],
    ['ten years ahead', 10 * YEARS],
  ])('steps %s while events wait: nothing is lost, reordered or given up', async (name, step) => {
    const { cloud, time, messages, run, keeps, allArrives } = await plant();
    const gateway = run();
    await cloud.until(() => messages().length >= 20);
    await cloud.down();
    await keeps(100);
    time.set(step);
    await gateway.line((line) => line.includes('the clock was set'));
    await keeps(100);
    await cloud.up();
    const arrived = await allArrives(`clock steps ${name}`, gateway);

    const near = (offset: number) => arrived.filter(({ error }) => Math.abs(error - offset) < 1_000).length;
    expect(near(0)).toBeGreaterThan(100);
    expect(near(step)).toBeGreaterThan(100);
    expect(near(0) + near(step)).toBe(arrived.length);
  });
});
