/** What a server's variable takes of a raw value, by the type that it holds. */
import { describe, expect, test } from 'vitest';
import { BUILT_IN } from '../../drivers/opcua/built-in.js';
import { encode } from '../../drivers/opcua/encode.js';
import { Unfit } from '../../drivers/opcua/values.js';
import { Structure, type Value } from '../../src/model.js';

const [SCALAR, ARRAY, MATRIX] = [0, 1, 2];
const held = (type: string, arrayType: number, value: unknown = null) => ({
  dataType: BUILT_IN.get(type) ?? 0,
  arrayType,
  value,
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
    expect(encode(held('Int32', MATRIX), json([[[1], [2]]]))).toMatchObject({ value: [1, 2], dimensions: [1, 2, 1] });
  });

  test('with rows of several lengths is none', () => {
    expect(encode(held('Int32', MATRIX), json([[1, 2], [3]]))).toEqual(
      new Unfit('the rows of a matrix are of one length'),
    );
  });
});

const refused: [type: string, arrayType: number, raw: Value, why: string][] = [
  ['Byte', SCALAR, 256, '256 does not fit Byte'],
  ['Int64', SCALAR, 2n ** 63n, '9223372036854775808 does not fit Int64'],
  ['Double', SCALAR, Number.NaN, 'NaN does not fit Double'],
  ['Float', SCALAR, 1e300, '1e+300 does not fit Float'],
  ['Double', ARRAY, json([1, 'x']), 'x does not fit Double'],
  ['Double', SCALAR, json([1]), '[1] does not fit Double'],
  ['NodeId', SCALAR, 'i=1', 'cannot be written: a NodeId is only read'],
  ['ExtensionObject', SCALAR, json({ A: 1 }), 'holds nothing now: its fields are not known, so it cannot be written'],
];
test.each(refused)('%s (%i) refuses %s', (type, arrayType, raw, why) => {
  expect(encode(held(type, arrayType), raw)).toEqual(new Unfit(why));
});
