/** Data changes are read as the library reads them, but for what it gets wrong. */
import { createRequire } from 'node:module';
import { afterAll, describe, expect, test } from 'vitest';
import { type Change, makeChanges } from '../../drivers/opcua/changes.js';
import { loadLibrary } from '../../drivers/opcua/library.js';
import { flawOf } from '../../drivers/opcua/status.js';

const { DataChangeNotification, StatusCodes, Variant } = await loadLibrary();
const ours = createRequire(import.meta.url);
const { BinaryStream } = createRequire(ours.resolve('node-opcua-client'))('node-opcua-binary-stream');
const original = DataChangeNotification.prototype.decode;
afterAll(() => {
  DataChangeNotification.prototype.decode = original;
});

/** A notification's bytes, read by the library and by us. */
function readTwice(bytes: Buffer): { library: InstanceType<typeof DataChangeNotification>; changes: Change[] } {
  const read = () => {
    const notification = new DataChangeNotification(null as never);
    const stream = new BinaryStream(bytes);
    notification.decode(stream);
    expect(stream.length).toBe(bytes.length);
    return notification;
  };
  DataChangeNotification.prototype.decode = original;
  const library = read();
  makeChanges();
  return { library, changes: read().monitoredItems as unknown as Change[] };
}

function bytesOf(values: readonly object[]): Buffer {
  const monitoredItems = values.map((value, index) => ({ clientHandle: index + 7, value }));
  const notification = new DataChangeNotification({ monitoredItems: monitoredItems as never });
  const stream = new BinaryStream(100_000);
  notification.encode(stream);
  return stream.buffer.subarray(0, stream.length);
}

const now = new Date(Date.UTC(2026, 10, 27, 9, 30, 15, 123));
const held: readonly [dataType: string, value: unknown, arrayType?: string][] = [
  ['Boolean', true],
  ['Boolean', false],
  ['SByte', -128],
  ['Byte', 255],
  ['Int16', -32_768],
  ['UInt16', 65_535],
  ['Int32', -2_147_483_648],
  ['UInt32', 4_294_967_295],
  ['Int64', [0xffff_ffff, 0xffff_fffe]],
  ['UInt64', [0x7fff_ffff, 1]],
  ['Float', 1.5],
  ['Double', -0.1],
  ['Double', Number.NaN],
  ['String', 'Pressé'],
  ['String', null],
  ['DateTime', now],
  ['Guid', '72962B91-FA75-4AE6-8D28-B404DC7DAF63'],
  ['ByteString', Buffer.from('hello')],
  ['LocalizedText', { text: 'Presse', locale: 'de' }],
  ['StatusCode', StatusCodes.BadDeviceFailure],
  ['Double', [1, 2, 3], 'Array'],
  ['Int32', [], 'Array'],
];

describe('what the library reads', () => {
  test.each(held)('%s %s', (dataType, value, arrayType = 'Scalar') => {
    const variant = new Variant({ dataType, value, arrayType } as never);
    const values = [
      { value: variant },
      { value: variant, sourceTimestamp: now, sourcePicoseconds: 900_000 },
      { value: variant, serverTimestamp: now, serverPicoseconds: 10 },
      { value: variant, statusCode: StatusCodes.UncertainLastUsableValue, sourceTimestamp: now, serverTimestamp: now },
    ];
    const { library, changes } = readTwice(bytesOf([...values, { statusCode: StatusCodes.BadNoCommunication }]));
    const read = library.monitoredItems?.map((item) => ({
      clientHandle: item.clientHandle,
      status: item.value.statusCode.name,
      at: item.value.sourceTimestamp?.getTime(),
      value: { ...item.value.value },
    }));
    expect(
      changes.map(({ clientHandle, statusCode, at, value }) => ({
        clientHandle,
        status: statusCode.name,
        at,
        value: { dimensions: null, ...value },
      })),
    ).toEqual(read);
  });
});

test.each([
  Date.UTC(1970, 0, 1, 0, 0, 0, 1),
  Date.UTC(2038, 0, 19, 3, 14, 7, 999),
  Date.UTC(2106, 1, 7, 6, 28, 16),
  Date.UTC(9999, 11, 31, 23, 59, 59, 999),
])('times to the millisecond: %d', (at) => {
  const value = { value: new Variant({ dataType: 'Double', value: 1 }), sourceTimestamp: new Date(at) };
  expect(readTwice(bytesOf([value])).changes[0]?.at).toBe(at);
});

test('a clock that was never set has no time', () => {
  const value = { value: new Variant({ dataType: 'Double', value: 1 }), sourceTimestamp: new Date(Date.UTC(1601, 0)) };
  expect(readTwice(bytesOf([value])).changes[0]?.at).toBeUndefined();
});

test('a list that is said to be longer than its message is refused', () => {
  const bytes = bytesOf([{ value: new Variant({ dataType: 'Double', value: 1 }) }]);
  bytes.writeUInt32LE(0x7fff_ffff, 0);
  makeChanges();
  expect(() => new DataChangeNotification(null as never).decode(new BinaryStream(bytes))).toThrow();
});

test('a status that the library does not know keeps its severity', () => {
  const bytes = bytesOf([{ value: new Variant({ dataType: 'Byte', value: 1 }), statusCode: StatusCodes.BadTimeout }]);
  const flawWith = (status: number) => {
    const changed = Buffer.from(bytes);
    changed.writeUInt32LE(status, bytes.indexOf(Buffer.from('00000a80', 'hex')));
    makeChanges();
    const notification = new DataChangeNotification(null as never);
    notification.decode(new BinaryStream(changed));
    const [change] = notification.monitoredItems as unknown as Change[];
    return flawOf(change?.statusCode as never);
  };
  expect(flawWith(0x00fe_0000)).toBeUndefined();
  expect(flawWith(0x40fe_0000)).toEqual({ quality: 'uncertain', reason: '0x40FE0000' });
  expect(flawWith(0x80fe_0000)).toEqual({ quality: 'bad', reason: '0x80FE0000' });
});
