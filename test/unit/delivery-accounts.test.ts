/** The accounts in an outbox file, when a process ends without a word. */
import { EventEmitter, once } from 'node:events';
import { expect, test } from 'vitest';
import { readOutboxStatus } from '../../src/delivery/status.js';
import { event, openTestOutbox, temporaryFolder } from '../support/upstream.js';

test('an event that is acknowledged while it is being written counts once', async () => {
  const folder = temporaryFolder();
  const commits = new EventEmitter();
  const outbox = await openTestOutbox(folder, (stored) => ({
    ...stored,
    // What is settled while the disk writes is settled here.
    async commit(commit) {
      commits.emit('begun');
      const committed = await stored.commit(commit);
      setImmediate(() => commits.emit('ended'));
      return committed;
    },
  }));
  commits.once('begun', () => {
    const entry = outbox.next();
    if (!entry) throw new Error('nothing waits');
    outbox.sent(entry);
    outbox.acknowledged(entry, 1);
  });

  for (const n of [1, 2]) outbox.accept(event(n));
  await once(commits, 'ended');
  outbox.accept(event(3));
  await once(commits, 'ended');
  const [status] = await readOutboxStatus(folder);
  expect(status?.accounts.live).toMatchObject({ accepted: 3, acknowledged: 0, waiting: 3 });

  await outbox.close();
  const [afterwards] = await readOutboxStatus(folder);
  expect(afterwards?.accounts.live).toMatchObject({ accepted: 3, acknowledged: 1, waiting: 2 });
});

test('the row of what was refused for good goes only when the gap that tells of it is on disk', async () => {
  const folder = temporaryFolder();
  const steps = new EventEmitter();
  const done: string[] = [];
  const outbox = await openTestOutbox(folder, (stored) => ({
    ...stored,
    async commit(commit) {
      const committed = await stored.commit(commit);
      for (const { gap, events } of commit.segments) done.push(`${gap ?? 'events'} ${events}`);
      setImmediate(() => steps.emit('committed'));
      return committed;
    },
    async remove(...row) {
      const kept = await stored.remove(...row);
      done.push('removed');
      steps.emit('removed');
      return kept;
    },
  }));
  for (const n of [1, 2]) outbox.accept(event(n));
  while (!done.includes('events 2')) await once(steps, 'committed');
  const removed = once(steps, 'removed');
  for (const _ of [1, 2]) {
    const entry = outbox.next();
    if (!entry) throw new Error('nothing waits');
    outbox.sent(entry);
    outbox.rejected(entry, 'too large');
  }
  await removed;
  expect(done).toEqual(['events 2', 'rejected 2', 'removed']);
  await outbox.close();
});
