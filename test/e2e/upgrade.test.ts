/** Files written by an earlier Tidegate (test/golden/outbox/make.mjs says how) are opened, read and delivered, nothing changed. */
import { copyFileSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test, vi } from 'vitest';
import { readOutboxStatus } from '../../src/delivery/status.js';
import { Database } from '../../src/ops/sqlite.js';
import { TestBroker } from '../support/broker.js';
import { event, openTestUpstream, temporaryFolder } from '../support/upstream.js';

interface Message {
  id: string;
  ts: number;
  values: { n: number; total?: string };
  bad?: object;
  late?: boolean;
  clock?: string;
}

/** A data folder with an outbox of that format. */
function folderOf(format: number): string {
  const folder = temporaryFolder();
  mkdirSync(`${folder}/outbox`);
  const golden = fileURLToPath(new URL(`../../../test/golden/outbox/format-${format}.sqlite`, import.meta.url));
  copyFileSync(golden, `${folder}/outbox/cloud.sqlite`);
  return folder;
}

test.each([1])('all that an outbox file of format %i holds is delivered, under the numbers it had', async (format) => {
  const folder = folderOf(format);
  const held = { alarm: 1, backlog: 20, accounts: { live: { accepted: 25, expired: 5, waiting: 20 } } };
  expect((await readOutboxStatus(folder))[0]).toMatchObject(held);
  const cloud = await TestBroker.start();
  onTestFinished(() => cloud.down());
  const upstream = await openTestUpstream(cloud.url, folder);
  upstream.accept(event(31));
  await vi.waitFor(() => expect(upstream.status().waiting).toEqual({ alarm: 0, live: 0, backlog: 0 }), 5000);
  expect(upstream.status().accounts).toMatchObject({ live: { accepted: 26, acknowledged: 21, expired: 5 } });
  await upstream.close();

  const messages = cloud.json<Message>('t/live');
  const late = messages.filter((message) => message.late);
  expect(late.map(({ values }) => values.n)).toEqual([
    6, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 23, 24, 25, 26, 27, 28, 29, 30,
  ]);
  for (const {
    id,
    ts,
    clock,
    values: { n },
  } of late) {
    const epoch = n === 6 ? 2 : n <= 20 ? 3 : 4;
    expect(id).toMatch(new RegExp(`^g:${epoch}:`));
    expect([ts, clock]).toEqual(epoch === 3 ? [n, 'unset'] : [event(n).at, undefined]);
  }
  expect(late.find(({ values }) => values.n === 21)).toMatchObject({
    values: { total: String(2n ** 60n) },
    bad: { gone: 'timeout' },
  });
  expect(cloud.json('t/alarm')).toMatchObject([{ id: 'g:4:2', values: { n: 22 } }]);
  const expired = { cause: 'expired', count: 5, from: event(1).at, to: event(5).at };
  expect(cloud.json('g/gap')).toMatchObject([{ id: 'g:1:5-gap', gap: expired }]);
  expect(messages.find((message) => !message.late)?.id).toBe('g:5:1');
});

test('a file of a newer Tidegate is refused, and not touched', async () => {
  const folder = folderOf(1);
  const db = new Database(`${folder}/outbox/cloud.sqlite`);
  db.pragma('user_version = 1000');
  db.close();
  await expect(openTestUpstream('mqtt://127.0.0.1:1', folder)).rejects.toMatchObject({
    code: 'OUTBOX_OPEN',
    message: expect.stringContaining('written by a newer Tidegate (format 1000'),
  });
  const after = new Database(`${folder}/outbox/cloud.sqlite`, { readonly: true });
  onTestFinished(() => void after.close());
  expect(after.prepare('SELECT count(*) FROM live').pluck().get()).toBe(10);
  expect(after.pragma('table_info(starts)')).toHaveLength(1);
});
