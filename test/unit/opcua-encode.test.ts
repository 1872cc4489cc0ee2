/** What a server's variable takes of a raw value, by the type that it holds. */
import { describe, expect, test } from 'vitest';
import { BUILT_IN } from '../../drivers/opcua/built-in.js';
import { encode } from '../../drivers/opcua/encode.js';
import { Unfit } from '../../drivers/opcua/values.js';
import { Structure, type Value } from '../../src/model.js';

const [SCALAR, ARRAY, MATRIX] = [0, 1, 2];
const held = (type: string, arrayType: number, value: unknown = null, dimensions: readonly number[] | null = null) => ({
  dataType: BUILT_IN.get(type) ?? 0,
  arrayType,
  value,
  dimensions,
});
const json = (value: unknown): Value => Structure.of(value);

describe('a matrix', () => {
  test('comes as its rows, and goes as one list with its sizes', () => {
    expect(
      encode(
        held('Int32', MATRIX),
        json([
          [1, 2, 3],
          [4, 5, 6],
        ]),
      ),
    ).toMatchObject({
      arrayType: MATRIX,
      value: [1, 2, 3, 4, 5, 6],
      dimensions: [2, 3],
    });
    const cube = held('Int32', MATRIX, null, [1, 1, 1]);
    expect(encode(cube, json([[[1], [2]]]))).toMatchObject({ value: [1, 2], dimensions: [1, 2, 1] });
    expect(encode(cube, 7)).toMatchObject({ value: [7], dimensions: [1, 1, 1] });
  });

  test('with rows of several lengths is none', () => {
    expect(encode(held('Int32', MATRIX), json([[1, 2], [3]]))).toEqual(
      new Unfit('the rows of a matrix are of one length'),
    );
  });

  test('keeps its number of dimensions', () => {
    const why = 'is a matrix: write its rows as lists, one within the other for each dimension';
    for (const rows of [[1, 2], [[[1]]], [1, [2]]])
      expect(encode(held('Int32', MATRIX, null, [2, 2]), json(rows))).toEqual(new Unfit(why));
  });
});

const refused: [type: string, arrayType: number, raw: Value, why: string][] = [
  ['Byte', SCALAR, 256, '256 does not fit Byte'],
  ['Int64', SCALAR, 2n ** 63n, '9223372036854775808 does not fit Int64'],
  ['Double', SCALAR, Number.NaN, 'NaN does not fit Double'],
  ['Float', SCALAR, 1e300, '1e+300 does not fit Float'],
  ['Double', ARRAY, json([1, 'x']), 'x does not fit Double'],
  ['Double', SCALAR, json([1]), '[1] does not fit Double'],
  ['DateTime', SCALAR, '5', '5 does not fit DateTime'],
  ['DateTime', SCALAR, '03/04/2026', '03/04/2026 does not fit DateTime'],
  ['DateTime', SCALAR, '2026-01-02T03:04:05', '2026-01-02T03:04:05 does not fit DateTime'],
  ['DateTime', SCALAR, true, 'true does not fit DateTime'],
  ['ByteString', SCALAR, 'not base64!', 'not base64! does not fit ByteString'],
  ['NodeId', SCALAR, 'i=1', 'cannot be written: a NodeId is only read'],
  ['ExtensionObject', SCALAR, json({ A: 1 }), 'holds nothing now: its fields are not known, so it cannot be written'],
];
test.each(refused)('%s (%i) refuses %s', (type, arrayType, raw, why) => {
  expect(encode(held(type, arrayType), raw)).toEqual(new Unfit(why));
});

test.each(['2026-01-02T03:04:05Z', '2026-01-02T04:04:05.000+01:00', 1_767_323_045_000, 1_767_323_045_000n])(
  'a DateTime as %s',
  (raw) => {
    expect(encode(held('DateTime', SCALAR), raw)).toMatchObject({ value: new Date(1_767_323_045_000) });
  },
);
