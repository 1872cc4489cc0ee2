import { expect, test } from 'vitest';
import { verifyPassword } from '../../src/config/password.js';
import { run } from '../support/command.js';

test('a password from a pipe becomes a hash, and is shown nowhere', async () => {
  const { code, stdout, stderr } = await run(['broker', 'password'], { input: 'open sesame\n' });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^"\$scrypt\$[^"\\]*"\n$/);
  expect(await verifyPassword('open sesame', JSON.parse(stdout))).toBe(true);
});

test('nothing is no password', async () => {
  const { code, stdout, stderr } = await run(['broker', 'password'], { input: '' });
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toContain('no password was given');
});

test('one on the command line is refused: others could read it there', async () => {
  const { code, stdout } = await run(['broker', 'password', 'secret'], { input: 'x\n' });
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
});
