/** What the broker refuses for good is kept, with its reason, and holds up nothing. */
import { closeSync, openSync, readdirSync, writeSync } from 'node:fs';
import { deflateSync } from 'node:zlib';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { type KeptEvent, readEvents } from '../../src/delivery/reader.js';
import { readOutboxStatus } from '../../src/delivery/status.js';
import { openStore, type Store } from '../../src/delivery/store.js';
import { openUpstream } from '../../src/delivery/upstream.js';
import { Database } from '../../src/ops/sqlite.js';
import { setClock } from '../support/clock.js';
import { type Script, ScriptedBroker } from '../support/scripted-broker.js';
import { event, openTestUpstream, silent, temporaryFolder, upstreamConfig } from '../support/upstream.js';

async function scripted(script: Script): Promise<ScriptedBroker> {
  const broker = await ScriptedBroker.start(script);
  onTestFinished(() => broker.stop());
  return broker;
}

/** A broker that does not let this client write where the topic ends so. */
function forbidding(suffix: string): Promise<ScriptedBroker> {
  return scripted({ publish: (_, { topic }) => ({ reasonCode: topic.endsWith(suffix) ? 0x90 : 0 }) });
}

async function kept(folder: string): Promise<KeptEvent[]> {
  const events: KeptEvent[] = [];
  for await (const each of readEvents(`${folder}/outbox/cloud.sqlite`, ['rejected'], 'gaps')) events.push(each);
  return events;
}

function numbersOf(events: readonly KeptEvent[]): unknown[] {
  return events.map(({ entry: { event } }) =>
    event.kind === 'gap' ? event.cause : event.kind === 'telemetry' && event.values[0],
  );
}

const QUICK = { version: '5', buffer: { flush: '40ms' } };

