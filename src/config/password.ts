/**
 * Hashed passwords as they stand in `gateway.yaml`: scrypt (RFC 7914) in the PHC string format,
 * `$scrypt$ln=14,r=8,p=1$<salt>$<hash>`, where `ln` is the power of two that is the cost; salt and hash are base64 without padding.
 */
import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

const FORM = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/;
const SALT = 16;
const HASH = 32;
/** What new hashes cost: 16 MB for some 50 ms, on a small board some 300 ms. */
const COST = { ln: 14, r: 8, p: 1 } as const;
/** Most memory that checking a password may take, in bytes. */
const MOST_MEMORY = 64 * 2 ** 20;

const derive = promisify<string | Buffer, Buffer, number, ScryptOptions, Buffer>(scrypt);

/** A hashed password, taken apart. */
interface Parsed {
  readonly options: ScryptOptions;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

/** Whether a text is a hashed password, and one that can be checked in reasonable time and memory. */
export function isHashedPassword(text: string): boolean {
  return parse(text) !== undefined;
}

/** Hashes a password with a salt of its own, away from the event loop. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT);
  const hash = await derive(password, salt, HASH, optionsOf(COST));
  return `$scrypt$ln=${COST.ln},r=${COST.r},p=${COST.p}$${base64(salt)}$${base64(hash)}`;
}

/** Whether a password is the hashed one. Works away from the event loop; how long it takes does not tell how near a guess came. */
export async function verifyPassword(password: string | Buffer, hashed: string): Promise<boolean> {
  const parsed = parse(hashed);
  if (!parsed) return false;
  const { salt, hash, options } = parsed;
  return timingSafeEqual(await derive(password, salt, hash.length, options), hash);
}

function parse(text: string): Parsed | undefined {
  const [, ln, r, p, salt = '', hash = ''] = FORM.exec(text) ?? [];
  const cost = { ln: Number(ln), r: Number(r), p: Number(p) };
  const options = optionsOf(cost);
  // RFC 7914 §2: all at least 1. What would take longer than any person waits is refused.
  const sound = cost.ln >= 10 && cost.r >= 1 && cost.p >= 1 && cost.p <= 4 && (options.maxmem ?? 0) <= MOST_MEMORY;
  return sound ? { options, salt: Buffer.from(salt, 'base64'), hash: Buffer.from(hash, 'base64') } : undefined;
}

function optionsOf({ ln, r, p }: { ln: number; r: number; p: number }): ScryptOptions {
  const N = 2 ** ln;
  return { N, r, p, maxmem: 128 * r * (N + p + 2) };
}

function base64(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}
