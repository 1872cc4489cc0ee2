/** What a person takes back, or removes, while the gateway runs: nothing is lost untold, numbers stay in order, accounts balance. */

import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { gatewaySchema } from '../../src/config/schema.js';
import type { Upstream } from '../../src/delivery/upstream.js';
import { prepareUpstreams } from '../../src/delivery/upstreams.js';
import { prepareDiskThread } from '../../src/ops/disk-thread.js';
import { Database } from '../../src/ops/sqlite.js';
import { setClock } from '../support/clock.js';
import { judge } from '../support/ledger.js';
import { type Script, ScriptedBroker } from '../support/scripted-broker.js';
import { event, openTestUpstream, silent, temporaryFolder } from '../support/upstream.js';

interface Message {
  id: string;
  ts: number;
  late?: true;
  values?: { n: number };
  gap?: { cause: string; count: number; from: number; to: number };
}

const NOBODY = 'mqtt://127.0.0.1:1';
const QUICK = { version: '5', buffer: { flush: '40ms', live_for: '40ms' } };

async function scripted(script: Script): Promise<ScriptedBroker> {
  const broker = await ScriptedBroker.start(script);
  onTestFinished(() => broker.stop());
  return broker;
}

/** A broker that refuses readings until it is told otherwise. */
async function refusing(): Promise<{ broker: ScriptedBroker; right: { granted: boolean } }> {
  const right = { granted: false };
  const broker = await scripted({
    publish: (_, { topic }) => ({ reasonCode: topic.startsWith('t/') && !right.granted ? 0x90 : 0 }),
  });
  return { broker, right };
}

function messages(broker: ScriptedBroker, suffix: string): Message[] {
  const found = broker.published.filter(({ topic }) => topic.endsWith(suffix));
  return found.map(({ payload }) => JSON.parse(payload) as Message);
}

