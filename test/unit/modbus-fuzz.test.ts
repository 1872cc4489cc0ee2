/** Thousands of seeded bad replies. Every register tells its address, so a value at the wrong point gives itself away. */
import { describe, expect, test } from 'vitest';
import { DATA_AT, Failure, readRequest } from '../../drivers/modbus/frame.js';
import { modbus } from '../../drivers/modbus/index.js';
import { openTcpWire } from '../../drivers/modbus/tcp-wire.js';
import { openWire, type Wire } from '../../drivers/modbus/wire.js';
import { isKind } from '../../src/errors.js';
import { driverContext } from '../support/driver-context.js';
import { type LineForm, lineFrame, onLine, startLinePeer, startUdpPeer } from '../support/line-peer.js';
import { type Asked, bitAt, frame, refusing, startModbusPeer, truthful, wordAt } from '../support/modbus-peer.js';
import { deviceOf, pointOf } from '../support/modbus-points.js';
import { random as seeded } from '../support/random.js';

type Fault = (asked: Asked, random: () => number) => Buffer | undefined;
const upTo = (random: () => number, most: number): number => Math.floor(random() * (most + 1));
/** A right answer to another question: what it holds must never arrive. */
const elsewhere = (asked: Asked): Asked => ({ ...asked, address: (asked.address + 1000) & 0x3fff });
const junk = (random: () => number, most: number): Buffer =>
  Buffer.from(Array.from({ length: upTo(random, most) }, () => upTo(random, 255)));
/** Replies that come with a later one, on the connection that they were asked on. */
const late: { readonly asked: Asked; readonly reply: Buffer }[] = [];
const lateOn = ({ socket }: Asked): Buffer[] =>
  late.splice(0).flatMap(({ asked, reply }) => (asked.socket === socket ? [reply] : []));

/** One reply each, or some: also for datagrams. */
const REPLIES: Fault[] = [
  truthful,
  truthful,
  truthful,
  () => undefined,
  (asked, random) =>
    truthful({ ...elsewhere(asked), id: upTo(random, 65_535) === asked.id ? asked.id ^ 1 : asked.id ^ 256 }),
  (asked, random) =>
    Buffer.concat([
      truthful({ ...elsewhere(asked), id: (asked.id + 1 + upTo(random, 60_000)) & 0xffff }),
      truthful(asked),
    ]),
  (asked, random) => truthful({ ...elsewhere(asked), unit: (asked.unit + 1 + upTo(random, 200)) & 0xff }),
  (asked) => truthful({ ...elsewhere(asked), code: asked.code > 2 ? 7 - asked.code : 3 - asked.code }),
  (asked, random) => truthful({ ...elsewhere(asked), count: asked.count + 8 + upTo(random, 40) }),
  (asked) => truthful({ ...elsewhere(asked), count: asked.count > 8 ? asked.count - 8 : asked.count + 8 }),
  (asked, random) => refusing(asked, upTo(random, 255)),
  (asked, random) => {
    const bytes = truthful(elsewhere(asked));
    bytes.writeUInt16BE(1 + upTo(random, 65_534), 2);
    return bytes;
  },
  (asked, random) => {
    const bytes = truthful(elsewhere(asked));
    bytes.writeUInt16BE([0, 1, 2, 255, 256, 65_535][upTo(random, 5)] as number, 4);
    return bytes;
  },
  (asked) => {
    const bytes = truthful(elsewhere(asked));
    bytes[8] = ((bytes[8] as number) + 2) & 0xff;
    return bytes;
  },
  (asked, random) => frame(asked.id, asked.unit, [[7, 8, 11, 20, 43, 100][upTo(random, 5)] as number, 2, 0, 0]),
  (asked) => {
    late.push({ asked, reply: truthful(asked) });
    return undefined;
  },
  (asked) => Buffer.concat([...lateOn(asked), truthful(asked)]),
  (asked) => Buffer.concat([truthful(asked), truthful(elsewhere(asked)), truthful(elsewhere(asked))]),
  (_, random) => Buffer.concat([Buffer.from([0xde, 0xad, 0xbe, 0xef]), junk(random, 40)]),
];
/** In pieces, with a pause between them. */
const inPieces = ({ socket }: Asked, bytes: Buffer): undefined => {
  let at = 0;
  const next = (): void => {
    if (at >= bytes.length || socket.destroyed) return;
    socket.write(bytes.subarray(at, at + 1 + (at % 7)));
    at += 1 + (at % 7);
    setImmediate(next);
  };
  next();
};
const hangUp: Fault = (asked) => void asked.socket.destroy();
/** Whatever follows them, these leave the stream's frames whole or plainly broken. */
const FAULTS: Fault[] = [...REPLIES, (asked) => inPieces(asked, truthful(asked)), hangUp];
/** These end in the middle of a frame: harmless as long as nothing is sent before they have timed out. */
const CUTS: Fault[] = [
  (asked, random) => {
    const bytes = truthful(asked);
    return bytes.subarray(0, 1 + upTo(random, bytes.length - 2));
  },
  (asked, random) => Buffer.concat([truthful(asked), truthful(elsewhere(asked)).subarray(0, 1 + upTo(random, 5))]),
];

