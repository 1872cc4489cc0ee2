import { describe, expect, test } from 'vitest';
import type { Entry } from '../../src/delivery/entry.js';
import { EntryQueue } from '../../src/delivery/queue.js';
import { random } from '../support/random.js';
import { event } from '../support/upstream.js';

function entry(seq: number): Entry {
  return {
    epoch: 1,
    seq,
    event: event(seq),
    born: seq,
    late: false,
    state: 'waiting',
    saving: false,
    segment: undefined,
  };
}

function filled(count: number): EntryQueue {
  const queue = new EntryQueue();
  for (let seq = 1; seq <= count; seq++) queue.push(entry(seq));
  return queue;
}

/** Sends the next `count` entries. */
function send(queue: EntryQueue, count: number): Entry[] {
  return Array.from({ length: count }, () => {
    const next = queue.next();
    if (!next) throw new Error('nothing waits');
    queue.markSent(next);
    return next;
  });
}

describe('a queue of entries', () => {
  test('gives entries in order, each once', () => {
    const queue = filled(5);
    expect(send(queue, 5).map((e) => e.seq)).toEqual([1, 2, 3, 4, 5]);
    expect(queue.next()).toBeUndefined();
    expect(queue).toMatchObject({ waiting: 0, inFlight: 5 });
  });

  test('rewinds every entry that was sent, the very last one too', () => {
    const queue = filled(5);
    send(queue, 3);
    queue.rewind();
    expect(queue).toMatchObject({ waiting: 5, inFlight: 0 });
    expect([...queue].every((e) => e.state === 'waiting')).toBe(true);
    expect(queue.next()?.seq).toBe(1);
  });

  test('after a rewind does not give again what was acknowledged out of order', () => {
    const queue = filled(4);
    const [, second, third] = send(queue, 3);
    if (!second || !third) throw new Error('three were sent');
    queue.markDone(third);
    queue.markDone(second);
    queue.rewind();
    expect(send(queue, 2).map((e) => e.seq)).toEqual([1, 4]);
  });

  test('gives an entry that has to wait again in its old place', () => {
    const queue = filled(4);
    const [first] = send(queue, 2);
    if (!first) throw new Error('two were sent');
    queue.markWaiting(first);
    expect(queue.next()?.seq).toBe(1);
    expect(queue).toMatchObject({ waiting: 3, inFlight: 1 });
  });

  test('holds its order and its counts through ten thousand random steps', () => {
    const draw = random(7);
    const queue = new EntryQueue();
    const sent: Entry[] = [];
    let [accepted, settled] = [0, 0];
    for (let step = 0; step < 10_000; step++) {
      const choice = draw();
      if (choice < 0.4) queue.push(entry(++accepted));
      else if (choice < 0.7 && queue.next()) sent.push(...send(queue, 1));
      else if (choice < 0.95 && sent.length > 0) {
        const [done] = sent.splice(Math.floor(draw() * sent.length), 1);
        if (done) queue.markDone(done);
        settled++;
      } else if (choice > 0.99) {
        queue.rewind();
        sent.length = 0;
      }
      expect(queue.waiting + queue.inFlight).toBe(accepted - settled);
      expect(queue.inFlight).toBe(sent.length);
    }
    const order = [...queue].map((e) => e.seq);
    expect(order).toEqual(order.toSorted((a, b) => a - b));
  });
});
