/** What the broker refuses or cuts: counted by kind, and told in the log once for each client and reason. */
import type { Logger } from 'pino';
import { type Repeated, repeated } from '../ops/repeated.js';
import { printable } from '../ops/text.js';

/**
 * `connect`: not let in · `protocol`: sent what is no MQTT 3.1.1, or too much of it · `sign-in`: nobody of that name and password ·
 * `read`, `write`: not within its rights · `retained`: no room · `slow`: does not read what it asked for · `fast`: slowed down, since it
 * sends too much.
 */
export type RefusalKind = 'connect' | 'protocol' | 'sign-in' | 'read' | 'write' | 'retained' | 'slow' | 'fast';

/** Who was refused. */
export interface Refused {
  readonly address: string;
  readonly client?: string | undefined;
  readonly user?: string | undefined;
}

/** Counts and tells. */
export interface Refusals {
  /** Since the start; kinds that did not happen are absent. */
  readonly counts: Readonly<Partial<Record<RefusalKind, number>>>;
  tell(kind: RefusalKind, who: Refused, message: string): void;
}

/** Most characters of a message, or of a client id, in the log. */
const MOST_TEXT = 200;
/** How many clients are told apart; beyond that the one that was heard of first is forgotten. */
const CLIENTS = 200;

/** Starts with nothing refused. */
export function openRefusals(log: Logger): Refusals {
  const counts: Partial<Record<RefusalKind, number>> = {};
  const known = new Map<string, Repeated>();
  return {
    counts,
    tell(kind, who, message) {
      counts[kind] = (counts[kind] ?? 0) + 1;
      // A client chooses its id: only a user, or an address, is somebody.
      const key = who.user ?? who.address;
      let trouble = known.get(key);
      if (!trouble) {
        if (known.size >= CLIENTS) known.delete(known.keys().next().value as string);
        trouble = repeated(log);
        known.set(key, trouble);
      }
      const { client, user, address } = who;
      trouble.failed(shown(message), { client: client && shown(client), user, address });
    },
  };
}

/** Text of a client, safe and short. */
function shown(text: string): string {
  return printable(text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)}…` : text);
}
