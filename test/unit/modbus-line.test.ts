/** Lines that take one request at a time: nothing on them says which request a reply belongs to. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Failure, maskWriteRequest, writeOneRequest } from '../../drivers/modbus/frame.js';
import { ascii, type Framing, rtu } from '../../drivers/modbus/framing.js';
import { modbus } from '../../drivers/modbus/index.js';
import { Line } from '../../drivers/modbus/line.js';
import { openWire, type Wire } from '../../drivers/modbus/wire.js';
import { type LineForm, type LinePeer, lineFrame, onLine, startLinePeer, startUdpPeer } from '../support/line-peer.js';
import { type Answer, type Asked, frame, refusing, truthful, wordAt } from '../support/modbus-peer.js';
import { ask, inTurn, words } from '../support/modbus-wire.js';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface Bench {
  readonly peer: LinePeer;
  readonly wire: Wire;
  readonly strays: string[];
}

async function bench(
  form: 'rtu' | 'ascii' | 'udp',
  answer: (asked: Asked) => Answer = truthful,
  more: Record<string, unknown> = {},
): Promise<Bench> {
  const peer = form === 'udp' ? await startUdpPeer(answer) : await startLinePeer(form, answer);
  const place = `127.0.0.1:${peer.port}`;
  const keys = form === 'udp' ? { udp: place } : { tcp: place, framing: form };
  const strays: string[] = [];
  const settings = modbus.connection.parse({ ...keys, timeout: '400ms', ...more });
  const wire = await openWire(settings, (what) => void strays.push(what));
  closing.push(peer.close, () => wire.close());
  return { peer, wire, strays };
}

/** The reply to another request, as it would come late. */
const replyTo = (form: 'rtu' | 'ascii', asked: Asked, address: number, count = asked.count): Buffer =>
  lineFrame(form, truthful({ ...asked, address, count }).subarray(6));

