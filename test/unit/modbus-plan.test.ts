import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { codecOf } from '../../drivers/modbus/codec.js';
import { modbus } from '../../drivers/modbus/index.js';
import { halve, type Lessons, makeRequest, type Plan, planReads } from '../../drivers/modbus/plan.js';
import { costOf, followPrice, type Price, priceOf } from '../../drivers/modbus/price.js';
import { type Limits, type ModbusAddress, TABLES } from '../../drivers/modbus/schema.js';
import { POINT_TYPES, type Point, type PointType } from '../../src/model.js';
import { pointOf } from '../support/modbus-points.js';
import { random as seeded } from '../support/random.js';

const LIMITS: Limits = { maxRegisters: 125, maxBits: 2000, maxGap: 16, forbidden: [] };
const registers = (...addresses: number[]): Point<ModbusAddress>[] =>
  addresses.map((address) => pointOf('uint16', { address }));
const shape = (plan: Plan): string[] =>
  plan.requests.map(({ table, address, count }) => `${table} ${address}+${count}`);
const plan = (points: Point<ModbusAddress>[], limits: Partial<Limits> = {}, lessons?: Lessons): Plan =>
  planReads(1, points, { ...LIMITS, ...limits }, lessons);

describe('joining', () => {
  test('neighbours share a request, in any order they are written', () => {
    expect(shape(plan(registers(3, 1, 2, 0)))).toEqual(['holding 0+4']);
  });

  test('a gap is read along up to the limit', () => {
    expect(shape(plan(registers(0, 17)))).toEqual(['holding 0+18']);
    expect(shape(plan(registers(0, 18)))).toEqual(['holding 0+1', 'holding 18+1']);
    expect(shape(plan(registers(0, 2), { maxGap: 0 }))).toEqual(['holding 0+1', 'holding 2+1']);
  });

  test('the maximum never splits a point', () => {
    const points = [...registers(0, 1, 2), pointOf('uint64', { address: 3 }), ...registers(7)];
    expect(shape(plan(points, { maxRegisters: 5 }))).toEqual(['holding 0+3', 'holding 3+5']);
  });

  test('tables stay apart, bits have a maximum of their own', () => {
    const points = [
      pointOf('bool', { table: 'coil', address: 0 }),
      pointOf('bool', { table: 'coil', address: 9 }),
      pointOf('uint16', { table: 'input', address: 1 }),
      pointOf('bool', { table: 'discrete', address: 1 }),
      pointOf('uint16', { address: 1 }),
    ];
    expect(shape(plan(points, { maxBits: 9 }))).toEqual([
      'coil 0+1',
      'coil 9+1',
      'discrete 1+1',
      'input 1+1',
      'holding 1+1',
    ]);
  });

  test('a forbidden range is never read, not even between two points', () => {
    expect(shape(plan(registers(0, 1, 4, 5), { forbidden: [[2, 2]] }))).toEqual(['holding 0+2', 'holding 4+2']);
    const inside = plan([pointOf('uint32', { address: 1 }), ...registers(0)], { forbidden: [[2, 9]] });
    expect(shape(inside)).toEqual(['holding 0+1']);
    expect(inside.refused).toEqual([{ index: 0, reason: 'in a forbidden range' }]);
  });

  test('a point wider than a request may be is refused', () => {
    const { requests, refused } = plan([pointOf('string', { address: 0, length: 20 })], { maxRegisters: 16 });
    expect(requests).toEqual([]);
    expect(refused).toEqual([{ index: 0, reason: 'takes 20 registers, more than one request may read (16)' }]);
  });

  test('bits of one register cost one register', () => {
    expect(shape(plan([0, 3, 9].map((bit) => pointOf('bool', { address: 7, bit }))))).toEqual(['holding 7+1']);
  });
});

