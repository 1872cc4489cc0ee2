/** Reading through a session: joined, split by itself, remembered, healed. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import { closeAll, reasons, registers, openBench as setUp } from '../support/modbus-bench.js';
import { type Answer, type Asked, refusing, truthful, wordAt } from '../support/modbus-peer.js';
import { deviceOf, pointOf } from '../support/modbus-points.js';

afterEach(async () => {
  vi.restoreAllMocks();
  await closeAll();
});

/** Refuses what touches one of these registers, as devices do that have none there. */
const without =
  (...missing: number[]) =>
  (asked: Asked): Answer =>
    missing.some((address) => address >= asked.address && address < asked.address + asked.count)
      ? refusing(asked, 2)
      : truthful(asked);
/** Moves the clock of plans and lessons on. */
const later = (milliseconds: number): void => {
  const now = performance.now();
  vi.spyOn(performance, 'now').mockImplementation(() => now + milliseconds);
};

describe('a read', () => {
  test('joins what it can, and brings values in the order of the points', async () => {
    const { read, requests } = await setUp();
    const device = deviceOf([...registers(5, 1, 200), pointOf('uint32', { address: 2, table: 'input' })]);
    const { values, answered, flaws } = await read(device);
    expect(values).toEqual([wordAt(5), wordAt(1), wordAt(200), wordAt(2) * 65_536 + wordAt(3)]);
    expect([answered, flaws]).toEqual([true, undefined]);
    expect(requests()).toEqual(['2+2', '1+5', '200+1']);
  });

  test("a device's own limits stand before its connection's", async () => {
    const { read, requests } = await setUp(truthful, { max_registers: 100, max_gap: 0, forbidden: [[3, 3]] });
    await read(deviceOf(registers(0, 1, 2, 4)));
    expect(requests()).toEqual(['0+3', '4+1']);
    await read(deviceOf(registers(0, 1, 2, 4), { max_registers: 2, max_gap: 5, forbidden: [] }));
    expect(requests()).toEqual(['0+2', '2+1', '4+1']);
  });

  test('brings the raw words when asked for', async () => {
    const { session } = await setUp();
    const points = [pointOf('float32', { address: 4 }), pointOf('bool', { table: 'coil', address: 0 })];
    const { raw } = await session.read(deviceOf(points), points, { signal: new AbortController().signal, raw: true });
    const hex = (address: number): string => wordAt(address).toString(16).padStart(4, '0');
    expect(raw?.get(0)).toBe(`${hex(4)} ${hex(5)}`);
    expect(raw?.get(1)).toMatch(/^[01]$/);
  });

  test('several requests go out at once where the connection allows it', async () => {
    const held: (() => void)[] = [];
    const { read } = await setUp(
      (asked) => {
        held.push(() => asked.socket.write(truthful(asked)));
        if (held.length === 3) for (const send of held.reverse()) send();
        return undefined;
      },
      { in_flight: 3 },
    );
    const { values } = await read(deviceOf(registers(0, 100, 200)));
    expect(values).toEqual([0, 100, 200].map(wordAt));
  });

  test('a value that is not a number is a flaw of its point only', async () => {
    const { read } = await setUp((asked) => {
      const reply = truthful(asked);
      reply.writeUInt32BE(0x7fc00000, 9);
      return reply;
    });
    const samples = await read(deviceOf([pointOf('float32', { address: 0 }), pointOf('uint16', { address: 2 })]));
    expect(samples.values).toEqual([null, wordAt(2)]);
    expect(reasons(samples)).toEqual({ 0: 'not a number' });
  });
});

