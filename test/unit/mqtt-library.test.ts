import { expect, test } from 'vitest';
import { loadMqtt, packetLibrary } from '../../src/delivery/mqtt-library.js';

test('the packets of the mqtt library are written without a table of all numbers', async () => {
  const { writeToStream } = packetLibrary();
  expect(writeToStream.cacheNumbers, 'the library still has the switch').toBe(true);
  await loadMqtt();
  expect(writeToStream.cacheNumbers).toBe(false);
});