describe('lessons', () => {
  test('no request crosses a cut, nor a bad cell; points in bad cells are probes', () => {
    const isCut: Lessons['isCut'] = (table, address) => table === 'holding' && address === 2;
    expect(shape(plan(registers(0, 1, 2, 3), {}, { isCut, bad: [] }))).toEqual(['holding 0+2', 'holding 2+2']);
    const healed = plan(
      registers(0, 1, 2),
      {},
      { isCut: () => false, bad: [{ table: 'holding', address: 1, span: 1 }] },
    );
    expect(shape(healed)).toEqual(['holding 0+1', 'holding 2+1']);
    expect(healed.probes.map(({ address, count, entries }) => [address, count, entries[0]?.index])).toEqual([
      [1, 1, 1],
    ]);
  });

  test('a refused request is halved at a gap, else in the middle, until only one cell is left', () => {
    const addressesOf = (points: Point<ModbusAddress>[]): number[][] | undefined => {
      const [request] = plan(points).requests;
      return request && halve(1, request)?.map(({ entries }) => entries.map(({ address }) => address));
    };
    expect(addressesOf(registers(0, 1, 2, 3))).toEqual([
      [0, 1],
      [2, 3],
    ]);
    expect(addressesOf(registers(0, 5, 6, 7, 8))).toEqual([[0], [5, 6, 7, 8]]);
    expect(addressesOf([0, 1].map((bit) => pointOf('bool', { address: 4, bit })))).toBeUndefined();
  });
});

describe('by cost', () => {
  /** What a plan costs. */
  const total = (price: Price, requests: Plan['requests']): number =>
    requests.reduce((sum, { table, count }) => sum + costOf(price, table, count), 0);

  test('a gap is read along where that costs less than one more request', () => {
    const slow = priceOf(modbus.connection.parse({ serial: '/dev/ttyUSB0', baud: 9600 }), 20);
    const shapeAt = (gap: number, price: Price): number =>
      planReads(1, registers(0, gap + 1), { ...LIMITS, maxGap: 125 }, undefined, price).requests.length;
    // 13 bytes, 3.5 characters of silence and 20 ms are worth 17.8 registers of two bytes.
    expect([shapeAt(17, slow), shapeAt(18, slow)]).toEqual([1, 2]);
    const fast = priceOf(modbus.connection.parse({ tcp: 'plc' }), 1);
    expect([shapeAt(90, fast), shapeAt(110, fast)]).toEqual([1, 2]);
  });

  test('a price that wavers is followed seldom, and only when it has moved far', () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    let answer = 5;
    const price = followPrice(modbus.connection.parse({ tcp: 'plc' }), () => answer);
    const first = price();
    answer = 0.1;
    vi.advanceTimersByTime(29_999);
    expect(price()).toBe(first);
    vi.advanceTimersByTime(1);
    const second = price();
    expect(second.request).toBe(0.1);
    answer = 0.14;
    vi.advanceTimersByTime(30_000);
    expect(price()).toBe(second);
  });

  test('never dearer than any other way to cut the points into runs', () => {
    const random = seeded(77);
    const upTo = (most: number): number => Math.floor(random() * (most + 1));
    for (let round = 0; round < 500; round += 1) {
      const points = Array.from({ length: 2 + upTo(7) }, () =>
        pointOf((['uint16', 'float32', 'uint64'] as const)[upTo(2)] as PointType, { address: upTo(60) }),
      );
      const limits = { ...LIMITS, maxRegisters: 4 + upTo(50), maxGap: upTo(40) };
      const price = { request: 1 + upTo(40), register: random() * 3 };
      const { requests } = planReads(1, points, limits, undefined, price);
      const sorted = requests.flatMap(({ entries }) => entries);
      let least = Number.POSITIVE_INFINITY;
      for (let cuts = 0; cuts < 2 ** (sorted.length - 1); cuts += 1) {
        const runs: (typeof sorted)[] = [[]];
        for (const [index, entry] of sorted.entries()) {
          if (index > 0 && cuts & (1 << (index - 1))) runs.push([]);
          runs.at(-1)?.push(entry);
        }
        const made = runs.map((run) => makeRequest(1, 'holding', run));
        if (made.every((request) => isAllowed(request, limits))) least = Math.min(least, total(price, made));
      }
      expect(total(price, requests)).toBeCloseTo(least, 9);
    }
  });

  function isAllowed({ entries, count }: Plan['requests'][number], limits: Limits): boolean {
    let end = Number.POSITIVE_INFINITY;
    for (const { address, codec } of entries) {
      if (address - end > limits.maxGap) return false;
      end = Math.max(end === Number.POSITIVE_INFINITY ? 0 : end, address + codec.span);
    }
    return count <= limits.maxRegisters;
  }
});