describe('refusals', () => {
  test('a hole between two points: all values in the same read, and two requests ever after', async () => {
    const { read, requests } = await setUp(without(4));
    const device = deviceOf(registers(1, 2, 3, 6, 7));
    const values = [1, 2, 3, 6, 7].map(wordAt);
    expect(await read(device)).toMatchObject({ values, flaws: undefined });
    expect(requests()).toEqual(['1+7', '1+3', '6+2']);
    expect(await read(device)).toMatchObject({ values, flaws: undefined });
    expect(requests()).toEqual(['1+3', '6+2']);
  });

  test('a register that fails: the others are good in the same read, and it is left out ever after', async () => {
    const { read, requests, told } = await setUp(without(5));
    const device = deviceOf(registers(1, 2, 3, 4, 5, 6, 7, 8));
    for (const expected of [
      ['1+8', '1+4', '5+4', '5+2', '5+1', '6+1', '7+2'],
      ['1+4', '6+3'],
    ]) {
      const samples = await read(device);
      expect(samples.values).toEqual([1, 2, 3, 4, null, 6, 7, 8].map((it) => (it === null ? null : wordAt(it))));
      expect(reasons(samples)).toEqual({ 4: 'exception 02 (illegal data address)' });
      expect(requests()).toEqual(expected);
    }
    expect(told).toEqual(['holding 5: exception 02 (illegal data address); the other points are read without it']);
  });

  test('what was learned is tried again after ten minutes, and forgotten when it has healed', async () => {
    const { read, requests, peer, told } = await setUp(without(2, 5));
    const device = deviceOf(registers(0, 1, 2, 3, 4, 5));
    await read(device);
    await read(device);
    requests();
    later(601_000);
    await read(device);
    expect(requests()).toEqual(['0+2', '3+2', '2+1']);
    peer.answer = truthful;
    later(602_000);
    const samples = await read(device);
    expect(samples).toMatchObject({ values: [0, 1, 2, 3, 4, 5].map(wordAt), flaws: undefined });
    expect(requests()).toEqual(['0+2', '3+2', '2+1', '5+1']);
    await read(device);
    expect(requests()).toEqual(['0+6']);
    expect(told).toHaveLength(2);
  });

  test('a device with a smaller maximum than it should have', async () => {
    const { read, requests } = await setUp((asked) => (asked.count > 10 ? refusing(asked, 3) : truthful(asked)));
    const device = deviceOf(registers(...Array.from({ length: 16 }, (_, at) => at)));
    expect((await read(device)).flaws).toBeUndefined();
    requests();
    expect((await read(device)).flaws).toBeUndefined();
    expect(requests()).toEqual(['0+8', '8+8']);
  });

  test('bits of one refused register cost one request, not one each', async () => {
    const { read, requests } = await setUp(without(5));
    const bits = Array.from({ length: 16 }, (_, bit) => pointOf('bool', { address: 5, bit }));
    const device = deviceOf([...bits, ...registers(6)]);
    expect(Object.keys(reasons(await read(device)))).toHaveLength(16);
    expect(requests()).toEqual(['5+2', '5+1', '6+1']);
  });

  test('a device that refuses everything is asked one thing at a time until it answers', async () => {
    const { read, requests, peer } = await setUp((asked) => refusing(asked, 2));
    const device = deviceOf(registers(0, 1, 2));
    expect(await read(device)).toMatchObject({ values: [null, null, null], answered: true });
    requests();
    expect(Object.keys(reasons(await read(device)))).toHaveLength(3);
    expect(requests()).toHaveLength(1);
    peer.answer = truthful;
    expect(await read(device)).toMatchObject({ values: [0, 1, 2].map(wordAt), flaws: undefined });
  });

  test('other exceptions are reasons, not lessons', async () => {
    const { read, requests, peer } = await setUp((asked) => refusing(asked, 6));
    const device = deviceOf(registers(0, 1));
    const samples = await read(device);
    expect(reasons(samples)).toEqual({
      0: 'exception 06 (server device busy)',
      1: 'exception 06 (server device busy)',
    });
    expect(samples.answered).toBe(true);
    peer.answer = truthful;
    expect((await read(device)).values).toEqual([0, 1].map(wordAt));
    expect(requests()).toEqual(['0+2', '0+2']);
  });

  test('forbidden and too wide points are told and never asked for', async () => {
    const { read, requests } = await setUp(truthful, { forbidden: [[10, 20]], max_registers: 8 });
    const samples = await read(deviceOf([...registers(12), pointOf('string', { address: 30, length: 9 })]));
    expect(reasons(samples)).toEqual({
      0: 'in a forbidden range',
      1: 'takes 9 registers, more than one request may read (8)',
    });
    expect(requests()).toEqual([]);
  });
});

describe('silence', () => {
  test('a dead device costs one timeout, whatever there is to read', async () => {
    const { read, requests } = await setUp(() => undefined, { timeout: '30ms' });
    const samples = await read(deviceOf(registers(0, 100, 200)));
    expect(samples).toMatchObject({ values: [null, null, null], answered: false });
    expect(reasons(samples)).toEqual({ 0: 'timeout', 1: 'timeout', 2: 'timeout' });
    expect(requests()).toEqual(['0+1']);
  });

  test('registers that are never answered do not hide the others: they are asked for last', async () => {
    const { read } = await setUp((asked) => (asked.address === 0 ? undefined : truthful(asked)), { timeout: '30ms' });
    const device = deviceOf(registers(0, 100, 200));
    expect((await read(device)).answered).toBe(false);
    for (let count = 0; count < 3; count += 1) {
      const samples = await read(device);
      expect(samples).toMatchObject({ values: [null, wordAt(100), wordAt(200)], answered: true });
      expect(reasons(samples)).toEqual({ 0: 'timeout' });
    }
  });

  test('a gateway that speaks for its silent device has not answered for it', async () => {
    const { read, requests } = await setUp((asked) => refusing(asked, 11));
    const samples = await read(deviceOf(registers(0, 100)));
    expect(samples.answered).toBe(false);
    expect(reasons(samples)[1]).toBe('exception 0B (gateway target device failed to respond)');
    expect(requests()).toEqual(['0+1']);
  });

  test('after the abort nothing more is asked', async () => {
    const { session, requests } = await setUp();
    const points = registers(0, 100);
    const samples = await session.read(deviceOf(points), points, { signal: AbortSignal.abort() });
    expect(reasons(samples)).toEqual({ 0: 'stopped', 1: 'stopped' });
    expect(requests()).toEqual([]);
  });
});
