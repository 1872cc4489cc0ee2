/** The broker library, as every broker of the house has it. */
import { Duplex } from 'node:stream';
import { generate } from 'mqtt-packet';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createAedes } from '../../src/aedes.js';

test('a packet that comes in many pieces before anybody looks is taken whole', async () => {
  const broker = await createAedes({});
  onTestFinished(() => new Promise<void>((resolve) => broker.close(() => resolve())));
  const answer: number[] = [];
  const stream = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      answer.push(...chunk);
      done();
    },
  });
  for (const byte of generate({ cmd: 'connect', protocolVersion: 4, clean: true, clientId: 'pieces', keepalive: 0 }))
    stream.push(Buffer.from([byte]));
  broker.handle(stream);
  await vi.waitFor(() => expect(answer).toEqual([0x20, 2, 0, 0]));
});
