import { describe, expect, test } from 'vitest';
import type { Flaw, Point, PointType, Value } from '../../src/model.js';
import { compileScaling, withFactors } from '../../src/scaling.js';

function point(part: Partial<Point> & { id?: string; type?: PointType }): Point {
  return {
    id: 'p',
    type: 'uint16',
    kind: 'gauge',
    access: 'read',
    every: 1000,
    scale: 1,
    offset: 0,
    address: undefined,
    ...part,
  };
}

/** Scales one raw value; gives the value, or value and reason. */
function scaled(part: Partial<Point>, raw: Value): unknown {
  const { values, flaws } = compileScaling([point(part)]).apply({ values: [raw] });
  const flaw = flaws?.get(0);
  return flaw ? [values[0], flaw.quality, flaw.reason] : values[0];
}

describe('scale and offset', () => {
  test.each<[Partial<Point>, Value, Value]>([
    [{}, 7, 7],
    [{ scale: 0.1 }, 2301, 230.1],
    [{ scale: 0.1, type: 'int16' }, -3, -0.3],
    [{ scale: 0.01 }, 57, 0.57],
    [{ scale: 0.001, type: 'int32' }, 1_234_567, 1234.567],
    [{ scale: 0.1, offset: -273.15 }, 2981, 24.95],
    [{ scale: 0.5, offset: 20 }, 9, 24.5],
    [{ scale: 10 }, 65_535, 655_350],
    [{ scale: 1e-7, type: 'uint32' }, 3, 3e-7],
    [{ scale: 1000, type: 'float32' }, 1.1, 1100],
    [{ scale: 0.1, type: 'float32' }, 230.15, 23.015],
    [{ scale: 3, type: 'float32' }, 1.1, 3.3],
    [{ scale: 0.01526, type: 'uint16' }, 65_535, 1000.0641],
    [{ offset: 0.1, type: 'float64' }, 0.2, 0.3],
    [{ type: 'float64' }, 0.30000000000000004, 0.30000000000000004],
    [{ type: 'float64', scale: 2 }, 1e-300, 2e-300],
    [{ type: 'string', scale: 2 }, 'V1', 'V1'],
    [{ type: 'bool' }, true, true],
  ])('%o of %s is %s', (part, raw, value) => {
    expect(scaled(part, raw)).toBe(value);
  });

  test('every 16-bit value by common decimal scales is the decimal that people would write', () => {
    for (const [scale, places] of [
      [0.1, 1],
      [0.01, 2],
      [0.001, 3],
    ] as const) {
      const points = compileScaling([point({ scale })]);
      for (let raw = 0; raw < 65_536; raw++) {
        const digits = String(raw).padStart(places + 1, '0');
        const { values } = points.apply({ values: [raw] });
        if (values[0] !== Number(`${digits.slice(0, -places)}.${digits.slice(-places)}`)) {
          expect.fail(`${raw} × ${scale} gave ${values[0]}`);
        }
      }
    }
  });

  test('64-bit integers keep every digit where they can', () => {
    expect(scaled({ type: 'uint64' }, 18_446_744_073_709_551_615n)).toBe(18_446_744_073_709_551_615n);
    expect(scaled({ type: 'uint64' }, 5n)).toBe(5n);
    expect(scaled({ type: 'int64', scale: 0.001 }, 123_456_789n)).toBe(123_456.789);
    expect(scaled({ type: 'int64', scale: 10 }, -12n)).toBe(-120);
    expect(scaled({ type: 'uint64', scale: 10, offset: 1 }, 9_007_199_254_740_993n)).toBe(90_071_992_547_409_931n);
    expect(scaled({ type: 'uint64', scale: 0.1 }, 90_071_992_547_409_920n)).toBe(9_007_199_254_740_992);
  });
});

