/** Looking round: who is on a wire, and what registers may mean. */
import { afterEach, describe, expect, test } from 'vitest';
import { modbus } from '../../drivers/modbus/index.js';
import type { ModbusAddress, ModbusDevice } from '../../drivers/modbus/schema.js';
import type { FoundDevice, Session } from '../../src/driver.js';
import { driverContext } from '../support/driver-context.js';
import { lineFrame, onLine, startLinePeer } from '../support/line-peer.js';
import { type Answer, type Asked, frame, refusing, startModbusPeer, truthful } from '../support/modbus-peer.js';
import { deviceOf, pointOf } from '../support/modbus-points.js';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
const log = { debug() {}, info() {} } as never;
const signal = new AbortController().signal;

async function open(
  answer: (asked: Asked) => Answer,
  framing: 'tcp' | 'rtu' = 'tcp',
): Promise<{ session: Session<ModbusDevice, ModbusAddress>; asked: Asked[] }> {
  const peer = framing === 'tcp' ? await startModbusPeer(answer) : await startLinePeer('rtu', answer);
  const connection = modbus.connection.parse({ tcp: `127.0.0.1:${peer.port}`, framing, timeout: '15ms' });
  const session = await modbus.open(connection, driverContext(undefined, { log }));
  closing.push(peer.close, () => session.close());
  return { session, asked: peer.asked };
}

async function scan(session: Session, first: number, last: number): Promise<FoundDevice[]> {
  const found: FoundDevice[] = [];
  for (let place = first; place <= last; place += 1) {
    const device = await session.scan?.(place, signal);
    if (device) found.push(device);
  }
  return found;
}

/** Objects as function 43/14 tells them, from the one asked for on, so many at once. */
const telling =
  (objects: Record<number, string>, most = 9) =>
  ({ id, unit, pdu }: Asked): Buffer => {
    const ids = Object.keys(objects)
      .map(Number)
      .filter((object) => object >= (pdu[3] as number));
    const now = ids.slice(0, most);
    const body = now.flatMap((object) => [
      object,
      (objects[object] as string).length,
      ...Buffer.from(objects[object] as string),
    ]);
    const more = ids.length > now.length;
    return frame(id, unit, [
      43,
      14,
      1,
      1,
      more ? 0xff : 0,
      more ? (ids[now.length] as number) : 0,
      now.length,
      ...body,
    ]);
  };

describe('a scan', () => {
  test.each(['tcp', 'rtu'] as const)(
    'finds who answers, if only to refuse, and asks who it is: %s',
    async (framing) => {
      const { session } = await open((asked) => {
        if (![2, 5, 6].includes(asked.unit)) return undefined;
        if (asked.code === 43 && asked.unit === 2) return telling({ 0: 'Acme', 1: 'M-1', 2: 'V2.1\0' })(asked);
        return asked.unit === 5 || asked.code === 43 ? refusing(asked, 1) : truthful(asked);
      }, framing);
      expect(await scan(session, 1, 7)).toEqual([
        { settings: { unit: 2 }, identity: { vendor: 'Acme', product: 'M-1', revision: 'V2.1' } },
        { settings: { unit: 5 }, identity: {} },
        { settings: { unit: 6 }, identity: {} },
      ]);
    },
  );

  test('takes an identity in parts, and not one without end', async () => {
    const parts = telling({ 0: 'Acme', 1: 'M-1', 2: 'V2.1', 4: 'Meter' }, 1);
    const { session, asked } = await open((one) => {
      if (one.code !== 43) return truthful(one);
      return one.unit === 1 ? parts(one) : frame(one.id, one.unit, [43, 14, 1, 1, 0xff, (one.pdu[3] as number) + 1, 0]);
    });
    expect(await scan(session, 1, 2)).toMatchObject([
      { identity: { vendor: 'Acme', product: 'M-1', revision: 'V2.1', name: 'Meter' } },
      { identity: {} },
    ]);
    expect(asked.filter(({ unit, code }) => unit === 2 && code === 43).length).toBeLessThan(20);
  });

  test.each([
    ['more objects than there are', [43, 14, 1, 1, 0, 0, 3, 0, 4, 0x41, 0x63, 0x6d, 0x65]],
    ['an object that ends too early', [43, 14, 1, 1, 0, 0, 1, 0, 9, 0x41]],
    ['bytes behind the last object', [43, 14, 1, 1, 0, 0, 1, 0, 1, 0x41, 7, 7]],
    ['another kind of answer', [43, 13, 1, 1, 0, 0, 0]],
    ['hardly anything', [43, 14]],
  ])('an identity with %s is none, and the scan goes on: tcp', async (_what, pdu) => {
    const { session } = await open((asked) => {
      if (asked.code !== 43) return truthful(asked);
      return asked.unit === 1 ? frame(asked.id, asked.unit, pdu) : telling({ 0: 'Acme' })(asked);
    });
    expect(await scan(session, 1, 2)).toEqual([
      { settings: { unit: 1 }, identity: {} },
      { settings: { unit: 2 }, identity: { vendor: 'Acme' } },
    ]);
  });

  test('a wire on which nobody answers is not given up', async () => {
    const { session } = await open(() => undefined);
    expect(await scan(session, 1, 9)).toEqual([]);
  });

  test('noise in an identity does not harm', async () => {
    const { session } = await open((asked) => {
      if (asked.code !== 43) return truthful(asked);
      const reply = lineFrame('rtu', telling({ 0: 'Acme' })(asked).subarray(6));
      return onLine([asked.unit, 43, 14, 9], reply);
    }, 'rtu');
    expect(await scan(session, 1, 1)).toMatchObject([{ identity: { vendor: 'Acme' } }]);
  });
});

