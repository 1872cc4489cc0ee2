/** A day without the broker, in an outbox that is far too small for it, on a clock that runs as fast as the disk takes it. METERS sets the load. */
import { readdirSync, statSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openStore } from '../../src/delivery/store.js';
import { bucketOf } from '../../src/delivery/thinning.js';
import { openUpstream, type Upstream } from '../../src/delivery/upstream.js';
import { prepareDiskThread } from '../../src/ops/disk-thread.js';
import { Database } from '../../src/ops/sqlite.js';
import { parseDuration } from '../../src/units.js';
import { TestBroker } from '../support/broker.js';
import { setClock } from '../support/clock.js';
import { random } from '../support/random.js';
import { silent, temporaryFolder, upstreamConfig } from '../support/upstream.js';
import { pass, passUntil, stopTime } from './fast-clock.js';
import { expectBalance, expectPromiseKept } from './promise.js';
import { SEED, times } from './scene.js';

/** Each is read once a second. */
const METERS = times('METERS', 2);
const HOURS = 24;
const SIZE = 20_000_000;
/** Seconds between commits, and between alarms. */
const [FLUSH, ALARM] = [30, 600];
/** Of each meter: what is measured, how often it was read, whether it runs. */
const MEASURED = Array.from({ length: 78 }, (_, i) => `p${i}`);
const NAMES = [...MEASURED, 'count', 'state'];
const [COUNT, STATE] = [MEASURED.length, MEASURED.length + 1];

type Value = number | string;

/** What a meter reads in a second of the outage; the same whenever it is asked. */
function read(meter: number, second: number): Value[] {
  const draw = random((SEED * 86_400 * HOURS + second) * METERS + meter);
  const runs = random(SEED + Math.floor((second + 100 * meter) / 300))() < 0.5;
  return [...MEASURED.map(draw), second, runs ? 'running' : 'idle'];
}

/** An event as the test gave it. */
interface Given {
  readonly meter: number;
  readonly second: number;
}

interface Row {
  first_seq: number;
  last_seq: number;
  level: number;
}

interface Message {
  id: string;
  ts: number;
  values: Record<string, Value>;
  thinned?: string;
}

