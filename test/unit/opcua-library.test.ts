/** The OPC UA library as it is loaded: no key is made, nothing keeps the process, and a status that it does not know keeps its severity. */
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { expect, test, vi } from 'vitest';
import { loadLibrary } from '../../drivers/opcua/library.js';
import { flawOf } from '../../drivers/opcua/status.js';

const LIBRARY = fileURLToPath(new URL('../../drivers/opcua/library.js', import.meta.url));
const COUNT = `
import { subtle } from 'node:crypto';
let made = 0;
const make = subtle.generateKey;
Object.getPrototypeOf(subtle).generateKey = function (...words) {
  made += 1;
  return make.apply(this, words);
};
await (await import(process.argv[1])).loadLibrary();
process.stdout.write(String(made));
`;

test('no key is made as it is loaded, and the process ends by itself', () => {
  const words = ['--input-type=module', '-e', COUNT, '--', LIBRARY];
  expect(execFileSync(process.execPath, words, { encoding: 'utf8', timeout: 20_000 })).toBe('0');
});

test('a status that the library does not know keeps its severity, and the console is not told', async () => {
  const { DataValue } = await loadLibrary();
  const ours = createRequire(import.meta.url);
  const { BinaryStream } = createRequire(ours.resolve('node-opcua-client'))('node-opcua-binary-stream');
  const said = vi.spyOn(console, 'warn');
  const flawWith = (status: number) => {
    const bytes = Buffer.from([2, 0, 0, 0, 0]);
    bytes.writeUInt32LE(status, 1);
    const value = new DataValue(null as never);
    (value as unknown as { decode(stream: object): void }).decode(new BinaryStream(bytes));
    return flawOf(value.statusCode);
  };
  expect(flawWith(0x00fe_0000)).toBeUndefined();
  expect(flawWith(0x40fe_0000)).toEqual({ quality: 'uncertain', reason: '0x40FE0000' });
  expect(flawWith(0x80fe_0000)).toEqual({ quality: 'bad', reason: '0x80FE0000' });
  expect(flawWith(0x808b_0480)?.reason).toBe('device failure (BadDeviceFailure)');
  expect(said).not.toHaveBeenCalled();
});
