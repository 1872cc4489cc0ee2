/** Rows on their way out of an outbox file. */
import { expect, test } from 'vitest';
import { limitsOf } from '../../src/delivery/budget.js';
import type { Segment } from '../../src/delivery/entry.js';
import { Rejections } from '../../src/delivery/rejections.js';
import { Removal } from '../../src/delivery/removal.js';
import { outboxFolder } from '../../src/delivery/status.js';
import { openStore, type StoreFile } from '../../src/delivery/store.js';
import { TidegateError } from '../../src/errors.js';
import { setClock } from '../support/clock.js';
import { temporaryFolder, upstreamConfig } from '../support/upstream.js';

const ROWS = 1_000;

test('a disk that refuses is not asked again for each row that is settled, and gets all of them in the end', async () => {
  const store = openStore();
  const { buffer } = upstreamConfig('mqtt://127.0.0.1:1');
  const stored = await store.open(`${outboxFolder(temporaryFolder())}/cloud.sqlite`, limitsOf(buffer), setClock.base);
  const asked: number[] = [];
  let refuses = true;
  const file: StoreFile = {
    ...stored,
    remove: (stream, ids, ends, rejected) => {
      asked.push(ids.length);
      return refuses
        ? Promise.reject(new TidegateError('OUTBOX_STORE', 'disk I/O error'))
        : stored.remove(stream, ids, ends, rejected);
    },
  };
  const removal = new Removal({
    name: 'live',
    file,
    rejections: new Rejections(1_000, stored.rejected, () => 'gap'),
    settings: () => ({ window: 1 }),
    ready: () => {},
    failed: () => {},
    tellRefused: () => Promise.resolve(),
  });
  const row = (id: number): Segment => ({ id, open: 0, done: [1, 2, 3], ends: { acknowledged: 3 } });
  for (let id = 1; id <= ROWS; id++) {
    removal.add(row(id));
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(asked).toEqual([1]);
  expect(removal.has(ROWS)).toBe(true);
  refuses = false;
  await removal.run();
  expect(asked).toEqual([1, ROWS]);
  expect(removal.has(ROWS)).toBe(false);
  await stored.close();
  await store.close();
});
