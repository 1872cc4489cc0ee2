/** An upstream whose disk refuses: what is live goes on, memory stays bounded, what is given up is told. */
import { writeFileSync } from 'node:fs';
import Database from 'better-sqlite3';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { readOutboxStatus } from '../../src/delivery/status.js';
import { TestBroker } from '../support/broker.js';
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