test('whatever the points and limits: each point once, within the limits, never a forbidden or bad cell, as few as the rules allow', () => {
  const random = seeded(2026);
  const upTo = (most: number): number => Math.floor(random() * (most + 1));
  for (let round = 0; round < 200; round += 1) {
    const points = Array.from({ length: 1 + upTo(60) }, () => {
      const table = TABLES[upTo(3)] as (typeof TABLES)[number];
      const isBit = table === 'coil' || table === 'discrete';
      const type: PointType = isBit ? 'bool' : (POINT_TYPES[upTo(9)] as PointType);
      return pointOf(type, { table, address: upTo(300), ...(type === 'string' ? { length: 1 + upTo(30) } : {}) });
    });
    const forbidden = Array.from({ length: upTo(4) }, () => {
      const from = upTo(300);
      return [from, from + upTo(5)] as const;
    });
    const limits: Limits = { maxRegisters: 4 + upTo(121), maxBits: 1 + upTo(100), maxGap: upTo(20), forbidden };
    const badPoint = points[upTo(points.length - 1)] as Point<ModbusAddress>;
    const { table, address } = badPoint.address;
    const bad = random() < 0.5 ? [{ table, address, span: codecOf(badPoint).span }] : [];
    const cut = upTo(300);
    const lessons: Lessons = { isCut: (_, at) => at === cut, bad };
    const { requests, probes, refused } = planReads(3, points, limits, lessons);

    const seen = [...requests, ...probes].flatMap(({ entries }) => entries.map(({ index }) => index));
    expect([...seen, ...refused.map(({ index }) => index)].sort((a, b) => a - b)).toEqual(
      points.map((_, index) => index),
    );
    for (const request of [...requests, ...probes]) {
      const end = request.address + request.count;
      const isBit = request.table === 'coil' || request.table === 'discrete';
      expect(request.count).toBeLessThanOrEqual(isBit ? limits.maxBits : limits.maxRegisters);
      for (const [from, to] of forbidden) expect(from < end && to >= request.address).toBe(false);
      expect(request.frame.readUInt16BE(2)).toBe(request.address);
      expect(request.frame.readUInt16BE(4)).toBe(request.count);
      for (const entry of request.entries) {
        const point = points[entry.index] as Point<ModbusAddress>;
        expect(point.address.table).toBe(request.table);
        expect(point.address.address).toBe(entry.address);
        expect(entry.address + entry.codec.span).toBeLessThanOrEqual(end);
        expect(entry.at).toBe(isBit ? 24 + entry.address - request.address : 3 + 2 * (entry.address - request.address));
      }
    }
    for (const request of requests) {
      const starts = request.entries.map((entry) => entry.address);
      expect(starts.some((start) => start < cut) && starts.some((start) => start >= cut)).toBe(false);
    }
    // No two requests that follow each other could have been one.
    for (let at = 1; at < requests.length; at += 1) {
      const [left, right] = [requests[at - 1], requests[at]];
      if (!left || !right || left.table !== right.table) continue;
      const leftEnd = left.address + left.count;
      const first = right.entries[0] as (typeof right.entries)[number];
      const most = left.table === 'coil' || left.table === 'discrete' ? limits.maxBits : limits.maxRegisters;
      const between = [
        ...forbidden,
        ...bad.filter((it) => it.table === left.table).map((it) => [it.address, it.address + it.span - 1] as const),
      ];
      const blocked = between.some(([from, to]) => from < first.address && to >= leftEnd);
      const lastStart = left.entries.at(-1)?.address ?? 0;
      const isCut = lastStart < cut && cut <= first.address;
      const tooLong = Math.max(leftEnd, right.address + right.count) - left.address > most;
      expect(tooLong || first.address - leftEnd > limits.maxGap || blocked || isCut).toBe(true);
    }
  }
});
