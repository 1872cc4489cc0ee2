/** What loading the OPC UA library costs: no key is made, and nothing keeps the process. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const LIBRARY = fileURLToPath(new URL('../../drivers/opcua/library.js', import.meta.url));
const COUNT = `
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
let made = 0;
for (const name of ['generateKeyPair', 'generateKeyPairSync']) {
  const make = crypto[name];
  crypto[name] = (...words) => (made++, make(...words));
}
syncBuiltinESMExports();
await (await import(process.argv[1])).loadLibrary();
process.stdout.write(String(made));
`;

test('no key is made as it is loaded, and the process ends by itself', () => {
  const words = ['--input-type=module', '-e', COUNT, '--', LIBRARY];
  expect(execFileSync(process.execPath, words, { encoding: 'utf8', timeout: 20_000 })).toBe('0');
});
