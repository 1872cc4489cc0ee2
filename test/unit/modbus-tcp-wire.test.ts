/** The traps of modbus-serial, each on a real socket. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { openTcpWire, type TcpOptions } from '../../drivers/modbus/tcp-wire.js';
import type { Wire } from '../../drivers/modbus/wire.js';
import {
  type Answer,
  type Asked,
  frame,
  type ModbusPeer,
  refusing,
  startModbusPeer,
  truthful,
  wordAt,
} from '../support/modbus-peer.js';
import { ask, inTurn, words } from '../support/modbus-wire.js';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  vi.useRealTimers();
  for (const close of closing.splice(0).reverse()) await close();
});

async function setUp(
  answer?: (asked: Asked) => Answer,
  options: Partial<TcpOptions> = {},
): Promise<{ peer: ModbusPeer; wire: Wire }> {
  const peer = await startModbusPeer(answer);
  const wire = await openTcpWire({
    host: '127.0.0.1',
    port: peer.port,
    timeout: 500,
    inFlight: 1,
    pause: 0,
    ...options,
  });
  closing.push(peer.close, () => wire.close());
  return { peer, wire };
}

const lost = (why: string): object => ({ code: 'LINK_DOWN', message: expect.stringContaining(why) });

describe('silence', () => {
  test('a request without reply settles as a timeout, and the next one is answered', async () => {
    const { wire } = await setUp(
      inTurn(() => undefined),
      { timeout: 30 },
    );
    expect(words(await ask(wire, 1))).toBe('timeout');
    expect(words(await ask(wire, 2))).toEqual([wordAt(2)]);
  });

  test('three in a row without a reply end the connection', async () => {
    const { wire } = await setUp(() => undefined, { timeout: 20 });
    const settled = await Promise.allSettled([1, 2, 3, 4].map((address) => ask(wire, address)));
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled', 'rejected']);
    await expect(ask(wire, 5)).rejects.toMatchObject(lost('3 requests in a row without a reply'));
  });

  test('a unit that never answers does not end the connection of those that do', async () => {
    const { wire } = await setUp((asked) => (asked.unit === 9 ? undefined : truthful(asked)), { timeout: 20 });
    expect(words(await ask(wire, 1))).toEqual([wordAt(1)]);
    for (let count = 0; count < 5; count += 1) expect(words(await ask(wire, 1, 1, 9))).toBe('timeout');
    expect(words(await ask(wire, 2))).toEqual([wordAt(2)]);
  });

  test('a stall of this process is not taken for silence of the other', async () => {
    const { wire } = await setUp(
      (asked) => {
        asked.socket.write(truthful(asked));
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 120);
        return undefined;
      },
      { timeout: 50 },
    );
    expect(words(await ask(wire, 4))).toEqual([wordAt(4)]);
  });
});

describe('the end of a connection', () => {
  test('rejects all that is pending when the other side closes', async () => {
    const { peer, wire } = await setUp(() => undefined, { inFlight: 2 });
    const pending = [1, 2, 3].map((address) =>
      expect(ask(wire, address)).rejects.toMatchObject(lost('closed by the other side')),
    );
    await vi.waitUntil(() => peer.asked.length === 2);
    for (const socket of peer.sockets) socket.end();
    await Promise.all(pending);
    await expect(ask(wire, 4)).rejects.toMatchObject(lost('closed by the other side'));
  });

  test('rejects all that is pending on a reset', async () => {
    const { peer, wire } = await setUp(() => undefined);
    const pending = expect(ask(wire, 1)).rejects.toMatchObject(lost('ECONNRESET'));
    await vi.waitUntil(() => peer.asked.length === 1);
    for (const socket of peer.sockets) socket.resetAndDestroy();
    await pending;
  });

  test('close settles all that is pending, though the other side keeps its end open', async () => {
    const server = createServer({ allowHalfOpen: true }, (socket) => socket.on('error', () => {}).pause());
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as { port: number };
    const wire = await openTcpWire({ host: '127.0.0.1', port, timeout: 60_000, inFlight: 1, pause: 0 });
    const pending = [1, 2].map((address) => expect(ask(wire, address)).rejects.toMatchObject(lost('closed')));
    await wire.close();
    await Promise.all(pending);
    await wire.close();
    server.close();
  });

  test('a port where nobody listens is LINK_DOWN', async () => {
    const peer = await startModbusPeer();
    await peer.close();
    await expect(
      openTcpWire({ host: '127.0.0.1', port: peer.port, timeout: 100, inFlight: 1, pause: 0 }),
    ).rejects.toMatchObject(lost(`cannot connect to 127.0.0.1:${peer.port}`));
    await expect(
      openTcpWire({ host: 'localhost', port: peer.port, timeout: 100, inFlight: 1, pause: 0 }),
    ).rejects.toMatchObject(lost('ECONNREFUSED'));
  });
});

describe('garbage ends the connection, at once', () => {
  const data = [3, 2, 0x12, 0x34];
  const cases: [string, (asked: Asked) => Buffer][] = [
    ['a protocol id other than 0', ({ id, unit }) => frame(id, unit, data, 1)],
    ['a length of 0', ({ id, unit }) => frame(id, unit, data, 0, 0)],
    ['a length that no frame has', ({ id, unit }) => frame(id, unit, data, 0, 0xffff)],
    ['a length that no frame has, by one', ({ id, unit }) => frame(id, unit, data, 0, 255)],
    ['a length that contradicts the byte count', ({ id, unit }) => frame(id, unit, [3, 4, 0x12, 0x34])],
    ['an exception with a tail', ({ id, unit }) => frame(id, unit, [0x83, 2, 0])],
    ['a function that was never asked', ({ id, unit }) => frame(id, unit, [43, 2, 0, 0])],
    ['text', () => Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['a reply with garbage behind it', (asked) => Buffer.concat([truthful(asked), Buffer.from('garbage')])],
    ['an unasked frame that is not well formed', ({ id, unit }) => frame(id + 7, unit, [3, 9, 0])],
  ];
  for (const [name, answer] of cases)
    test(name, async () => {
      const { wire } = await setUp(inTurn(answer), { timeout: 60_000 });
      await expect(ask(wire, 1)).rejects.toMatchObject(lost('garbage instead of a Modbus reply'));
    });

  test('a reply that stops halfway is not completed by the next one', async () => {
    for (const cut of [1, 3, 6, 8, 10]) {
      const { wire } = await setUp(
        inTurn((asked) => truthful(asked).subarray(0, cut)),
        { timeout: 20 },
      );
      const next = ask(wire, 1).then(() => ask(wire, 2));
      await expect(next).rejects.toMatchObject(lost('a reply stopped halfway'));
    }
  });
});

describe('replies to something else', () => {
  test('a late reply is dropped, also when 256 requests have gone by', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    let late: Buffer = Buffer.alloc(0);
    const stray: string[] = [];
    const { peer, wire } = await setUp(
      inTurn((asked) => {
        late = truthful(asked);
        return undefined;
      }),
      { timeout: 1_000, stray: (what) => stray.push(what) },
    );
    const unanswered = ask(wire, 7);
    while (peer.asked.length === 0) await turn();
    vi.advanceTimersByTime(1_000);
    expect(words(await unanswered)).toBe('timeout');
    for (let count = 1; count < 256; count += 1) await ask(wire, count);
    peer.answer = (asked) => Buffer.concat([late, truthful(asked), late]);
    expect(words(await ask(wire, 8))).toEqual([wordAt(8)]);
    expect(stray).toEqual([expect.stringMatching(/^late reply/), expect.stringMatching(/^late reply/)]);
  });

  test('65,536 requests later its transaction id is not used again', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { peer, wire } = await setUp(
      inTurn(() => undefined),
      { timeout: 1_000, inFlight: 64 },
    );
    const first = ask(wire, 7);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(words(await first)).toBe('timeout');
    const ids = new Set<number>();
    peer.answer = (asked) => {
      ids.add(asked.id);
      return truthful(asked);
    };
    let left = 65_600;
    const lane = async (): Promise<void> => {
      while (left-- > 0) await ask(wire, 1);
    };
    await Promise.all(Array.from({ length: 64 }, lane));
    expect(ids.size).toBe(65_535);
    expect(ids.has(peer.asked[0]?.id ?? -1)).toBe(false);
  });

  test('a foreign transaction id is dropped', async () => {
    const { wire } = await setUp(
      inTurn((asked) => Buffer.concat([truthful({ ...asked, id: asked.id + 1, address: 99 }), truthful(asked)])),
    );
    expect(words(await ask(wire, 3))).toEqual([wordAt(3)]);
  });

  const cases: [string, (asked: Asked) => Buffer, string][] = [
    ['another unit', (asked) => truthful({ ...asked, unit: 5 }), 'reply of unit 5 instead of 1'],
    ['another function', (asked) => truthful({ ...asked, code: 4 }), 'reply to function 4 instead of 3'],
    ['fewer registers', (asked) => truthful({ ...asked, count: 1 }), 'reply with 2 bytes instead of 4'],
    ['more registers', (asked) => truthful({ ...asked, count: 3 }), 'reply with 6 bytes instead of 4'],
    ['an exception', (asked) => refusing(asked, 11), 'exception 0B (gateway target device failed to respond)'],
    ['an exception without name', (asked) => refusing(asked, 0x63), 'exception 63'],
  ];
  for (const [name, answer, reason] of cases)
    test(`${name}: the request fails with a reason, the connection lives`, async () => {
      const { wire } = await setUp(inTurn(answer));
      expect(words(await ask(wire, 1, 2))).toBe(reason);
      expect(words(await ask(wire, 2, 2))).toEqual([wordAt(2), wordAt(3)]);
    });
});

describe('the stream', () => {
  test('may be cut anywhere', async () => {
    const { wire } = await setUp(({ socket, ...asked }) => {
      const bytes = truthful({ ...asked, socket });
      bytes.forEach((byte, at) => {
        setTimeout(() => socket.write(Buffer.from([byte])), at);
      });
      return undefined;
    });
    expect(words(await ask(wire, 1, 3))).toEqual([1, 2, 3].map(wordAt));
  });

  test('may hold several replies at once, in any order', async () => {
    const held: Buffer[] = [];
    const { wire } = await setUp(
      (asked) => {
        held.unshift(truthful(asked));
        return held.length === 4 ? Buffer.concat(held) : undefined;
      },
      { inFlight: 4 },
    );
    const replies = await Promise.all([10, 20, 30, 40].map((address) => ask(wire, address)));
    expect(replies.map(words)).toEqual([10, 20, 30, 40].map((address) => [wordAt(address)]));
  });

  test('never carries more requests than allowed', async () => {
    let open = 0;
    let most = 0;
    const { wire } = await setUp(
      (asked) => {
        open += 1;
        most = Math.max(most, open);
        setImmediate(() => {
          open -= 1;
          asked.socket.write(truthful(asked));
        });
        return undefined;
      },
      { inFlight: 3 },
    );
    await Promise.all(Array.from({ length: 50 }, (_, address) => ask(wire, address)));
    expect(most).toBe(3);
  });

  test('rests between a reply and the next request', async () => {
    const { peer, wire } = await setUp(truthful, { pause: 60_000, timeout: 600_000 });
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    await ask(wire, 1);
    const second = ask(wire, 2);
    const sentBefore = peer.asked.length;
    await vi.advanceTimersByTimeAsync(59_999);
    expect([sentBefore, peer.asked.length]).toEqual([1, 1]);
    await vi.advanceTimersByTimeAsync(1);
    expect(words(await second)).toEqual([wordAt(2)]);
  });
});
