/** An upstream whose disk refuses: what is live goes on, memory stays bounded, what is given up is told. */
import { writeFileSync } from 'node:fs';
import { pino } from 'pino';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { readOutboxStatus } from '../../src/delivery/status.js';
import { openStore, type Store } from '../../src/delivery/store.js';
import type { Upstream } from '../../src/delivery/upstream.js';
import { TidegateError } from '../../src/errors.js';
import { Database } from '../../src/ops/sqlite.js';
import { TestBroker } from '../support/broker.js';
import { setClock } from '../support/clock.js';
import { type Script, ScriptedBroker } from '../support/scripted-broker.js';
import { event, openTestUpstream, temporaryFolder } from '../support/upstream.js';

interface Message {
  values?: { n: number };
  gap?: { count: number; cause: string };
}

describe('a disk that refuses', () => {
  test('delays no live data, and what memory cannot hold becomes one gap in its place', async () => {
    const cloud = await TestBroker.start();
    onTestFinished(() => cloud.down());
    await cloud.down();
    const folder = temporaryFolder();
    const upstream = await openTestUpstream(cloud.url, folder, { buffer: { flush: '40ms', memory: '200kB' } });
    const thief = new Database(`${folder}/outbox/cloud.sqlite`);
    thief.exec('BEGIN EXCLUSIVE');
    onTestFinished(() => void thief.close());

    for (let n = 1; n <= 2000; n++) upstream.accept(event(n));
    await vi.waitFor(() => expect(upstream.status().dropped).toBeGreaterThan(0));
    const { dropped } = upstream.status();
    await cloud.up();
    await cloud.until(() => cloud.json('t/live').length === 2000 - dropped);
    const gaps = cloud.json<Message>('g/gap');
    expect(gaps).toMatchObject([{ device: 'd', gap: { count: dropped, cause: 'memory' } }]);
    const order = cloud.received.filter((m) => !m.topic.endsWith('status')).map((m) => m.topic);
    expect(order[0]).toBe('tidegate/g/gap');

    thief.exec('ROLLBACK');
    upstream.accept(event(2001));
    await cloud.until(() => cloud.json('t/live').length === 2001 - dropped);
    await vi.waitFor(() =>
      expect(upstream.status()).toMatchObject({ accepted: 2001, acknowledged: 2001 - dropped, dropped }),
    );
    await upstream.close();
    expect((await readOutboxStatus(folder))[0]).toMatchObject({ backlog: 0 });
  });

  test('a folder that cannot be made is told with its path', async () => {
    const file = `${temporaryFolder()}/file`;
    writeFileSync(file, '');
    await expect(openTestUpstream('mqtt://127.0.0.1:1', file)).rejects.toMatchObject({
      code: 'OUTBOX_OPEN',
      message: expect.stringContaining(`${file}/outbox`),
    });
  });
});

describe('a stop while the disk refuses', () => {
  interface Line {
    readonly level: number;
    readonly code?: string;
    readonly msg: string;
  }

  /** A store that opens files, and writes nothing. */
  function deadStore(): Store {
    const store = openStore();
    const commit = () => Promise.reject(new TidegateError('OUTBOX_STORE', 'disk I/O error'));
    return { ...store, open: async (...file) => ({ ...(await store.open(...file)), commit }) };
  }

  async function upstreamTo(url: string, settings: object = {}): Promise<{ upstream: Upstream; lost: () => Line[] }> {
    const lines: Line[] = [];
    const log = pino({ base: null, timestamp: false }, { write: (line: string) => void lines.push(JSON.parse(line)) });
    const upstream = await openTestUpstream(url, temporaryFolder(), settings, setClock, log, deadStore());
    return { upstream, lost: () => lines.filter(({ code }) => code === 'OUTBOX_LOST') };
  }

  test.each(['window', 'strict'])(
    'sends what is in memory while there is time (durability: %s)',
    async (durability) => {
      // The broker takes one message at a time, and none before the stop has begun.
      let stopping = (): void => {};
      const stop = new Promise<void>((resolve) => {
        stopping = resolve;
      });
      const script: Script = {
        publish: (peer, { messageId }) => {
          void stop.then(() => peer.send({ cmd: 'puback', messageId: messageId ?? 0 }));
          return 'silence';
        },
      };
      const broker = await ScriptedBroker.start(script);
      onTestFinished(() => broker.stop());
      const { upstream, lost } = await upstreamTo(broker.url, { in_flight: 1, buffer: { durability } });
      await broker.until(() => broker.status.length > 0);
      for (let n = 1; n <= 20; n++) upstream.accept(event(n));
      if (durability === 'window') await broker.until(() => broker.published.length === 1);
      const closed = upstream.close();
      stopping();
      await closed;
      const n = broker.published.map(({ payload }) => (JSON.parse(payload) as Message).values?.n);
      expect(n).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
      expect(lost()).toEqual([]);
    },
  );

  test('tells in the log, lane by lane, how many events nobody took, and of which time', async () => {
    const { upstream, lost } = await upstreamTo('mqtt://127.0.0.1:9', { buffer: { flush: '40ms', memory: '100kB' } });
    for (let n = 1; n <= 1000; n++) upstream.accept(event(n, n % 100 === 0 ? 'alarm' : 'live'));
    await vi.waitFor(() => expect(upstream.status().dropped).toBeGreaterThan(0));
    await upstream.close();
    const time = (n: number): string => new Date(event(n).at).toISOString();
    // What was given up before is among it: its gap was in memory, too.
    expect(lost()).toMatchObject([
      { level: 50, stream: 'alarm', events: 10, from: time(100), to: time(1000) },
      { level: 50, stream: 'live', events: 990, from: time(1), to: time(999) },
    ]);
  });
});