const TABLES = ['coil', 'discrete', 'input', 'holding'] as const;

/** A peer that draws a fault for each request, and how to reach it. */
type Bench = (random: () => number) => Promise<{ open(): Promise<Wire>; close(): Promise<void> }>;
const drawing =
  (faults: readonly Fault[], random: () => number) =>
  (asked: Asked): Buffer | undefined =>
    (faults[upTo(random, faults.length - 1)] as Fault)(asked, random);

const tcp =
  (inFlight: number, faults: readonly Fault[]): Bench =>
  async (random) => {
    const peer = await startModbusPeer(drawing(faults, random));
    const options = { host: '127.0.0.1', port: peer.port, timeout: 4, inFlight, pause: 0 };
    return { open: () => openTcpWire(options), close: peer.close };
  };

async function run(seed: number, rounds: number, inFlight: number, bench: Bench): Promise<Record<string, number>> {
  const random = seeded(seed);
  const { open, close } = await bench(random);
  let wire = await open();
  const seen = { good: 0, failed: 0, lost: 0 };
  for (let round = 0; round < rounds; round += inFlight) {
    const asked = Array.from({ length: inFlight }, () => {
      const table = TABLES[upTo(random, 3)] as (typeof TABLES)[number];
      const address = upTo(random, 8_000);
      const count = 1 + upTo(random, 124);
      return { table, address, count, reply: wire.request(readRequest(1, table, address, count)) };
    });
    let isLost = false;
    for (const { table, address, count, reply } of asked) {
      const result = await reply.catch((error: unknown) => {
        if (!isKind(error, 'reconnect')) throw error;
        isLost = true;
      });
      if (!result) seen.lost += 1;
      else if (result instanceof Failure) seen.failed += 1;
      else {
        seen.good += 1;
        const isBit = table === 'coil' || table === 'discrete';
        for (let at = 0; at < count; at += 1) {
          const told = isBit
            ? (((result[DATA_AT + (at >> 3)] as number) >> (at & 7)) & 1) === 1
            : result.readUInt16BE(DATA_AT + at * 2);
          const right = isBit ? bitAt(address + at) : wordAt(address + at);
          if (told !== right) expect(`${table} ${address + at}: ${told}`).toBe(`${table} ${address + at}: ${right}`);
        }
      }
    }
    if (isLost) {
      await wire.close();
      wire = await open();
    }
  }
  await wire.close();
  await close();
  return seen;
}

