import { createRequire } from 'node:module';
import { afterEach, expect, test } from 'vitest';
import { mqtt } from '../../drivers/mqtt/index.js';
import { TestBroker } from '../support/broker.js';
import { driverContext } from '../support/driver-context.js';

let broker: TestBroker | undefined;
afterEach(() => broker?.down());

test('the packets of the mqtt library are written without a table of all numbers', async () => {
  const library = createRequire(import.meta.url).resolve('mqtt');
  const { writeToStream } = createRequire(library)('mqtt-packet') as { writeToStream: { cacheNumbers: boolean } };
  expect(writeToStream.cacheNumbers, 'the library still has the switch').toBe(true);
  broker = await TestBroker.start();
  const session = await mqtt.open(mqtt.connection.parse({ broker: broker.url }), driverContext());
  await session.close();
  expect(writeToStream.cacheNumbers).toBe(false);
});