describe.each(['rtu', 'ascii', 'udp'] as const)('%s', (form) => {
  test('reads, writes and refusals', async () => {
    const { wire } = await bench(form, (asked) => (asked.address === 66 ? refusing(asked, 2) : truthful(asked)));
    expect(words(await ask(wire, 7, 3))).toEqual([7, 8, 9].map(wordAt));
    expect(words(await ask(wire, 0, 125))).toHaveLength(125);
    expect(words(await ask(wire, 66))).toBe('exception 02 (illegal data address)');
    expect(await wire.request(writeOneRequest(1, 6, 5, 77))).toBeInstanceOf(Buffer);
    expect(words(await ask(wire, 8))).toEqual([wordAt(8)]);
  });

  test('one request at a time, in their order', async () => {
    let open = 0;
    const { peer, wire } = await bench(form, (asked) => {
      expect(++open).toBe(1);
      setImmediate(() => {
        open--;
        peer.send(form === 'udp' ? truthful(asked) : replyTo(form, asked, asked.address));
      });
      return undefined;
    });
    const replies = await Promise.all([1, 2, 3, 4].map((address) => ask(wire, address)));
    expect(replies.map(words)).toEqual([1, 2, 3, 4].map((address) => [wordAt(address)]));
  });

  test('silence is a timeout, and the next request is answered', async () => {
    const { wire } = await bench(
      form,
      inTurn(() => undefined),
      { timeout: '20ms' },
    );
    expect(words(await ask(wire, 1))).toBe('timeout');
    expect(words(await ask(wire, 2))).toEqual([wordAt(2)]);
  });

  test('closing rejects what is pending', async () => {
    const { wire } = await bench(form, () => undefined);
    const pending = Promise.allSettled([ask(wire, 1), ask(wire, 2)]);
    await wire.close();
    expect((await pending).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    await expect(ask(wire, 3)).rejects.toMatchObject({ code: 'LINK_DOWN' });
  });
});

describe.each(['rtu', 'ascii'] as const)('%s on a bad line', (form) => {
  test('noise before, between and after frames', async () => {
    const noise = [0x00, 0xff, 0x01, 0x03, 0x3a, 0x31];
    const { wire } = await bench(form, (asked) => onLine(noise, replyTo(form, asked, asked.address), noise));
    for (let address = 0; address < 20; address += 1)
      expect(words(await ask(wire, address, 2))).toEqual([wordAt(address), wordAt(address + 1)]);
  });

  test('byte by byte', async () => {
    const { wire } = await bench(form, (asked) => {
      const bytes = [...replyTo(form, asked, asked.address)];
      const next = (): void => {
        const byte = bytes.shift();
        if (byte === undefined) return;
        asked.socket.write(Buffer.from([byte]));
        setImmediate(next);
      };
      next();
      return undefined;
    });
    expect(words(await ask(wire, 3, 4))).toEqual([3, 4, 5, 6].map(wordAt));
  });

  test('a wrong checksum is no reply; it is told apart from silence, and nothing is taken from it', async () => {
    const { wire } = await bench(
      form,
      inTurn((asked) => {
        const bytes = replyTo(form, asked, asked.address);
        bytes[4] = (bytes[4] as number) ^ 1;
        return onLine(bytes);
      }),
      { timeout: '30ms' },
    );
    const reply = await ask(wire, 1);
    expect(words(reply)).toMatch(/^no valid reply \(\d+ bytes of noise\)$/);
    expect((reply as Failure).silent).toBe(true);
    expect(words(await ask(wire, 2))).toEqual([wordAt(2)]);
  });

  test('a frame of another unit, function or length is not taken for the answer', async () => {
    const { wire } = await bench(form, (asked) =>
      onLine(
        replyTo(form, { ...asked, unit: 2 }, 50),
        replyTo(form, { ...asked, code: 4 }, 50),
        replyTo(form, asked, 50, asked.count + 1),
        replyTo(form, asked, asked.address),
      ),
    );
    expect(words(await ask(wire, 9))).toEqual([wordAt(9)]);
  });

  test('a reply that comes after its time limit is not taken for the answer to the next request', async () => {
    const held: Buffer[] = [];
    const { peer, wire, strays } = await bench(
      form,
      (asked) => {
        if (asked.address !== 100) return truthful(asked);
        held.push(replyTo(form, asked, 100));
        return undefined;
      },
      { timeout: '60ms' },
    );
    expect(words(await ask(wire, 1))).toEqual([wordAt(1)]);
    expect(words(await ask(wire, 100))).toBe('timeout');
    const next = ask(wire, 200);
    peer.send(held[0] as Buffer);
    expect(words(await next)).toEqual([wordAt(200)]);
    expect(strays).toEqual(['late reply of unit 1, dropped']);
  });

  test('nobody answers for unit 0', async () => {
    const { peer, wire } = await bench(form);
    expect(words(await ask(wire, 1, 1, 0))).toBe('unit 0 is everybody, and nobody answers');
    expect(peer.asked).toEqual([]);
  });

  test('a lost connection rejects what is pending', async () => {
    const { peer, wire } = await bench(form, () => undefined);
    const pending = ask(wire, 1);
    await expect.poll(() => peer.asked.length).toBe(1);
    peer.cut();
    await expect(pending).rejects.toMatchObject({ code: 'LINK_DOWN' });
  });

  test('three requests in a row without a reply end the connection', async () => {
    const { wire } = await bench(form, () => undefined, { timeout: '10ms' });
    const settled = await Promise.allSettled([1, 2, 3, 4].map((address) => ask(wire, address)));
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled', 'rejected']);
  });

  test('mask writes repeat the whole request', async () => {
    const { wire } = await bench(
      form,
      inTurn((asked) => frame(0, asked.unit, asked.pdu)),
    );
    expect(await wire.request(maskWriteRequest(1, 4, 0xfffe, 1))).toBeInstanceOf(Buffer);
  });
});

test('a datagram that comes late is known by its number', async () => {
  const held: Buffer[] = [];
  const { peer, wire } = await bench(
    'udp',
    (asked) => {
      if (asked.address !== 100) return truthful(asked);
      held.push(truthful(asked));
      return undefined;
    },
    { timeout: '30ms' },
  );
  expect(words(await ask(wire, 100))).toBe('timeout');
  peer.answer = (asked) => {
    peer.send(held[0] as Buffer);
    return truthful(asked);
  };
  expect(words(await ask(wire, 200))).toEqual([wordAt(200)]);
});

describe.each(['rtu', 'ascii'] as const)('%s with a device that is slower than its time limit', (form) => {
  test.each([
    ['that has never answered in time', false],
    ['that has answered before', true],
  ])('one %s: no reply is taken for that to the next request', async (_who, answered) => {
    const { peer, wire } = await bench(form, truthful, { timeout: '250ms' });
    if (answered) expect(words(await ask(wire, 1))).toEqual([wordAt(1)]);
    peer.answer = () => undefined;
    let next = ask(wire, 100);
    for (const address of [100, 200, 300]) {
      expect(words(await next)).toBe('timeout');
      next = ask(wire, address + 100);
      peer.send(replyTo(form, peer.asked.at(-1) as Asked, address));
    }
    expect(words(await next)).toBe('timeout');
  });

  test('a glitch is no answer: its reply may still come', async () => {
    const { peer, wire } = await bench(form, truthful, { timeout: '250ms' });
    expect(words(await ask(wire, 1))).toEqual([wordAt(1)]);
    peer.answer = () => onLine([0xff]);
    expect(words(await ask(wire, 100))).toBe('timeout');
    peer.answer = () => undefined;
    const next = ask(wire, 200);
    peer.send(replyTo(form, peer.asked.at(-1) as Asked, 100));
    expect(words(await next)).toBe('timeout');
  });
});

test('a datagram that cannot be sent anywhere is a link that is down', async () => {
  const settings = modbus.connection.parse({ udp: '255.255.255.255:502' });
  await expect(openWire(settings, () => {})).rejects.toMatchObject({ code: 'LINK_DOWN' });
});

test('a datagram of another request is told, and is not silence broken', async () => {
  const { wire, strays } = await bench('udp', (asked) => truthful({ ...asked, id: asked.id ^ 1 }), { timeout: '30ms' });
  expect(words(await ask(wire, 1))).toBe('timeout');
  expect(strays).toEqual([expect.stringMatching(/^\d+ bytes that nobody asked for, dropped$/)]);
});

describe('on a line of its own time', () => {
  /** When the line was written to. */
  let sent: number[];
  beforeEach(() => {
    vi.useFakeTimers();
    sent = [];
  });
  afterEach(() => void vi.useRealTimers());

  /** A serial line of 1 ms a byte, whose device says these bytes so many milliseconds after it was asked. */
  function lineOf(framing: Framing, ...says: [after: number, bytes: Uint8Array][]): Line {
    let hear: (chunk: Buffer) => void = () => {};
    const transport = {
      name: 'line',
      write: () => {
        sent.push(performance.now());
        for (const [after, bytes] of says) setTimeout(() => hear(Buffer.from(bytes)), after);
      },
      listen: (onData: typeof hear) => {
        hear = onData;
      },
      close: async () => {},
    };
    const options = { timeout: 300, pause: 0, byteTime: 1, quiet: 100, echo: false, stray: () => {} };
    return new Line(transport, framing, { ...options, mostSilent: Number.POSITIVE_INFINITY });
  }
  const reply = (form: LineForm): Buffer => lineFrame(form, Buffer.from([1, 3, 2, 0x12, 0x34]));

  test('only the next request to a unit that never answered waits until its reply cannot come any more', async () => {
    const line = lineOf(rtu);
    for (const unit of [9, 2, 9, 9]) void ask(line, 1, 1, unit);
    await vi.advanceTimersByTimeAsync(2_000);
    // 300 ms, and 1 ms for each of the 8 bytes asked and the 7 of the reply.
    const waits = sent.slice(1).map((at, index) => at - (sent[index] as number));
    expect(waits.map((wait) => Math.round(wait / 10) * 10)).toEqual([320, 320, 620]);
  });

  test('a glitch when the line turns round does not shorten the time limit', async () => {
    const told = ask(lineOf(rtu, [9, Buffer.from([0xff, 0x00])], [260, reply('rtu')]), 1);
    await vi.advanceTimersByTimeAsync(400);
    expect(words(await told)).toEqual([0x1234]);
  });

  test('a reply that began and went quiet is over', async () => {
    const told = ask(lineOf(rtu, [20, reply('rtu').subarray(0, 6)]), 1);
    await vi.advanceTimersByTimeAsync(130);
    expect(words(await told)).toBe('no valid reply (6 bytes of noise)');
  });

  test.each([
    ['rtu', rtu, 8 + 7],
    ['ascii', ascii, 17 + 15],
  ] as const)(
    'what a device takes to answer is told without the time of the bytes: %s',
    async (form, framing, bytes) => {
      const line = lineOf(framing, [bytes + 25, reply(form)]);
      const told = ask(line, 1);
      await vi.advanceTimersByTimeAsync(400);
      expect(words(await told)).toEqual([0x1234]);
      expect(line.answerTime).toBeCloseTo(25, 6);
    },
  );
});
