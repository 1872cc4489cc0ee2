/** The simulator, read by modbus-serial's own client: nothing of ours stands on both sides. */
import { createRequire } from 'node:module';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { modbus } from '../../drivers/modbus/index.js';
import type { ModbusAddress } from '../../drivers/modbus/schema.js';
import type { Simulator } from '../../src/driver.js';
import type { Point } from '../../src/model.js';
import { deviceOf, pointOf } from '../support/modbus-points.js';

interface Client {
  connectTCP(host: string, options: { port: number }): Promise<void>;
  setID(unit: number): void;
  setTimeout(milliseconds: number): void;
  readHoldingRegisters(address: number, count: number): Promise<{ data: number[]; buffer: Buffer }>;
  readInputRegisters(address: number, count: number): Promise<{ data: number[]; buffer: Buffer }>;
  readCoils(address: number, count: number): Promise<{ data: boolean[] }>;
  readDiscreteInputs(address: number, count: number): Promise<{ data: boolean[] }>;
  writeCoil(address: number, on: boolean): Promise<unknown>;
  writeCoils(address: number, on: boolean[]): Promise<unknown>;
  writeRegister(address: number, word: number): Promise<unknown>;
  writeRegisters(address: number, words: number[]): Promise<unknown>;
  close(then: () => void): void;
}
const ModbusRTU = createRequire(import.meta.url)('modbus-serial') as new () => Client;

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  for (const close of closing.splice(0).reverse()) await close();
});

const METER: Point<ModbusAddress>[] = [
  pointOf('float32', { table: 'input', address: 0, id: 'voltage', unit: 'V' }),
  pointOf('float32', { table: 'input', address: 2, id: 'frequency', unit: 'Hz', order: 'CDAB' }),
  pointOf('uint32', { table: 'input', address: 4, id: 'energy', unit: 'kWh', kind: 'counter', scale: 0.1 }),
  pointOf('int16', { table: 'input', address: 10, id: 'power', unit: 'W', scaleFrom: 'power_sf' }),
  pointOf('int16', { table: 'input', address: 11, id: 'power_sf', kind: 'scale' }),
  pointOf('uint16', {
    table: 'input',
    address: 12,
    id: 'state',
    states: new Map([
      [2, 'off'],
      [5, 'on'],
    ]),
  }),
  pointOf('string', { table: 'input', address: 20, id: 'serial', length: 8 }),
  pointOf('int16', {
    address: 0,
    id: 'target',
    unit: 'Cel',
    scale: 0.1,
    access: 'read-write',
    limits: { min: 5, max: 30 },
  }),
  pointOf('bool', { address: 1, id: 'quiet', bit: 4, access: 'read-write' }),
  pointOf('bool', { table: 'coil', address: 0, id: 'pump', access: 'read-write' }),
  pointOf('bool', { table: 'coil', address: 1, id: 'heater', access: 'read-write' }),
  pointOf('bool', { table: 'discrete', address: 7, id: 'door' }),
];

async function setUp(units: number[] = [1]): Promise<{ simulator: Simulator; client: Client }> {
  const devices = units.map((unit) => deviceOf(METER, { unit }, `meter-${unit}`));
  const simulator = await modbus.simulate?.(devices, { host: '127.0.0.1', port: 0 });
  if (!simulator) throw new Error('the driver has no simulator');
  const client = new ModbusRTU();
  client.setTimeout(5_000);
  await client.connectTCP('127.0.0.1', { port: simulator.port });
  client.setID(1);
  closing.push(simulator.close, () => new Promise((resolve) => client.close(resolve)));
  return { simulator, client };
}

