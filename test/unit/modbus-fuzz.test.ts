/** Thousands of seeded bad replies. Every register tells its address, so a value at the wrong point gives itself away. */
import { describe, expect, test } from 'vitest';
import { DATA_AT, Failure, readRequest } from '../../drivers/modbus/frame.js';
import { modbus } from '../../drivers/modbus/index.js';
import { openTcpWire } from '../../drivers/modbus/tcp-wire.js';
import type { Wire } from '../../drivers/modbus/wire.js';
import { isKind } from '../../src/errors.js';
import { driverContext } from '../support/driver-context.js';
import { type Asked, bitAt, frame, refusing, startModbusPeer, truthful, wordAt } from '../support/modbus-peer.js';
import { deviceOf, pointOf } from '../support/modbus-points.js';
import { random as seeded } from '../support/random.js';

type Fault = (asked: Asked, random: () => number) => Buffer | undefined;
const upTo = (random: () => number, most: number): number => Math.floor(random() * (most + 1));
/** A right answer to another question: what it holds must never arrive. */
const elsewhere = (asked: Asked): Asked => ({ ...asked, address: (asked.address + 1000) & 0x3fff });
const junk = (random: () => number, most: number): Buffer =>
  Buffer.from(Array.from({ length: upTo(random, most) }, () => upTo(random, 255)));
const late: Buffer[] = [];

/** Whatever follows them, these leave the stream's frames whole or plainly broken. */
const FAULTS: Fault[] = [
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
    late.push(truthful(asked));
    return undefined;
  },
  (asked) => Buffer.concat([...late.splice(0), truthful(asked)]),
  (asked) => Buffer.concat([truthful(asked), truthful(elsewhere(asked)), truthful(elsewhere(asked))]),
  (asked) => {
    const bytes = truthful(asked);
    let at = 0;
    const next = (): void => {
      if (at >= bytes.length || asked.socket.destroyed) return;
      asked.socket.write(bytes.subarray(at, at + 1 + (at % 7)));
      at += 1 + (at % 7);
      setImmediate(next);
    };
    next();
    return undefined;
  },
  (asked) => {
    asked.socket.destroy();
    return undefined;
  },
  (_, random) => Buffer.concat([Buffer.from([0xde, 0xad, 0xbe, 0xef]), junk(random, 40)]),
];
/** These end in the middle of a frame: harmless as long as nothing is sent before they have timed out. */
const CUTS: Fault[] = [
  (asked, random) => {
    const bytes = truthful(asked);
    return bytes.subarray(0, 1 + upTo(random, bytes.length - 2));
  },
  (asked, random) => Buffer.concat([truthful(asked), truthful(elsewhere(asked)).subarray(0, 1 + upTo(random, 5))]),
];

const TABLES = ['coil', 'discrete', 'input', 'holding'] as const;

async function run(seed: number, rounds: number, inFlight: number, faults: Fault[]): Promise<Record<string, number>> {
  const random = seeded(seed);
  const peer = await startModbusPeer((asked) => (faults[upTo(random, faults.length - 1)] as Fault)(asked, random));
  const open = (): Promise<Wire> => openTcpWire({ host: '127.0.0.1', port: peer.port, timeout: 4, inFlight, pause: 0 });
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
  await peer.close();
  return seen;
}

describe('hostile replies', () => {
  for (const [seed, inFlight, faults] of [
    [1, 1, [...FAULTS, ...CUTS]],
    [2, 1, [...FAULTS, ...CUTS]],
    [3, 1, [truthful, ...CUTS]],
    [4, 8, FAULTS],
    [5, 32, [...Array<Fault>(300).fill(truthful), ...FAULTS]],
  ] as const)
    test(`seed ${seed}, ${inFlight} in flight`, async () => {
      const seen = await run(seed, 1_000, inFlight, [...faults]);
      expect(Math.min(seen.good ?? 0, seen.failed ?? 0, seen.lost ?? 0)).toBeGreaterThan(20);
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