describe('a day without the broker', { timeout: 240_000 + METERS * 120_000 }, () => {
  test('in 20 MB keeps its whole span, the less finely the older, each bucket with its smallest, largest and last values, and every alarm', async () => {
    const cloud = await TestBroker.start();
    onTestFinished(() => cloud.down());
    await cloud.down();
    const folder = temporaryFolder();
    stopTime();
    const start = Date.now();
    const buffer = { size: '20MB', flush: `${FLUSH}s` };
    const config = upstreamConfig(cloud.url, { version: '3.1.1', reconnect: { min: '10s', max: '60s' }, buffer });
    const thread = prepareDiskThread();
    const store = openStore(thread);
    const upstream = await openUpstream({
      id: 'cloud',
      config,
      gateway: 'g',
      folder,
      store,
      log: silent,
      clock: setClock,
    });

    /** By number. */
    const given = new Map<number, Given>();
    const alarms: number[] = [];
    let [seq, largest] = [0, 0];
    let tended = Promise.resolve();
    for (let second = 0; second < HOURS * 3600; second++) {
      for (let meter = 0; meter < METERS; meter++) {
        given.set(++seq, { meter, second });
        const told = { kind: 'telemetry', device: `m${meter}`, at: Date.now(), lane: 'live', topic: 't/live' } as const;
        upstream.accept({ ...told, names: NAMES, values: read(meter, second), counters: [COUNT] });
      }
      if (second % ALARM === 0) {
        alarms.push(++seq);
        const told = { kind: 'telemetry', device: 'm0', at: Date.now(), lane: 'alarm', topic: 't/alarm' } as const;
        upstream.accept({ ...told, names: ['n'], values: [seq] });
      }
      await pass(1_000);
      largest = Math.max(largest, bytesIn(`${folder}/outbox`));
      if (second % FLUSH !== 0) continue;
      await tended;
      tended = idle(upstream, () => thread.ping());
      expectBalance(upstream.status().accounts);
    }
    await passUntil(() => upstream.status().waiting.live === 0);
    await idle(upstream, () => thread.ping());
    expect(largest).toBeGreaterThan(SIZE / 2);
    expect(largest).toBeLessThanOrEqual(SIZE);
    const rows = rowsIn(`${folder}/outbox/cloud.sqlite`);

    await cloud.up();
    await passUntil(() => Object.values(upstream.status().waiting).every((count) => count === 0));
    const { live, alarm } = upstream.status().accounts;
    await upstream.close();
    await thread.close();

    const received = cloud.received.filter(({ topic }) => topic.startsWith('t/') || topic.endsWith('/gap'));
    const accounts = { live, alarm };
    const { gaps } = expectPromiseKept({ fault: 'a day without the broker', received, mustArrive: alarms, accounts });
    expect(gaps).toEqual([]);
    expect(cloud.json<Message>('t/alarm').map(({ values }) => values.n)).toEqual(alarms);
    expect(alarm).toMatchObject({ accepted: alarms.length, acknowledged: alarms.length });

    const messages = new Map(
      cloud.json<Message>('t/live').map((message) => [Number(message.id.split(':')[2]), message]),
    );
    expect(live).toMatchObject({
      accepted: given.size,
      acknowledged: messages.size,
      thinned: given.size - messages.size,
    });
    expect(cloud.json('t/live')).toHaveLength(messages.size);

    // The older, the less.
    const levels = rows.map(({ level }) => level);
    expect(levels).toEqual(levels.toSorted((a, b) => b - a));
    expect(levels[0]).toBeGreaterThanOrEqual(3);
    expect(rows[0]?.first_seq).toBe(1);

    const wrong: string[] = [];
    for (const row of rows) {
      const width = row.level === 0 ? 0 : bucketOf(row.level);
      for (const [meter, events] of byMeter(given, row)) {
        const all = events.map(({ second }) => read(meter, second));
        const keeps = kept(all, bucketsOf(events, width, start));
        for (const [i, { second, seq }] of events.entries()) {
          const message = messages.get(seq);
          const due = NAMES.filter((_, p) => keeps[p]?.has(i));
          const expected = due.map((name) => [name, all[i]?.[NAMES.indexOf(name)]]);
          if (!isDeepStrictEqual(Object.entries(message?.values ?? {}), expected))
            wrong.push(`${seq} of level ${row.level}`);
          if (!message) continue;
          if (message.ts !== start + second * 1000) wrong.push(`the time of ${seq}`);
          const told = message.thinned === undefined ? 0 : (parseDuration(message.thinned) ?? 0);
          const whole = Object.keys(message.values).length === NAMES.length;
          if (told > width || whole !== (told === 0)) wrong.push(`what ${seq} says of its thinning`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });
});

/** The bucket of each event; those of a row that is not thinned out have one each. */
function bucketsOf(events: readonly Given[], width: number, start: number): number[] {
  return events.map(({ second }, i) => (width === 0 ? i : Math.floor((start + second * 1000) / width)));
}

/** Which of the readings of one meter a row keeps, by point: an independent reading of the promise. */
function kept(all: readonly Value[][], buckets: readonly number[]): Set<number>[] {
  return NAMES.map((_, p) => {
    const keeps = new Set<number>();
    const value = (i: number): Value => all[i]?.[p] as Value;
    for (let first = 0, next = 0; first < all.length; first = next) {
      let [least, most] = [first, first];
      for (next = first; next < all.length && buckets[next] === buckets[first]; next++) {
        if (value(next) < value(least)) least = next;
        if (value(next) > value(most)) most = next;
        if (p === STATE && (next === 0 || value(next) !== value(next - 1))) keeps.add(next);
      }
      keeps.add(next - 1);
      if (p === COUNT) keeps.add(first);
      else if (p !== STATE) keeps.add(least).add(most);
    }
    return keeps;
  });
}

/** The events of a row, oldest first. */
function byMeter(given: ReadonlyMap<number, Given>, row: Row): Map<number, (Given & { seq: number })[]> {
  const events = new Map<number, (Given & { seq: number })[]>();
  for (let seq = row.first_seq; seq <= row.last_seq; seq++) {
    const event = given.get(seq);
    if (!event) continue;
    const own = events.get(event.meter) ?? [];
    own.push({ ...event, seq });
    events.set(event.meter, own);
  }
  return events;
}

/** Resolves when the worker has nothing left to thin out: after a real second it would long have come so far. */
async function idle(upstream: Upstream, ping: () => Promise<void>): Promise<void> {
  for (let before = -1; before !== upstream.status().accounts.live.thinned; ) {
    before = upstream.status().accounts.live.thinned;
    await ping();
  }
}

function rowsIn(file: string): Row[] {
  const db = new Database(file, { readonly: true });
  try {
    return db.prepare<[], Row>('SELECT first_seq, last_seq, level FROM live WHERE gap IS NULL ORDER BY id').all();
  } finally {
    db.close();
  }
}

/** Bytes of all files in a folder. */
function bytesIn(folder: string): number {
  return readdirSync(folder).reduce((sum, name) => sum + statSync(`${folder}/${name}`).size, 0);
}