describe('values', () => {
  test('are plausible for their unit, through the same scaling, inverted', async () => {
    const { client } = await setUp();
    const { buffer, data } = await client.readInputRegisters(0, 6);
    expect(Math.abs(buffer.readFloatBE(0) - 230)).toBeLessThan(10);
    const swapped = Buffer.from([...buffer.subarray(6, 8), ...buffer.subarray(4, 6)]);
    expect(Math.abs(swapped.readFloatBE(0) - 50)).toBeLessThan(0.1);
    expect(data[4]! * 65_536 + data[5]!).toBeGreaterThan(1_000);
    const { buffer: more } = await client.readInputRegisters(10, 3);
    const watts = more.readInt16BE(0) * 10 ** more.readInt16BE(2);
    expect(Math.abs(watts - 1_850)).toBeLessThan(1_000);
    expect([2, 5]).toContain(more.readUInt16BE(4));
    expect((await client.readInputRegisters(20, 8)).buffer.toString('latin1')).toMatch(/^\d{8}\0{8}$/);
    expect((await client.readHoldingRegisters(0, 1)).data[0]).toBe(240);
  });

  test('move; counters only grow; the same device starts the same', async () => {
    const first = await setUp();
    const second = await setUp();
    const started = performance.now();
    const clock = vi.spyOn(performance, 'now');
    const read = async (client: Client, seconds: number): Promise<Buffer> => {
      clock.mockImplementation(() => started + seconds * 1000);
      return (await client.readInputRegisters(0, 6)).buffer;
    };
    expect((await read(first.client, 0)).subarray(8)).toEqual((await read(second.client, 0)).subarray(8));
    const seen: Buffer[] = [];
    for (let hour = 1; hour <= 24; hour += 1) seen.push(await read(first.client, hour * 3_607));
    const energies = seen.map((buffer) => buffer.readUInt32BE(8));
    expect(energies).toEqual([...energies].sort((a, b) => a - b));
    expect(energies.at(-1)).toBeGreaterThan(energies[0] ?? Infinity);
    expect(new Set(seen.map((buffer) => buffer.readFloatBE(0))).size).toBeGreaterThan(20);
  });

  test('units are devices of their own', async () => {
    const { client } = await setUp([1, 7]);
    const one = await client.readInputRegisters(0, 2);
    client.setID(7);
    expect((await client.readInputRegisters(0, 2)).data).not.toEqual(one.data);
    client.setID(8);
    await expect(client.readInputRegisters(0, 2)).rejects.toMatchObject({ modbusCode: 11 });
  });
});

describe('requests', () => {
  test('registers without a point answer exception 02, wrong quantities 03', async () => {
    const { client } = await setUp();
    await expect(client.readInputRegisters(6, 1)).rejects.toMatchObject({ modbusCode: 2 });
    await expect(client.readInputRegisters(4, 3)).rejects.toMatchObject({ modbusCode: 2 });
    await expect(client.readInputRegisters(65_535, 2)).rejects.toMatchObject({ modbusCode: 2 });
    await expect(client.readInputRegisters(0, 126)).rejects.toMatchObject({ modbusCode: 3 });
    await expect(client.readHoldingRegisters(0, 0)).rejects.toMatchObject({ modbusCode: 3 });
    await expect(client.readDiscreteInputs(6, 1)).rejects.toMatchObject({ modbusCode: 2 });
    expect((await client.readDiscreteInputs(7, 1)).data).toHaveLength(8);
  });

  test('what is written stays, by each writing function', async () => {
    const { client } = await setUp();
    await client.writeRegister(0, 215);
    await client.writeRegisters(1, [0x10]);
    await client.writeCoil(0, true);
    await client.writeCoils(0, [true, false]);
    const clock = performance.now();
    vi.spyOn(performance, 'now').mockImplementation(() => clock + 1_000_000);
    expect((await client.readHoldingRegisters(0, 2)).data).toEqual([215, 0x10]);
    expect((await client.readCoils(0, 2)).data.slice(0, 2)).toEqual([true, false]);
    await client.writeCoil(1, true);
    expect((await client.readCoils(0, 2)).data.slice(0, 2)).toEqual([true, true]);
    await expect(client.writeRegister(5, 1)).rejects.toMatchObject({ modbusCode: 2 });
    await expect(client.writeCoil(2, true)).rejects.toMatchObject({ modbusCode: 2 });
  });
});

test('two devices with one unit id cannot share a simulator; a taken port is told', async () => {
  const twice = [deviceOf(METER, {}, 'a'), deviceOf(METER, {}, 'b')];
  const options = { host: '127.0.0.1', port: 0 };
  await expect(modbus.simulate?.(twice, options)).rejects.toMatchObject({ code: 'CONFIG_CONFLICT' });
  const { simulator } = await setUp();
  await expect(modbus.simulate?.([deviceOf(METER)], { ...options, port: simulator.port })).rejects.toMatchObject({
    code: 'LINK_DOWN',
    message: expect.stringContaining('EADDRINUSE'),
  });
});