describe('decoding', () => {
  /** 230.5 as a float32 in CDAB at 52, the number 70000 in ABCD at 55; 50 is not there. */
  const words: Record<number, number> = { 51: 0x0007, 52: 0x8000, 53: 0x4366, 54: 0, 55: 0x0001, 56: 0x1170 };
  const answer = (asked: Asked): Answer => {
    const word = words[asked.address];
    return word === undefined || asked.code !== 4
      ? refusing(asked, 2)
      : frame(asked.id, asked.unit, [4, 2, word >> 8, word & 0xff]);
  };
  const device = deviceOf([pointOf('uint16', { table: 'input', address: 0 })]);
  const decode = async (place: string) =>
    (await (await open(answer)).session.decode?.(device, place, signal)) ?? never();
  const never = (): never => {
    throw new Error('the driver cannot decode');
  };

  test('shows every type in every order, at the address and its neighbours', async () => {
    const { places, raw, rows } = await decode('52');
    expect(places).toEqual(['input 51 (0x0033)', 'input 52 (0x0034)', 'input 53 (0x0035)']);
    expect(raw).toEqual(['0007', '8000', '4366']);
    const row = (as: string) => rows.find((each) => each.as === as);
    expect(row('float32 CDAB')).toMatchObject({ keys: { type: 'float32', order: 'CDAB' } });
    expect(row('float32 CDAB')?.values[1]).toBe(230.5);
    expect(row('uint16 AB')).toEqual({ as: 'uint16 AB', keys: { type: 'uint16' }, values: [7, 0x8000, 0x4366] });
    expect(row('int16 BA')?.values).toEqual([0x0700, 0x80, 0x6643]);
    expect(rows).toHaveLength(2 * 2 + 6 * 4);
  });

  test('what is not there is left out; where the address itself is not, it says so', async () => {
    const { raw, rows } = await decode('input:0x37');
    expect(raw).toEqual(['0000', '0001', '1170']);
    expect(rows.find(({ as }) => as === 'uint32 ABCD')?.values).toEqual([1, 70_000, null]);
    await expect(decode('50')).rejects.toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: expect.stringContaining('input 50: exception 02 (illegal data address)'),
    });
  });

  test.each(['x', '70000', 'coil:3', '1.5'])('%s is no place', async (place) => {
    await expect(decode(place)).rejects.toMatchObject({ code: 'USAGE' });
  });
});
