import { expect, test } from 'vitest';
import { hashPassword, isHashedPassword, verifyPassword } from '../../src/config/password.js';

test('a password is known again by its hash, and no other is', async () => {
  const hashed = await hashPassword('open sesame');
  expect(hashed).toMatch(/^\$scrypt\$ln=14,r=8,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  expect(isHashedPassword(hashed)).toBe(true);
  expect(await verifyPassword('open sesame', hashed)).toBe(true);
  expect(await verifyPassword(Buffer.from('open sesame'), hashed)).toBe(true);
  expect(await verifyPassword('open sesame ', hashed)).toBe(false);
  expect(await verifyPassword('', hashed)).toBe(false);
});

test('the same password has another hash each time', async () => {
  expect(await hashPassword('x')).not.toBe(await hashPassword('x'));
});

test('hashes of other programs are understood: RFC 7914 §12, in the PHC string format', async () => {
  // N = 1024, r = 8, p = 16 takes more lanes than are allowed; N = 16384, r = 8, p = 1 with the salt "SodiumChloride" is the third vector.
  const salt = Buffer.from('SodiumChloride').toString('base64').replace(/=+$/, '');
  const hash = Buffer.from(
    '7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887',
    'hex',
  )
    .toString('base64')
    .replace(/=+$/, '');
  expect(await verifyPassword('pleaseletmein', `$scrypt$ln=14,r=8,p=1$${salt}$${hash}`)).toBe(true);
});

const [SALT, HASH] = ['A'.repeat(22), 'A'.repeat(43)];
test.each([
  'open sesame',
  '',
  `$scrypt$ln=14,r=8,p=1$${SALT}`,
  `$scrypt$ln=9,r=8,p=1$${SALT}$${HASH}`,
  `$scrypt$ln=17,r=8,p=1$${SALT}$${HASH}`,
  `$scrypt$ln=14,r=0,p=1$${SALT}$${HASH}`,
  `$scrypt$ln=14,r=8,p=5$${SALT}$${HASH}`,
  `$scrypt$ln=14,r=8,p=1$${SALT}$short`,
  `$argon2id$v=19$m=65536,t=3,p=4$${SALT}$${HASH}`,
])('%s is no hash, or costs too little or too much', async (text) => {
  expect(isHashedPassword(text)).toBe(false);
  expect(await verifyPassword('open sesame', text)).toBe(false);
});
