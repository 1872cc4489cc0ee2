/** Examples of profiles: words on the wire, decoded by the codec that decodes replies. */
import type { Flaw, Point, Samples, Value } from '../../src/model.js';
import { codecOf } from './codec.js';
import { isBitTable, type ModbusAddress, type ModbusExample, type Table } from './schema.js';

/** One raw value for each point that the example covers; the others are bad. */
export function decodeExample(points: readonly Point<ModbusAddress>[], example: ModbusExample): Samples {
  const cells = new Map<string, number>();
  const put = (table: Table, blocks: Record<string, readonly (number | boolean)[]> = {}): void => {
    for (const [from, contents] of Object.entries(blocks))
      contents.forEach((content, offset) => {
        cells.set(`${table} ${Number(from) + offset}`, Number(content));
      });
  };
  put('input', example.words);
  put('holding', example.words);
  put('coil', example.bits);
  put('discrete', example.bits);
  put('input', example.input);
  put('holding', example.holding);
  put('coil', example.coil);
  put('discrete', example.discrete);

  const values: Value[] = [];
  const flaws = new Map<number, Flaw>();
  points.forEach((point, index) => {
    const { table, address } = point.address;
    const codec = codecOf(point);
    const contents = Array.from({ length: codec.span }, (_, offset) => cells.get(`${table} ${address + offset}`));
    const missing = contents.indexOf(undefined);
    const value = missing < 0 ? codec.decode(pack(contents as number[], isBitTable(table)), 0) : null;
    values.push(value);
    if (missing >= 0) flaws.set(index, { quality: 'bad', reason: `the example has no ${table} ${address + missing}` });
    else if (value === null) flaws.set(index, { quality: 'bad', reason: 'not a number' });
  });
  return { values, answered: true, flaws: flaws.size > 0 ? flaws : undefined };
}

function pack(contents: number[], areBits: boolean): Buffer {
  if (areBits) return Buffer.from(contents);
  const data = Buffer.alloc(contents.length * 2);
  contents.forEach((word, index) => {
    data.writeUInt16BE(word, index * 2);
  });
  return data;
}
