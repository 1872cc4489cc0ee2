/** What of a stream is on disk only. */
import { expect, test, vi } from 'vitest';
import type { Entry } from '../../src/delivery/entry.js';
import { event, openTestOutbox, temporaryFolder, upstreamConfig } from '../support/upstream.js';

test('a purge removes what is left of rows in part settled, though the upstream takes all that it can get meanwhile', async () => {
  const taken: Entry[] = [];
  const take = (): void => {
    for (let entry = outbox.next(); entry; entry = outbox.next()) {
      outbox.sent(entry);
      taken.push(entry);
    }
  };
  const acknowledge = (): void => {
    for (const entry of taken.splice(0)) outbox.acknowledged(entry, 1);
  };
  let purging = false;
  const outbox = await openTestOutbox(temporaryFolder(), (file) => ({
    ...file,
    next(...row) {
      if (purging) take();
      return file.next(...row);
    },
  }));

  for (const row of [0, 10]) {
    for (let n = row; n < row + 10; n++) outbox.accept(event(n));
    await outbox.save();
  }
  take();
  for (const entry of taken.splice(0)) if (entry.seq % 2 === 0) outbox.acknowledged(entry, 1);
  outbox.rewind();
  const { buffer: config } = upstreamConfig('mqtt://127.0.0.1:1', { buffer: { flush: '20ms', live_for: '20ms' } });
  const pace = { maxShare: 1, maxRate: undefined };
  outbox.use({ config, window: 32, order: 'strict', pace, gapTopic: 'gap' });
  await vi.waitFor(() => expect(outbox.waiting()).toEqual({ alarm: 0, live: 0, backlog: 10 }));

  purging = true;
  expect(await outbox.purge('live')).toBe(10);
  purging = false;
  acknowledge();
  await vi.waitFor(() => {
    take();
    acknowledge();
    expect(outbox.waiting()).toEqual({ alarm: 0, live: 0, backlog: 0 });
  });
  expect(outbox.account('live')).toMatchObject({ accepted: 20, acknowledged: 10, purged: 10, waiting: 0 });
  await outbox.close();
});