describe('quality', () => {
  test.each<[Partial<Point>, Value, unknown]>([
    [{ type: 'int16', invalid: [0x8000], scale: 0.1 }, -32_768, [null, 'bad', 'no value (0x8000)']],
    [{ type: 'int16', invalid: [-32_768] }, -32_768, [null, 'bad', 'no value (0x8000)']],
    [{ type: 'uint16', invalid: [0xffff, 0xfffe] }, 0xfffe, [null, 'bad', 'no value (0xFFFE)']],
    [{ type: 'uint16', invalid: [0xffff, 0xfffe] }, 0xfffd, 0xfffd],
    [{ type: 'uint32', invalid: [0] }, 0, [null, 'bad', 'no value (0x00000000)']],
    [{ type: 'int64', invalid: [0x8000000000000000n] }, -(2n ** 63n), [null, 'bad', 'no value (0x8000000000000000)']],
    [{ type: 'uint64', invalid: [0] }, 0n, [null, 'bad', 'no value (0x0000000000000000)']],
    [{ type: 'float32', invalid: [3.4028234663852886e38] }, 3.4028235e38, [null, 'bad', 'no value (3.4028235e+38)']],
    [{ type: 'float32', invalid: [-9999] }, -9999, [null, 'bad', 'no value (-9999)']],
    [{ type: 'float32' }, Number.NaN, [null, 'bad', 'no value (NaN)']],
    [{ type: 'float64', scale: 2 }, Number.POSITIVE_INFINITY, [null, 'bad', 'no value (Infinity)']],
    [{ limits: { min: 0, max: 300 }, scale: 0.1 }, 3001, [300.1, 'uncertain', 'above 300']],
    [{ limits: { min: 0, max: 300 }, scale: 0.1 }, 3000, 300],
    [{ limits: { min: 0 }, type: 'int16' }, -1, [-1, 'uncertain', 'below 0']],
    [{ limits: { max: 10 }, type: 'uint64' }, 11n, [11n, 'uncertain', 'above 10']],
    [{ states: new Map([[1, 'running']]) }, 1, 'running'],
    [{ states: new Map([[1, 'running']]) }, 7, [7, 'uncertain', 'unknown state 7']],
    [{ type: 'bool', states: new Map([[1, 'open']]) }, true, 'open'],
    [{ type: 'uint64', states: new Map([[1, 'open']]) }, 1n, 'open'],
    [{ states: new Map([[1, 'running']]), invalid: [255] }, 255, [null, 'bad', 'no value (0x00FF)']],
  ])('%o of %s is %o', (part, raw, expected) => {
    expect(scaled(part, raw)).toEqual(expected);
  });

  test('what the driver could not read stays as the driver said it', () => {
    const flaws = new Map<number, Flaw>([[0, { quality: 'bad', reason: 'timeout' }]]);
    const scaling = compileScaling([point({ scale: 0.1 }), point({ id: 'q', scale: 0.1 })]);
    expect(scaling.apply({ values: [null, 5], flaws })).toEqual({ values: [null, 0.5], flaws });
  });
});

describe('scale factors', () => {
  const power = point({ id: 'w', type: 'int16', scaleFrom: 'w_sf' });
  const factor = point({ id: 'w_sf', type: 'int16', kind: 'scale' });
  const plain = point({ id: 'n' });

  test('move the decimal point, may change between reads, and are not themselves given', () => {
    const scaling = compileScaling([factor, power, plain]);
    expect(scaling.points).toEqual([power, plain]);
    for (const [raw, exponent, value] of [
      [2301, -1, 230.1],
      [2301, 0, 2301],
      [23, 2, 2300],
      [23, -3, 0.023],
    ] as const) {
      const given = scaling.apply({ values: [exponent, raw, 9] });
      expect(given).toEqual({ values: [value, 9], flaws: undefined });
    }
  });

  test('combine with scale and offset', () => {
    const scaling = compileScaling([
      point({ id: 'e', type: 'uint32', scale: 0.001, offset: 1, scaleFrom: 'w_sf' }),
      factor,
    ]);
    expect(scaling.apply({ values: [12_345, -1] }).values).toEqual([2.2345]);
  });

  test.each<[string, Value, Map<number, Flaw> | undefined, string]>([
    ['not implemented', -32_768, undefined, 'scale factor w_sf: no value (0x8000)'],
    ['absurd', 77, undefined, 'scale factor w_sf: 77 is out of range'],
    ['unreadable', null, new Map([[2, { quality: 'bad', reason: 'timeout' }]]), 'scale factor w_sf: timeout'],
  ])('that are %s turn their points bad, and only those', (_, raw, flaws, reason) => {
    const scaling = compileScaling([plain, power, factor]);
    const given = scaling.apply({ values: [1, 2, raw], flaws });
    expect(given.values).toEqual([1, null]);
    expect([...(given.flaws ?? [])]).toEqual([[1, { quality: 'bad', reason }]]);
    expect(scaling.apply({ values: [1, 2, -1] })).toEqual({ values: [1, 0.2], flaws: undefined });
  });

  test("an invalid value of the factor's own counts too, whatever the order of points", () => {
    const own = { ...factor, invalid: [9] };
    const given = compileScaling([power, own]).apply({ values: [1, 9] });
    expect(given.flaws?.get(0)?.reason).toBe('scale factor w_sf: no value (0x0009)');
  });

  test('that are not among the points are said to be missing; withFactors adds them', () => {
    expect(
      compileScaling([power])
        .apply({ values: [1] })
        .flaws?.get(0)?.reason,
    ).toBe('scale factor w_sf: not read');
    expect(withFactors([power], [plain, power, factor])).toEqual([power, factor]);
    const done = [plain];
    expect(withFactors(done, [plain, power, factor])).toBe(done);
  });
});
