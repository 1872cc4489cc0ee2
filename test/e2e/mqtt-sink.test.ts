/** What brokers do to a client, and what the `mqtt` package does with it: each was once a trap. */
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { type Script, ScriptedBroker } from '../support/scripted-broker.js';
import { event, openTestUpstream, temporaryFolder } from '../support/upstream.js';

async function scripted(script: Script): Promise<ScriptedBroker> {
  const broker = await ScriptedBroker.start(script);
  onTestFinished(() => broker.stop());
  return broker;
}

const numbers = (broker: ScriptedBroker): number[] => broker.published.map((p) => JSON.parse(p.payload).values?.n);

describe('an upstream whose broker', () => {
  test('allows three unacknowledged messages gets no fourth (MQTT 5 §3.3.4)', async () => {
    const broker = await scripted({
      connack: () => ({ properties: { receiveMaximum: 3 } }),
      publish: () => 'silence',
    });
    const upstream = await openTestUpstream(broker.url, temporaryFolder(), { version: '5' });
    onTestFinished(() => upstream.close());
    for (let n = 1; n <= 10; n++) upstream.accept(event(n));
    await broker.until(() => broker.published.length === 3);
    expect(upstream.status()).toMatchObject({ inFlight: 3, waiting: { live: 10 } });
  });

  test('never acknowledges is left, and gets the same ids again, in order', async () => {
    const broker = await scripted({ publish: ({ number }) => (number === 1 ? 'silence' : {}) });
    const upstream = await openTestUpstream(broker.url, temporaryFolder(), { version: '3.1.1', ack_timeout: '200ms' });
    for (let n = 1; n <= 5; n++) upstream.accept(event(n));
    await broker.until(() => broker.published.length === 10);
    expect(numbers(broker)).toEqual([1, 2, 3, 4, 5, 1, 2, 3, 4, 5]);
    const ids = broker.published.map((p) => JSON.parse(p.payload).id);
    expect(ids.slice(5)).toEqual(ids.slice(0, 5));
    await vi.waitFor(() =>
      expect(upstream.status()).toMatchObject({ acknowledged: 5, waiting: { live: 0, backlog: 0 } }),
    );
    await upstream.close();
  });

  test.each([
    ['3.1.1', { returnCode: 5 }],
    ['5', { reasonCode: 0x86 }],
  ] as const)('refuses the login twice (MQTT %s) is asked again, and the reason is told', async (version, refusal) => {
    const broker = await scripted({ connack: ({ number }) => (number <= 2 ? refusal : {}) });
    const upstream = await openTestUpstream(broker.url, temporaryFolder(), { version });
    upstream.accept(event(1));
    await broker.until(() => broker.connections === 2);
    await vi.waitFor(() => expect(upstream.status().reason).toMatch(/not authorized|bad user name/i));
    await broker.until(() => broker.published.length === 1);
    await upstream.close();
  });

  test('speaks only 3.1.1 is spoken to in 3.1.1', async () => {
    const versions: unknown[] = [];
    const broker = await scripted({
      connack: ({ number }) => {
        versions.push(number);
        return number === 1 ? { reasonCode: 0x84, returnCode: 1 } : {};
      },
    });
    const upstream = await openTestUpstream(broker.url, temporaryFolder());
    upstream.accept(event(1));
    await broker.until(() => broker.published.length === 1);
    expect(versions).toHaveLength(2);
    await upstream.close();
  });

  test('is over its quota is given time, and then the same message', async () => {
    const broker = await scripted({ publish: () => ({ reasonCode: broker.published.length === 1 ? 0x97 : 0 }) });
    const upstream = await openTestUpstream(broker.url, temporaryFolder(), { version: '5' });
    upstream.accept(event(1));
    await vi.waitFor(() => expect(upstream.status().acknowledged).toBe(1), 5000);
    expect(numbers(broker)).toEqual([1, 1]);
    expect(upstream.status()).toMatchObject({ rejected: 0 });
    await upstream.close();
  });

  test('refuses one message for good gets the others, and a gap that says so', async () => {
    const broker = await scripted({
      publish: (_, { payload }) => ({ reasonCode: String(payload).includes('"n":2,') ? 0x99 : 0 }),
    });
    const upstream = await openTestUpstream(broker.url, temporaryFolder(), { version: '5', buffer: { flush: '40ms' } });
    for (let n = 1; n <= 3; n++) upstream.accept(event(n));
    await broker.until(() => broker.published.length === 4);
    const { at: from } = event(2);
    const gap = { cause: 'rejected', count: 1, from, to: from };
    expect(JSON.parse(broker.published[3]?.payload ?? '')).toMatchObject({ device: 'd', gap });
    await vi.waitFor(() => expect(upstream.status()).toMatchObject({ acknowledged: 2, rejected: 1 }));
    await upstream.close();
  });

  test('takes small packets only is not sent a large one (MQTT 5 §3.2.2.3.6)', async () => {
    const broker = await scripted({ connack: () => ({ properties: { maximumPacketSize: 300 } }) });
    const upstream = await openTestUpstream(broker.url, temporaryFolder(), { version: '5' });
    await vi.waitFor(() => expect(upstream.status().link).toBe('online'));
    upstream.accept({ ...event(1), values: [1, 'x'.repeat(400)] });
    upstream.accept(event(2));
    await vi.waitFor(() => expect(upstream.status()).toMatchObject({ acknowledged: 1, rejected: 1 }));
    expect(numbers(broker)[0]).toBe(2);
    await upstream.close();
  });

  test('cuts the connection in the middle of a packet gets everything on the next', async () => {
    const broker = await scripted({
      publish: ({ number, socket }) => {
        if (number > 3) return {};
        socket.write(Buffer.from([0x40, 0x02, 0x00]));
        socket.destroy();
        return 'silence';
      },
    });
    const upstream = await openTestUpstream(broker.url, temporaryFolder(), { version: '3.1.1' });
    for (let n = 1; n <= 20; n++) upstream.accept(event(n));
    await vi.waitFor(() => expect(upstream.status().acknowledged).toBe(20));
    const last = broker.published.filter((p) => p.connection === 4).map((p) => JSON.parse(p.payload).values.n);
    expect(last).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    await upstream.close();
  });

  test('breaks the connection at one message is spared it in the end, gets all others, and a gap', async () => {
    const broker = await scripted({
      publish: ({ socket }, { payload }) => {
        if (!String(payload).includes('"n":3,')) return {};
        socket.destroy();
        return 'silence';
      },
    });
    const upstream = await openTestUpstream(broker.url, temporaryFolder(), {
      version: '3.1.1',
      buffer: { flush: '40ms' },
    });
    for (let n = 1; n <= 10; n++) upstream.accept(event(n));
    await vi.waitFor(() => expect(upstream.status()).toMatchObject({ acknowledged: 9, rejected: 1 }), 5000);
    await broker.until(() => broker.published.some(({ topic }) => topic.endsWith('gap')));
    await upstream.close();
  });

  test('breaks every connection for a while is blamed itself: nothing is given up', async () => {
    const broker = await scripted({
      publish: ({ number, socket }) => {
        if (number > 15) return {};
        socket.destroy();
        return 'silence';
      },
    });
    const upstream = await openTestUpstream(broker.url, temporaryFolder(), { version: '3.1.1' });
    for (let n = 1; n <= 10; n++) upstream.accept(event(n));
    await vi.waitFor(() => expect(upstream.status().acknowledged).toBe(10), 8000);
    expect(upstream.status()).toMatchObject({ rejected: 0, dropped: 0 });
    await upstream.close();
  });

  test('acknowledges twice, out of order, and what was never sent confuses nothing', async () => {
    const broker = await scripted({
      publish: (peer, { messageId = 0 }) => {
        peer.send({ cmd: 'puback', messageId: (messageId % 65_000) + 500 });
        setImmediate(() => {
          peer.send({ cmd: 'puback', messageId });
          peer.send({ cmd: 'puback', messageId });
        });
        return 'silence';
      },
    });
    const upstream = await openTestUpstream(broker.url, temporaryFolder(), { version: '3.1.1' });
    for (let n = 1; n <= 100; n++) upstream.accept(event(n));
    await vi.waitFor(() => expect(upstream.status()).toMatchObject({ acknowledged: 100, waiting: { live: 0 } }));
    await upstream.close();
  });

  test.each(['silence', 'garbage'])('answers CONNECT with %s holds up neither events nor the stop', async (how) => {
    const broker = await scripted({
      connack: ({ socket }) => {
        if (how === 'garbage') socket.write(Buffer.alloc(64, 0xff));
        return 'silence';
      },
    });
    const upstream = await openTestUpstream(broker.url, temporaryFolder(), {
      version: '3.1.1',
      connect_timeout: '100ms',
    });
    upstream.accept(event(1));
    await broker.until(() => broker.connections >= 3);
    expect(upstream.status()).toMatchObject({ link: 'offline', accepted: 1 });
    await upstream.close();
  });

  test('does not acknowledge at all cannot hold up a stop', async () => {
    const broker = await scripted({ publish: () => 'silence' });
    const upstream = await openTestUpstream(broker.url, temporaryFolder(), { version: '5' });
    for (let n = 1; n <= 50; n++) upstream.accept(event(n));
    await broker.until(() => broker.published.length === 32);
    await upstream.close();
    expect(upstream.status().link).toBe('offline');
  });
});
