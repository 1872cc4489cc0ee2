/** A broker that acknowledges late, never, twice, out of order, what it was not sent; and every reason of a PUBACK (MQTT 5 table 3-4). */
import { describe, expect, test, vi } from 'vitest';
import { random } from '../support/random.js';
import { BrokerScene } from './broker-scene.js';
import { SEED } from './scene.js';

const EVENTS = 200;
const FOREVER = { ack_timeout: '10m' };

describe.each(['3.1.1', '5'])('MQTT %s: a broker that', (version) => {
  test('never acknowledges on three connections: all is sent again, in order, under the same ids', async () => {
    const scene = await BrokerScene.set(
      { publish: ({ number }) => (number <= 3 ? 'silence' : {}) },
      { version, ack_timeout: '200ms' },
    );
    scene.accept(EVENTS);
    await scene.tells(/no acknowledgement/);
    const { duplicates } = await scene.check('broker never acknowledges');
    expect(duplicates).toBeGreaterThanOrEqual(3 * 32);
  });

  test('leaves one message out and acknowledges all others: that one is not forgotten', async () => {
    const scene = await BrokerScene.set(
      { publish: ({ number }, { payload }) => (number === 1 && String(payload).includes('"n":7,') ? 'silence' : {}) },
      { version, ack_timeout: '200ms' },
    );
    scene.accept(EVENTS);
    // On a busy machine the one left out may have been sent again by now.
    await vi.waitFor(() => expect(scene.upstream.status().acknowledged).toBeGreaterThanOrEqual(EVENTS - 1));
    // It goes on well, which must not hide the one that waits.
    const live = setInterval(() => scene.accept(1), 20);
    await scene.broker.until(() => scene.broker.connections > 1);
    clearInterval(live);
    await scene.check('broker leaves out one acknowledgement');
  });

  test.each([
    ['late', (acks: (() => void)[]) => acks],
    ['in reverse order', (acks: (() => void)[]) => acks.toReversed()],
    ['twice', (acks: (() => void)[]) => acks.flatMap((ack) => [ack, ack])],
    ['in a random order', (acks: (() => void)[]) => shuffled(acks)],
  ])('acknowledges %s: each event once, and in order', async (how, arrange) => {
    const held: (() => void)[] = [];
    const scene = await BrokerScene.set(
      {
        publish: (peer, { messageId = 0 }) => {
          held.push(() => peer.send({ cmd: 'puback', messageId }));
          // A whole window, or what is left of the last one.
          if (held.length === 32 || scene.published.length >= EVENTS)
            setImmediate(() => {
              for (const ack of arrange(held.splice(0))) ack();
            });
          return 'silence';
        },
      },
      // All is live: a window is always full.
      { version, ...FOREVER, buffer: { flush: '40ms' } },
    );
    scene.accept(EVENTS);
    const { duplicates } = await scene.check(`broker acknowledges ${how}`);
    expect(duplicates).toBe(0);
  });

  test('acknowledges what it was never sent: nothing is taken for delivered', async () => {
    const scene = await BrokerScene.set(
      {
        publish: ({ number, send }, { messageId = 0 }) => {
          for (const stranger of [1, 500, 30_000])
            send({ cmd: 'puback', messageId: ((messageId + stranger) % 65_535) + 1 });
          return number === 1 ? 'silence' : {};
        },
      },
      { version, ack_timeout: '300ms', in_flight: 1 },
    );
    scene.accept(5);
    await scene.broker.until(() => scene.broker.connections > 1);
    expect(scene.upstream.status().acknowledged).toBe(0);
    scene.accept(20);
    await scene.check('broker acknowledges ids that were never sent');
  });
});

describe('MQTT 5: a PUBACK with reason', () => {
  test.each([
    [0x00, 'success'],
    [0x10, 'no matching subscribers'],
  ])('%i (%s) is an acknowledgement', async (reasonCode) => {
    const scene = await BrokerScene.set({ publish: () => ({ reasonCode }) }, { version: '5' });
    scene.accept(20);
    const { duplicates } = await scene.check('PUBACK: success, no matching subscribers');
    expect(duplicates).toBe(0);
  });

  test.each([
    [0x90, 'topic name invalid'],
    [0x99, 'payload format invalid'],
  ])('%i (%s) refuses for good: told as a gap, and all others pass', async (reasonCode, words) => {
    const scene = await BrokerScene.set(
      { publish: (_, { payload }) => (numberIn(payload) % 7 === 0 ? { reasonCode } : {}) },
      { version: '5' },
    );
    scene.accept(21);
    const { gaps } = await scene.check('PUBACK: refused for good', { rejected: 3 });
    expect(gaps.map(({ cause }) => cause)).toEqual(gaps.map(() => 'rejected'));
    expect(scene.told).toContainEqual(
      expect.objectContaining({
        code: 'UPSTREAM_REJECTED',
        topic: 't/live',
        reason: expect.stringMatching(new RegExp(words, 'i')),
      }),
    );
  });

  test.each([
    [0x91, 'packet identifier in use'],
    [0x97, 'quota exceeded'],
    [0x80, 'unspecified'],
    [0x83, 'implementation specific'],
    [0x87, 'not authorized'],
  ])(
    '%i (%s) for all that is sent: nothing is given up, and all arrives when it is over',
    async (reasonCode, words) => {
      const scene = await BrokerScene.set(
        { publish: () => (scene.published.length <= 11 ? { reasonCode } : {}) },
        { version: '5', in_flight: 10 },
      );
      scene.accept(EVENTS);
      await scene.tells(new RegExp(words, 'i'));
      await scene.check('PUBACK: later');
    },
  );

  test('unspecified, implementation specific or not authorized, always for one message and never for others: given up in the end, and told', async () => {
    const reasons = new Map([
      [7, 0x80],
      [14, 0x83],
      [21, 0x87],
    ]);
    const scene = await BrokerScene.set(
      { publish: (_, { payload }) => ({ reasonCode: reasons.get(numberIn(payload)) ?? 0 }) },
      { version: '5' },
    );
    const live = setInterval(() => scene.accept(1), 20);
    await vi.waitFor(() => expect(scene.upstream.status().rejected).toBe(3), 20_000);
    clearInterval(live);
    await scene.check('PUBACK: one message always refused', { rejected: 3 });
    expect(scene.published.filter(({ payload }) => numberIn(payload) === 7)).toHaveLength(5);
  });

  test('quota exceeded, now and then: with `in_flight: 1` nothing is ever overtaken', async () => {
    const scene = await BrokerScene.set(
      { publish: () => (scene.published.length % 15 === 0 ? { reasonCode: 0x97 } : {}) },
      { version: '5', in_flight: 1 },
    );
    scene.accept(60);
    await scene.check('PUBACK: quota exceeded now and then', { runs: 4 });
  });
});

/** NaN in a gap. */
function numberIn(payload: string | Buffer): number {
  return JSON.parse(String(payload)).values?.n ?? Number.NaN;
}

const draw = random(SEED);

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, place: draw() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ item }) => item);
}