function balance(upstream: Upstream): void {
  for (const { accepted, ...places } of Object.values(upstream.status().accounts ?? {}))
    expect(Object.values(places).reduce((sum, count) => sum + count, 0)).toBe(accepted);
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe('requeue', () => {
  test('once the right is granted everything arrives, late, with its old time and a new number', async () => {
    const { broker, right } = await refusing();
    const upstream = await openTestUpstream(broker.url, temporaryFolder(), QUICK);
    for (const n of range(1, 1200)) upstream.accept(event(n, n % 100 === 0 ? 'alarm' : 'live'));
    await vi.waitFor(() => expect(upstream.status().rejections?.kept).toBe(1200), 5000);
    right.granted = true;
    const before = broker.published.length;
    expect(await upstream.requeue()).toBe(1200);
    await vi.waitFor(() => expect(upstream.status().acknowledged).toBe(1200), 10_000);
    const arrived = broker.published.slice(before).filter(({ topic }) => topic.startsWith('t/'));
    const told = arrived.map(({ payload }) => JSON.parse(payload) as Message);
    expect(told.map(({ values }) => values?.n).sort((a, b) => Number(a) - Number(b))).toEqual(range(1, 1200));
    expect(told.every(({ ts, values, late }) => late && ts === 1_700_000_000_000 + Number(values?.n))).toBe(true);
    const verdict = judge(
      arrived.map((each) => ({ ...each, retain: false })),
      range(1, 1200),
    );
    expect(verdict).toMatchObject({ lost: [], duplicates: 0, outOfOrder: [], reused: [] });
    expect(told.every(({ id }) => Number(id.split(':')[2]) > 1200)).toBe(true);
    expect(upstream.status()).toMatchObject({ rejections: { kept: 0 }, rejected: 1200, accepted: 2400 });
    balance(upstream);
    expect(await upstream.requeue()).toBe(0);
    await upstream.close();
  });

  test('asked for twice at once takes back everything, once', async () => {
    const { broker, right } = await refusing();
    const { upstreams: configs } = gatewaySchema.parse({
      gateway: 'g',
      upstreams: { cloud: { url: broker.url, ...QUICK } },
    });
    const folder = temporaryFolder();
    const thread = prepareDiskThread();
    const upstreams = prepareUpstreams({ configs, gateway: 'g', folder, log: silent, clock: setClock, thread });
    await upstreams.open();
    for (const n of range(1, 600)) upstreams.accept('cloud', event(n));
    const kept = (): unknown => upstreams.status()[0]?.rejections?.kept;
    await vi.waitFor(() => expect(kept()).toBe(600), 5000);
    right.granted = true;
    const moved = await Promise.all([upstreams.requeue('cloud'), upstreams.requeue('cloud')]);
    expect(moved).toEqual([600, 0]);
    await vi.waitFor(() => expect(upstreams.status()).toMatchObject([{ acknowledged: 600 }]), 10_000);
    await upstreams.close();
    await thread.close();
  });

  test.each(['lanes', 'strict'])(
    'between what flows and what waits numbers stay in order (order: %s)',
    async (order) => {
      const { broker, right } = await refusing();
      const upstream = await openTestUpstream(broker.url, temporaryFolder(), { ...QUICK, order });
      for (const n of range(1, 200)) upstream.accept(event(n));
      await vi.waitFor(() => expect(upstream.status().rejections?.kept).toBe(200));
      right.granted = true;
      const before = broker.published.length;
      let n = 200;
      const writing = setInterval(() => {
        for (let i = 0; i < 20; i++) upstream.accept(event(++n, n % 10 === 0 ? 'alarm' : 'live'));
      }, 2);
      onTestFinished(() => clearInterval(writing));
      await vi.waitFor(() => expect(n).toBeGreaterThan(1000));
      expect(await upstream.requeue()).toBe(200);
      const then = n;
      await vi.waitFor(() => expect(n).toBeGreaterThan(then + 1000));
      clearInterval(writing);
      await vi.waitFor(() => expect(upstream.status().acknowledged).toBe(n), 10_000);
      const received = broker.published.slice(before).filter(({ topic }) => topic.startsWith('t/'));
      expect(
        judge(
          received.map((each) => ({ ...each, retain: false })),
          range(1, n),
        ),
      ).toMatchObject({
        lost: [],
        duplicates: 0,
        outOfOrder: [],
      });
      balance(upstream);
      await upstream.close();
    },
  );

  test('what is refused again is kept again, once', async () => {
    const { broker } = await refusing();
    const upstream = await openTestUpstream(broker.url, temporaryFolder(), QUICK);
    for (const n of range(1, 50)) upstream.accept(event(n));
    await vi.waitFor(() => expect(upstream.status().rejections?.kept).toBe(50));
    expect(await upstream.requeue()).toBe(50);
    await vi.waitFor(() => expect(upstream.status()).toMatchObject({ rejected: 100, rejections: { kept: 50 } }));
    balance(upstream);
    await upstream.close();
  });

  test('while there is no link they wait, also across a start', async () => {
    const { broker, right } = await refusing();
    const folder = temporaryFolder();
    const first = await openTestUpstream(broker.url, folder, QUICK);
    first.accept(event(1));
    await vi.waitFor(() => expect(first.status().rejections?.kept).toBe(1));
    await first.close();
    const offline = await openTestUpstream(NOBODY, folder, QUICK);
    offline.accept(event(2));
    expect(await offline.requeue()).toBe(1);
    balance(offline);
    expect(offline.status().accounts.live).toMatchObject({ accepted: 3, waiting: 2, rejected: 1 });
    await offline.close();
    right.granted = true;
    const again = await openTestUpstream(broker.url, folder, QUICK);
    await vi.waitFor(() => expect(again.status().acknowledged).toBe(2));
    expect(
      messages(broker, 't/live')
        .slice(1)
        .map(({ id }) => id),
    ).toEqual(['g:2:1', 'g:2:2']);
    balance(again);
    await again.close();
  });

  test('a disk that refuses loses nothing', async () => {
    const { broker, right } = await refusing();
    const folder = temporaryFolder();
    const upstream = await openTestUpstream(broker.url, folder, QUICK);
    upstream.accept(event(1));
    await vi.waitFor(() => expect(upstream.status().rejections?.kept).toBe(1));
    const thief = new Database(`${folder}/outbox/cloud.sqlite`);
    thief.exec('BEGIN EXCLUSIVE');
    onTestFinished(() => void thief.close());
    await expect(upstream.requeue()).rejects.toMatchObject({ code: 'OUTBOX_STORE' });
    thief.exec('ROLLBACK');
    right.granted = true;
    expect(await upstream.requeue()).toBe(1);
    await vi.waitFor(() => expect(upstream.status().acknowledged).toBe(1));
    await upstream.close();
  });
});

describe('purge', () => {
  /** Events that gaps at the broker tell of. */
  const toldOf = (broker: ScriptedBroker): number =>
    messages(broker, 'g/gap').reduce((sum, { gap }) => sum + (gap?.count ?? 0), 0);

  /** Connects the folder to a broker, and gives what it receives until all is told: so many events by gaps. */
  async function delivered(folder: string, purged = 0): Promise<ScriptedBroker> {
    const broker = await scripted({});
    const upstream = await openTestUpstream(broker.url, folder, QUICK);
    upstream.accept({ ...event(999_999), topic: 't/end' });
    await broker.until(() => messages(broker, 't/end').length > 0);
    await vi.waitFor(() => expect(upstream.status().waiting).toEqual({ alarm: 0, live: 0, backlog: 0 }), 10_000);
    // A gap is no event that waits.
    await broker.until(() => toldOf(broker) >= purged);
    balance(upstream);
    await upstream.close();
    return broker;
  }

  test('removes what waits in memory and on disk, and gaps tell all of it', async () => {
    const folder = temporaryFolder();
    const upstream = await openTestUpstream(NOBODY, folder, QUICK);
    for (const n of range(1, 500)) upstream.accept(event(n));
    await vi.waitFor(() => expect(upstream.status().waiting).toMatchObject({ live: 0, backlog: 500 }));
    for (const n of range(501, 600)) upstream.accept(event(n));
    upstream.accept(event(601, 'alarm'));
    expect(await upstream.purge(['live'])).toEqual({ events: { live: 600 }, fileRemoved: false });
    balance(upstream);
    expect(upstream.status()).toMatchObject({ waiting: { alarm: 1, live: 0, backlog: 0 }, dropped: 600 });
    expect(upstream.status().accounts.live).toMatchObject({ accepted: 600, waiting: 0, purged: 600 });
    await upstream.close();
    const broker = await delivered(folder, 600);
    expect(messages(broker, 't/live')).toEqual([]);
    expect(messages(broker, 't/alarm')).toHaveLength(1);
    const gaps = messages(broker, 'g/gap').map(({ gap }) => gap);
    expect(gaps.every((gap) => gap?.cause === 'purged')).toBe(true);
    expect(toldOf(broker)).toBe(600);
    expect(Math.min(...gaps.map((gap) => gap?.from ?? 0))).toBe(1_700_000_000_001);
    expect(Math.max(...gaps.map((gap) => gap?.to ?? 0))).toBe(1_700_000_000_600);
  });

  test('removes what was read back from disk and half acknowledged', async () => {
    const folder = temporaryFolder();
    const first = await openTestUpstream(NOBODY, folder, QUICK);
    for (const n of range(1, 400)) first.accept(event(n));
    await first.close();
    let taken = 0;
    const broker = await scripted({ publish: () => (++taken > 100 ? 'silence' : {}) });
    const upstream = await openTestUpstream(broker.url, folder, QUICK);
    await vi.waitFor(() => expect(upstream.status()).toMatchObject({ acknowledged: 100 }));
    await vi.waitFor(() => expect(upstream.status().inFlight).toBeGreaterThan(0));
    const { inFlight } = upstream.status();
    const { events } = await upstream.purge(['alarm', 'live']);
    expect(events).toEqual({ alarm: 0, live: 300 - inFlight });
    expect(upstream.status().waiting.backlog).toBe(inFlight);
    balance(upstream);
    await upstream.close();
    const later = await delivered(folder, 300 - inFlight);
    expect(messages(later, 't/live')).toHaveLength(inFlight);
    expect(toldOf(later)).toBe(300 - inFlight);
  });

  test('removes rows that were settled in part and went back to disk', async () => {
    const folder = temporaryFolder();
    let answer = true;
    const broker = await scripted({ publish: () => (answer ? {} : 'silence') });
    const settings = { ...QUICK, in_flight: 10, ack_timeout: '200ms' };
    const upstream = await openTestUpstream(broker.url, folder, settings);
    await vi.waitFor(() => expect(upstream.status().link).toBe('online'));
    broker.on('change', () => {
      if (broker.published.length >= 10) answer = false;
    });
    for (const n of range(1, 300)) upstream.accept(event(n));
    await vi.waitFor(() => expect(upstream.status()).toMatchObject({ waiting: { live: 0 } }), 5000);
    broker.stop();
    await vi.waitFor(() => expect(upstream.status().inFlight).toBe(0));
    const { acknowledged } = upstream.status();
    expect(acknowledged).toBeGreaterThan(0);
    const { events } = await upstream.purge(['live']);
    expect(events.live).toBe(300 - acknowledged);
    balance(upstream);
    expect(upstream.status().waiting).toEqual({ alarm: 0, live: 0, backlog: 0 });
    await upstream.close();
    expect(messages(await delivered(folder), 't/live')).toEqual([]);
  });

  test('goes on while events come: none that came later is lost', async () => {
    const folder = temporaryFolder();
    const upstream = await openTestUpstream(NOBODY, folder, QUICK);
    let n = 0;
    const writing = setInterval(() => {
      for (let i = 0; i < 20; i++) upstream.accept(event(++n));
    }, 2);
    onTestFinished(() => clearInterval(writing));
    let purged = 0;
    for (let i = 1; i <= 5; i++) {
      await vi.waitFor(() => expect(n).toBeGreaterThan(i * 500));
      purged += (await upstream.purge(['live'])).events.live ?? 0;
      balance(upstream);
    }
    clearInterval(writing);
    await upstream.close();
    const broker = await delivered(folder, purged);
    expect(messages(broker, 't/live')).toHaveLength(n - purged);
    expect(toldOf(broker)).toBe(purged);
  });

  test('of what was refused needs no gap: that was told', async () => {
    const { broker } = await refusing();
    const upstream = await openTestUpstream(broker.url, temporaryFolder(), QUICK);
    for (const n of range(1, 20)) upstream.accept(event(n));
    await vi.waitFor(() => expect(upstream.status().rejections?.kept).toBe(20));
    expect(await upstream.purge(['rejected'])).toEqual({ events: { rejected: 20 }, fileRemoved: false });
    expect(upstream.status()).toMatchObject({ rejections: { kept: 0 }, dropped: 0, rejected: 20 });
    balance(upstream);
    await upstream.close();
  });
});
