import { createRequire } from 'node:module';
import { expect, onTestFinished, test } from 'vitest';
import { mqtt } from '../../drivers/mqtt/index.js';
import { TestBroker } from '../support/broker.js';
import { driverContext } from '../support/driver-context.js';
import { openTestUpstream, temporaryFolder } from '../support/upstream.js';

const library = createRequire(import.meta.url).resolve('mqtt');
const { writeToStream } = createRequire(library)('mqtt-packet') as { writeToStream: { cacheNumbers: boolean } };

test.each([
  [
    'the driver',
    async ({ url }: TestBroker) => {
      const session = await mqtt.open(mqtt.connection.parse({ broker: url }), driverContext());
      onTestFinished(() => session.close());
    },
  ],
  [
    'an upstream',
    async (broker: TestBroker) => {
      const upstream = await openTestUpstream(broker.url, temporaryFolder(), { version: '3.1.1' });
      onTestFinished(() => upstream.close());
      await broker.until(() => broker.received.length > 0);
    },
  ],
])('the packets of %s are written without a table of all numbers', async (_, connect) => {
  const broker = await TestBroker.start();
  onTestFinished(() => broker.down());
  writeToStream.cacheNumbers = true;
  expect(writeToStream.cacheNumbers, 'the library still has the switch').toBe(true);
  await connect(broker);
  expect(writeToStream.cacheNumbers).toBe(false);
});
