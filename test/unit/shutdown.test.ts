import pino from 'pino';
import { expect, test } from 'vitest';
import { planShutdown } from '../../src/ops/shutdown.js';

test('what was begun last ends first, and neither a failure nor a part that never ends holds up the others', async () => {
  const lines: string[] = [];
  const ended: string[] = [];
  const shutdown = planShutdown(pino({}, { write: (line) => lines.push(line) }));
  shutdown.add('first', () => void ended.push('first'));
  shutdown.add('second', () => Promise.reject(new Error('no more')));
  shutdown.add('third', () => new Promise(() => {}), 1);
  shutdown.add('fourth', async () => void ended.push('fourth'));

  await shutdown.run();
  expect(ended).toEqual(['fourth', 'first']);
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { msg: 'stopping the third failed', reason: 'not done in 1 ms' },
    { msg: 'stopping the second failed', reason: 'no more' },
  ]);

  await shutdown.run();
  expect(ended).toHaveLength(2);
});