/** What may happen to a reply on a line. There a whole reply to another request of the same form cannot be told from the right one. */
function lineFaults(form: LineForm): Fault[] {
  const reply = (asked: Asked): Buffer => lineFrame(form, truthful(asked).subarray(6));
  const whole: Fault = (asked) => onLine(reply(asked));
  return [
    ...Array<Fault>(4).fill(whole),
    () => undefined,
    (_, random) => onLine(junk(random, 4)),
    (_, random) => onLine(junk(random, 80)),
    (asked, random) => onLine(junk(random, 9), reply(asked), junk(random, 9)),
    (asked, random) => {
      const bytes = reply(asked);
      const at = upTo(random, bytes.length - 1);
      bytes[at] = (bytes[at] as number) ^ (1 << upTo(random, 7));
      return onLine(bytes);
    },
    (asked, random) => {
      const bytes = reply(asked);
      return onLine(bytes.subarray(0, upTo(random, bytes.length - 1)));
    },
    (asked, random) => {
      const bytes = reply(asked);
      return onLine(bytes.subarray(1 + upTo(random, bytes.length - 2)), bytes);
    },
    (asked) => onLine(reply({ ...elsewhere(asked), unit: asked.unit + 1 }), reply(asked)),
    (asked) => onLine(reply({ ...elsewhere(asked), code: asked.code > 2 ? 7 - asked.code : 3 - asked.code })),
    (asked) => onLine(reply({ ...elsewhere(asked), count: asked.count + 9 }), reply(asked)),
    (asked, random) => onLine(lineFrame(form, refusing(asked, upTo(random, 255)).subarray(6))),
    (asked) => inPieces(asked, reply(asked)),
    hangUp,
  ];
}

const line =
  (form: LineForm): Bench =>
  async (random) => {
    const peer = await startLinePeer(form, drawing(lineFaults(form), random));
    const connection = modbus.connection.parse({ tcp: `127.0.0.1:${peer.port}`, framing: form, timeout: '4ms' });
    return { open: () => openWire(connection, () => {}), close: peer.close };
  };

const udp: Bench = async (random) => {
  const peer = await startUdpPeer(drawing([...REPLIES, ...CUTS], random));
  const connection = modbus.connection.parse({ udp: `127.0.0.1:${peer.port}`, timeout: '4ms' });
  return { open: () => openWire(connection, () => {}), close: peer.close };
};

describe('hostile replies', () => {
  for (const [seed, inFlight, faults] of [
    [1, 1, [...FAULTS, ...CUTS]],
    [2, 1, [...FAULTS, ...CUTS]],
    [3, 1, [truthful, ...CUTS]],
    [4, 8, FAULTS],
    [5, 32, [...Array<Fault>(300).fill(truthful), ...FAULTS]],
  ] as const)
    test(`seed ${seed}, ${inFlight} in flight`, async () => {
      const seen = await run(seed, 1_000, inFlight, tcp(inFlight, faults));
      expect(Math.min(seen.good ?? 0, seen.failed ?? 0, seen.lost ?? 0)).toBeGreaterThan(5);
    });

  test.each([
    ['rtu', 7, line('rtu')],
    ['ascii', 8, line('ascii')],
    ['datagrams', 9, udp],
  ] as const)('on lines: %s, seed %i', async (form, seed, bench) => {
    const seen = await run(seed, 1_000, 1, bench);
    expect(Math.min(seen.good ?? 0, seen.failed ?? 0)).toBeGreaterThan(100);
    if (form !== 'datagrams') expect(seen.lost).toBeGreaterThan(20);
  });

  test('through a session: each point has its own value, or a reason', async () => {
    const random = seeded(6);
    const faults = [truthful, truthful, truthful, truthful, ...FAULTS, ...CUTS];
    const peer = await startModbusPeer((asked) => (faults[upTo(random, faults.length - 1)] as Fault)(asked, random));
    const connection = modbus.connection.parse({ tcp: `127.0.0.1:${peer.port}`, timeout: '4ms' });
    const points = [0, 1, 2, 40, 90, 91, 200, 300, 301].map((address) => pointOf('uint16', { address }));
    const device = deviceOf(points);
    const quiet = { debug() {}, info() {} } as never;
    const options = { signal: new AbortController().signal };
    let session = await modbus.open(connection, driverContext(undefined, { log: quiet }));
    let good = 0;
    for (let round = 0; round < 300; round += 1) {
      const samples = await session.read(device, points, options).catch(async (error: unknown) => {
        if (!isKind(error, 'reconnect')) throw error;
        await session.close();
        session = await modbus.open(connection, driverContext(undefined, { log: quiet }));
      });
      samples?.values.forEach((value, index) => {
        const right = wordAt(points[index]?.address.address ?? -1);
        if (value === null) expect(samples.flaws?.get(index)?.reason).toBeTruthy();
        else expect(value).toBe(right);
        if (value !== null) good += 1;
      });
    }
    await session.close();
    await peer.close();
    expect(good).toBeGreaterThan(200);
  });
});
