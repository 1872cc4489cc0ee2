/** What loading the OPC UA library costs: no key is made, and nothing keeps the process. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

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
