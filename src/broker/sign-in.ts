/** Who a client is: user names and passwords, checked a few at a time, so that guessing cannot take the whole machine. */
import { createHmac, randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { BrokerConfig } from '../config/broker.js';
import { verifyPassword } from '../config/password.js';
import type { Wire } from './wire.js';

/** What came of it. */
export type Verdict = { readonly user: NonNullable<Wire['user']> } | { readonly refused: string };

/** Checks who clients are. */
export interface SignIn {
  check(wire: Wire, name: string | undefined, password: Buffer | undefined): Promise<Verdict>;
}

/** How many passwords are hashed at once; who waits for that has not signed in yet, and of those there are few. */
const AT_ONCE = 2;
/** How many passwords that were right are remembered, to know them again without hashing. */
const REMEMBERED = 1_000;
/** Checked where there is no such user, so that the time does not tell which names exist. */
const NOBODY = `$scrypt$ln=14,r=8,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}`;

/** @param config gives what is configured now */
export function openSignIn(config: () => BrokerConfig): SignIn {
  // A digest with a key that nobody else has: what is in memory is of no use elsewhere.
  const secret = randomBytes(32);
  const known = new Set<string>();
  const waiting: (() => void)[] = [];
  let busy = 0;

  async function isRight(hashed: string, password: Buffer, wire: Wire): Promise<boolean> {
    const digest = createHmac('sha256', secret).update(hashed).update('\0').update(password).digest('base64');
    if (known.has(digest)) return true;
    if (busy < AT_ONCE) busy++;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      // Whoever was before in the queue may have shown the same.
      if (known.has(digest)) return true;
      if (wire.destroyed) return false;
      const right = await verifyPassword(password, hashed);
      if (right) {
        if (known.size >= REMEMBERED) known.clear();
        known.add(digest);
      }
      return right;
    } finally {
      const next = waiting.shift();
      if (next) next();
      else busy--;
    }
  }

  return {
    async check(wire, name, password) {
      if (name === undefined) {
        const { anonymous } = config();
        if (!anonymous) return { refused: 'gave no user name' };
        if (!wire.near) return { refused: 'gave no user name, as only clients on this machine may' };
        return { user: { account: anonymous } };
      }
      const account = userOf(config(), name);
      const right = await isRight(account?.password ?? NOBODY, password ?? Buffer.alloc(0), wire);
      // It may have been changed meanwhile.
      const now = userOf(config(), name);
      if (!right || !now || !isDeepStrictEqual(now, account)) return { refused: 'gave a wrong user name or password' };
      return { user: { name, account: now } };
    },
  };
}

/** The user of that name. */
export function userOf({ users }: BrokerConfig, name: string): BrokerConfig['users'][string] | undefined {
  return Object.hasOwn(users, name) ? users[name] : undefined;
}
