/** Writing through a session. */
import { afterEach, describe, expect, test } from 'vitest';
import type { ModbusAddress } from '../../drivers/modbus/schema.js';
import type { Point } from '../../src/model.js';
import { closeAll, openBench as setUp } from '../support/modbus-bench.js';
import { frame, type ModbusPeer, refusing, truthful } from '../support/modbus-peer.js';
import { deviceOf, pointOf } from '../support/modbus-points.js';

afterEach(closeAll);

describe('writing', () => {
  const signal = new AbortController().signal;
  const writable = (type: Point['type'], keys: Record<string, unknown>): Point<ModbusAddress> =>
    pointOf(type, { address: 3, access: 'read-write', ...keys });
  const pdus = (peer: ModbusPeer): string[] => peer.asked.map(({ pdu }) => pdu.toString('hex'));

  test('each kind by its own function', async () => {
    const { peer, session } = await setUp();
    const device = deviceOf([]);
    await session.write?.(device, writable('bool', { table: 'coil' }), true, signal);
    await session.write?.(device, writable('bool', { table: 'coil' }), false, signal);
    await session.write?.(device, writable('int16', {}), -2, signal);
    await session.write?.(device, writable('float32', { order: 'CDAB' }), 230.5, signal);
    expect(pdus(peer)).toEqual(['050003ff00', '0500030000', '060003fffe', '1000030002048000' + '4366']);
  });

  test('the function for many, where the device has not the one for one', async () => {
    const { peer, session } = await setUp((asked) => (asked.code < 15 ? refusing(asked, 1) : truthful(asked)));
    await session.write?.(deviceOf([]), writable('bool', { table: 'coil' }), true, signal);
    await session.write?.(deviceOf([]), writable('uint16', {}), 7, signal);
    expect(pdus(peer).filter((pdu) => /^(0f|10)/.test(pdu))).toEqual(['0f000300010101', '100003000102' + '0007']);
  });

  test('bits by a mask, in the device itself', async () => {
    const { peer, session } = await setUp((asked) => frame(asked.id, asked.unit, asked.pdu));
    const device = deviceOf([]);
    await session.write?.(device, writable('bool', { bit: 4 }), true, signal);
    await session.write?.(device, writable('bool', { bit: 4 }), false, signal);
    await session.write?.(device, writable('uint16', { bits: [8, 11] }), 0b0101, signal);
    await session.write?.(device, writable('bool', { bit: 0, order: 'BADC' }), true, signal);
    // Function, address, AND, OR: register = (register AND and) OR (or AND NOT and).
    expect(pdus(peer)).toEqual([
      '160003' + 'ffef' + '0010',
      '160003' + 'ffef' + '0000',
      '160003' + 'f0ff' + '0500',
      '160003' + 'feff' + '0100',
    ]);
  });

  test('a device without masks is asked for one once, then its register is read and written', async () => {
    const { peer, session } = await setUp((asked) => (asked.code === 22 ? refusing(asked, 1) : truthful(asked)));
    const device = deviceOf([]);
    for (const on of [true, false]) await session.write?.(device, writable('bool', { bit: 4 }), on, signal);
    expect(pdus(peer).map((pdu) => pdu.slice(0, 2))).toEqual(['16', '03', '06', '03', '06']);
  });

  test('a device that is silent about masks is not asked for one again', async () => {
    const { peer, session } = await setUp((asked) => (asked.code === 22 ? undefined : truthful(asked)), {
      timeout: '20ms',
    });
    const device = deviceOf([]);
    const write = async (): Promise<void> => session.write?.(device, writable('bool', { bit: 4 }), true, signal);
    await expect(write()).rejects.toMatchObject({ code: 'DEVICE_UNAVAILABLE' });
    await write();
    expect(pdus(peer).map((pdu) => pdu.slice(0, 2))).toEqual(['16', '03', '06']);
  });

  test('a bit by reading its register first; two writes never cross', async () => {
    let register = 0xa500;
    const { session } = await setUp(
      (asked) => {
        if (asked.code === 6) register = asked.count;
        const reply = asked.code === 22 ? refusing(asked, 1) : truthful(asked);
        if (asked.code === 3) reply.writeUInt16BE(register, 9);
        setImmediate(() => asked.socket.write(reply));
        return undefined;
      },
      { in_flight: 4 },
    );
    const device = deviceOf([]);
    await Promise.all([0, 1, 2, 3].map((bit) => session.write?.(device, writable('bool', { bit }), true, signal)));
    expect(register.toString(16)).toBe('a50f');
  });

  test('refusals say who refused what', async () => {
    const { peer, session } = await setUp((asked) => refusing(asked, 3));
    const write = async (point: Point<ModbusAddress>, raw: number): Promise<void> =>
      session.write?.(deviceOf([]), point, raw, signal);
    const refused = (message: string): object => ({ code: 'WRITE_REFUSED', kind: 'reject', message });
    await expect(write(writable('uint16', {}), 1)).rejects.toMatchObject(
      refused('holding-3 cannot be written: exception 03 (illegal data value)'),
    );
    await expect(write(writable('uint16', {}), -1)).rejects.toMatchObject(
      refused('holding-3 cannot be written: -1 is outside of 0 to 65535'),
    );
    await expect(write(pointOf('uint16', { address: 1 }), 1)).rejects.toMatchObject(
      refused('holding-1 cannot be written: its access is read'),
    );
    peer.answer = (asked) => refusing(asked, 6);
    const later = (message: string): object => ({ code: 'DEVICE_UNAVAILABLE', kind: 'retry', message });
    await expect(write(writable('uint16', {}), 1)).rejects.toMatchObject(
      later('holding-3 was not written: exception 06 (server device busy)'),
    );
    peer.answer = (asked) => refusing(asked, 5);
    await expect(write(writable('uint16', {}), 1)).rejects.toMatchObject(
      later('whether holding-3 was written is not known: exception 05 (acknowledge)'),
    );
  });

  test('a write without reply may or may not have been taken: later', async () => {
    const { session } = await setUp(() => undefined, { timeout: '30ms' });
    await expect(session.write?.(deviceOf([]), writable('uint16', {}), 1, signal)).rejects.toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: 'whether holding-3 was written is not known: timeout',
    });
  });
});
