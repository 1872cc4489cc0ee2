/** From an outbox to a broker, message by message. */
import { expect, onTestFinished, test, vi } from 'vitest';
import type { Entry } from '../../src/delivery/entry.js';
import { Forwarder } from '../../src/delivery/forwarder.js';
import { encodeJson } from '../../src/delivery/json-payload.js';
import { MqttSink } from '../../src/delivery/mqtt-sink.js';
import { TestBroker } from '../support/broker.js';
import { event, openTestOutbox, silent, temporaryFolder, upstreamConfig } from '../support/upstream.js';

test('an event that cannot be encoded is refused for good, told as a gap, and holds up nothing', async () => {
  const cloud = await TestBroker.start();
  onTestFinished(() => cloud.down());
  const outbox = await openTestOutbox(temporaryFolder(), undefined, () => forwarder.pump());
  const encode = (entry: Entry): string => {
    if (entry.seq === 3) throw new RangeError('no such number');
    return encodeJson(entry, 'g');
  };
  const sink = new MqttSink({ config: upstreamConfig(cloud.url), clientId: 'c', statusTopic: 'status', log: silent });
  const forwarder = new Forwarder(outbox, sink, encode, silent, 1_000);
  forwarder.start();
  for (let n = 1; n <= 5; n++) outbox.accept(event(n));
  await cloud.until(() => cloud.json('gap').length === 1 && cloud.json('t/live').length === 4);
  const numbers = cloud.json<{ values: { n: number } }>('t/live').map(({ values }) => values.n);
  expect(numbers).toEqual([1, 2, 4, 5]);
  expect(cloud.json('gap')).toMatchObject([{ gap: { cause: 'rejected', count: 1 } }]);
  await vi.waitFor(() =>
    expect(outbox.account('live')).toMatchObject({ accepted: 5, acknowledged: 4, rejected: 1, waiting: 0 }),
  );
  await forwarder.close();
  await outbox.close();
  expect(outbox.rejections).toEqual({ kept: 1, forgotten: 0 });
});