describe('what the broker refuses for good', () => {
  test('is kept with its lane, number and reason, also by a gateway that is stopped', async () => {
    const broker = await forbidding('/alarm');
    const folder = temporaryFolder();
    const upstream = await openTestUpstream(broker.url, folder, QUICK);
    upstream.accept(event(1));
    upstream.accept(event(2, 'alarm'));
    await vi.waitFor(() => expect(upstream.status().rejections).toEqual({ kept: 1, forgotten: 0 }));
    const [found, ...more] = await kept(folder);
    expect(more).toEqual([]);
    expect(found).toEqual({
      lane: 'rejected',
      entry: { epoch: 1, seq: 2, late: false, event: event(2, 'alarm') },
      rejection: { at: expect.any(Number), reason: expect.stringContaining('topic name invalid (0x90)') },
    });
    await upstream.close();
    expect(await kept(folder)).toEqual([found]);
    const again = await openTestUpstream(broker.url, folder, QUICK);
    expect(again.status()).toMatchObject({
      rejections: { kept: 1 },
      accounts: { alarm: { rejected: 1, accepted: 1 } },
    });
    await again.close();
    expect((await readOutboxStatus(folder))[0]).toMatchObject({ rejected: 1, alarm: 0 });
  });

  test('is kept with the size when it is too large for the broker', async () => {
    const broker = await scripted({ connack: () => ({ properties: { maximumPacketSize: 300 } }) });
    const folder = temporaryFolder();
    const upstream = await openTestUpstream(broker.url, folder, QUICK);
    await vi.waitFor(() => expect(upstream.status().link).toBe('online'));
    upstream.accept({ ...event(1), values: [1, 'x'.repeat(400)] });
    await vi.waitFor(() => expect(upstream.status().rejections).toMatchObject({ kept: 1 }));
    expect((await kept(folder))[0]?.rejection?.reason).toMatch(/^packet of \d+ bytes, the broker takes 300$/);
    await upstream.close();
  });

  test('out of the backlog is kept in the transaction that removes it there', async () => {
    const broker = await forbidding('/live');
    const folder = temporaryFolder();
    const offline = await openTestUpstream('mqtt://127.0.0.1:1', folder, QUICK);
    for (let n = 1; n <= 300; n++) offline.accept(event(n));
    await offline.close();
    const store = openStore();
    /** What was handed to the disk by the time that a row went: a crash right after it would leave just that. */
    const handed: number[] = [];
    const watched: Store = {
      ...store,
      open: async (...how) => {
        const file = await store.open(...how);
        let contents = 0;
        return {
          ...file,
          commit: (commit) => {
            contents += commit.rejected.length;
            return file.commit(commit);
          },
          remove: (stream, rows, ends, rejected) => {
            contents += rejected.length;
            handed.push(contents - (ends.rejected ?? 0));
            contents -= ends.rejected ?? 0;
            return file.remove(stream, rows, ends, rejected);
          },
        };
      },
    };
    const config = upstreamConfig(broker.url, QUICK);
    const upstream = await openUpstream({
      id: 'cloud',
      config,
      gateway: 'g',
      folder,
      store: watched,
      log: silent,
      clock: setClock,
    });
    await vi.waitFor(() => expect(upstream.status().rejections?.kept).toBe(300), 5000);
    expect(handed.length).toBeGreaterThan(0);
    expect(Math.min(...handed)).toBeGreaterThanOrEqual(0);
    await upstream.close();
    await store.close();
    const events = await kept(folder);
    expect(numbersOf(events)).toEqual(Array.from({ length: 300 }, (_, i) => i + 1));
    expect(events.every(({ entry }) => entry.late)).toBe(true);
  });

  test('is kept once, also when a crash has it refused twice', async () => {
    const broker = await forbidding('/live');
    const folder = temporaryFolder();
    const first = await openTestUpstream('mqtt://127.0.0.1:1', folder, QUICK);
    first.accept(event(1));
    await first.close();
    const upstream = await openTestUpstream(broker.url, folder, QUICK);
    await vi.waitFor(() => expect(upstream.status().rejections).toMatchObject({ kept: 1 }));
    await upstream.close();
    // As after a crash between the two transactions: the event waits again.
    const db = new Database(`${folder}/outbox/cloud.sqlite`);
    const body = db.prepare('SELECT body FROM rejected').pluck().get();
    db.prepare('INSERT INTO live VALUES (1, 1, 1, 1, 1, 2, 1, 1, 1, 0, NULL, ?, NULL)').run(body);
    db.close();
    const again = await openTestUpstream(broker.url, folder, QUICK);
    await vi.waitFor(() => expect(again.status().rejected).toBe(1));
    await again.close();
    expect(numbersOf(await kept(folder))).toEqual([1]);
  });

  test('gives way, the oldest first, beyond its bound', async () => {
    const broker = await forbidding('/live');
    const folder = temporaryFolder();
    const settings = { ...QUICK, buffer: { ...QUICK.buffer, rejected: '10kB' } };
    const upstream = await openTestUpstream(broker.url, folder, settings);
    for (let n = 1; n <= 500; n++) upstream.accept(event(n));
    await vi.waitFor(() => {
      const { kept = 0, forgotten = 0 } = upstream.status().rejections ?? {};
      expect(kept + forgotten).toBe(500);
      expect(kept).toBeGreaterThan(10);
      expect(forgotten).toBeGreaterThan(100);
    });
    const count = upstream.status().rejections?.kept ?? 0;
    expect(upstream.status().rejected).toBe(500);
    await upstream.close();
    expect(numbersOf(await kept(folder))).toEqual(Array.from({ length: count }, (_, i) => 501 - count + i));
  });

  test('waits in memory, bounded, while the disk refuses, and delays nothing', async () => {
    const broker = await forbidding('/alarm');
    const folder = temporaryFolder();
    const settings = { ...QUICK, buffer: { ...QUICK.buffer, rejected: '10kB' } };
    const upstream = await openTestUpstream(broker.url, folder, settings);
    const thief = new Database(`${folder}/outbox/cloud.sqlite`);
    thief.exec('BEGIN EXCLUSIVE');
    onTestFinished(() => void thief.close());
    for (let n = 1; n <= 500; n++) upstream.accept(event(n, n % 2 === 0 ? 'alarm' : 'live'));
    await vi.waitFor(() => expect(upstream.status()).toMatchObject({ rejected: 250, acknowledged: 250 }));
    thief.exec('ROLLBACK');
    await vi.waitFor(() => expect(upstream.status().rejections?.kept).toBeGreaterThan(0), 10_000);
    await upstream.close();
    const { kept: count = 0, forgotten } = upstream.status().rejections ?? {};
    expect(count + (forgotten ?? 0)).toBe(250);
    expect(numbersOf(await kept(folder)).at(-1)).toBe(500);
  });

  test('does not include a row from which no message can be made: it counts as unreadable', async () => {
    const broker = await scripted({});
    const folder = temporaryFolder();
    const offline = await openTestUpstream('mqtt://127.0.0.1:1', folder, QUICK);
    offline.accept(event(1));
    await offline.close();
    const db = new Database(`${folder}/outbox/cloud.sqlite`);
    const text = '{"shapes":[["d","t/live",null]],"events":[[0,1,1700000000001,[1]]]}';
    db.prepare('UPDATE live SET body = ?').run(deflateSync(text));
    db.close();
    const upstream = await openTestUpstream(broker.url, folder, QUICK);
    await vi.waitFor(() => expect(upstream.status().accounts.live).toMatchObject({ unreadable: 1, rejected: 0 }));
    upstream.accept(event(2));
    await vi.waitFor(() => expect(upstream.status().acknowledged).toBe(1));
    await upstream.close();
  });

  test('of which the disk has damaged a row: that one is forgotten, all others can be seen and sent again', async () => {
    const right = { granted: false };
    const broker = await scripted({ publish: () => ({ reasonCode: right.granted ? 0 : 0x90 }) });
    const folder = temporaryFolder();
    const upstream = await openTestUpstream(broker.url, folder, QUICK);
    for (let n = 1; n <= 3; n++) upstream.accept(event(n));
    // The gap is refused, too.
    await vi.waitFor(() => expect(upstream.status().rejections).toMatchObject({ kept: 4 }));
    const db = new Database(`${folder}/outbox/cloud.sqlite`, { timeout: 5000 });
    db.prepare('UPDATE rejected SET body = ? WHERE seq = 2').run(Buffer.alloc(20, 0xa5));
    db.close();
    expect(numbersOf(await kept(folder))).toEqual([1, 3, 'rejected']);
    right.granted = true;
    expect(await upstream.requeue()).toBe(3);
    await vi.waitFor(() => expect(upstream.status().acknowledged).toBe(2));
    expect(upstream.status().rejections).toEqual({ kept: 0, forgotten: 1 });
    await upstream.close();
  });

  test('is carried over when the file is damaged', async () => {
    const broker = await forbidding('/live');
    const folder = temporaryFolder();
    const upstream = await openTestUpstream(broker.url, folder, QUICK);
    for (let n = 1; n <= 20; n++) upstream.accept(event(n));
    await vi.waitFor(() => expect(upstream.status().rejections).toMatchObject({ kept: 20 }));
    await upstream.close();
    const file = `${folder}/outbox/cloud.sqlite`;
    const db = new Database(file, { readonly: true });
    const size = db.pragma('page_size', { simple: true }) as number;
    const page = db.prepare<[], number>(
      "SELECT rootpage FROM sqlite_master WHERE name LIKE 'sqlite_autoindex_rejected%'",
    );
    const at = ((page.pluck().get() ?? 1) - 1) * size;
    db.close();
    const handle = openSync(file, 'r+');
    writeSync(handle, Buffer.alloc(size, 0xa5), 0, size, at);
    closeSync(handle);
    const again = await openTestUpstream('mqtt://127.0.0.1:1', folder, QUICK);
    expect(readdirSync(`${folder}/outbox`)).toContain('cloud.sqlite.damaged-1');
    expect(again.status().rejections).toMatchObject({ kept: 20 });
    await again.close();
    expect(numbersOf(await kept(folder))).toHaveLength(20);
  });
});
