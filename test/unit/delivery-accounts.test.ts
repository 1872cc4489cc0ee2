/** The accounts in an outbox file, when a process ends without a word. */
import { EventEmitter, once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { limitsOf } from '../../src/delivery/budget.js';
import { Outbox } from '../../src/delivery/outbox.js';
import { outboxFolder, readOutboxStatus } from '../../src/delivery/status.js';
import { openStore, type StoreFile } from '../../src/delivery/store.js';
import { setClock } from '../support/clock.js';
import { event, silent, temporaryFolder, upstreamConfig } from '../support/upstream.js';

test('an event that is acknowledged while it is being written counts once', async () => {
  const folder = temporaryFolder();
  const store = openStore();
  onTestFinished(() => store.close());
  const { buffer, order } = upstreamConfig('mqtt://127.0.0.1:1', { buffer: { flush: '20ms' } });
  const stored = await store.open(`${outboxFolder(folder)}/cloud.sqlite`, limitsOf(buffer), setClock.base);
  const commits = new EventEmitter();
  const file: StoreFile = {
    ...stored,
    // What is settled while the disk writes is settled here.
    async commit(commit) {
      commits.emit('begun');
      const committed = await stored.commit(commit);
      setImmediate(() => commits.emit('ended'));
      return committed;
    },
  };
  const outbox = new Outbox({
    file,
    config: buffer,
    window: 32,
    order,
    pace: { maxShare: 0.5, maxRate: undefined },
    gapTopic: 'gap',
    log: silent,
    clock: setClock,
    ready: () => {},
  });
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
