/** What a topic says about whether a device is there. */
import type { Message } from './hub.js';
import { Unfit } from './payload.js';
import { lookUp, stepsOf } from './pointer.js';
import type { Availability } from './schema.js';

/** `online`, `offline`, or another word than those that were agreed; undefined when nothing is said. */
export interface Statement {
  readonly says: 'online' | 'offline' | undefined;
  readonly word: string;
}

/** What a message says. One without payload says nothing: so a broker tells that it forgot what it kept. */
export function statementOf({ online, offline, pointer }: Availability, message: Message): Statement | undefined {
  const { payload, unfit } = message;
  if (payload.bytes.length === 0 && !unfit) return undefined;
  const word = unfit?.reason ?? wordIn(payload, pointer);
  return { word, says: word === offline ? 'offline' : word === online ? 'online' : undefined };
}

/** At the pointer, else the whole payload: some programs say it both ways. */
function wordIn({ json, text }: Message['payload'], pointer: string | undefined): string {
  const at = pointer === undefined || json instanceof Unfit ? undefined : lookUp(json, stepsOf(pointer));
  if (typeof at === 'string' || typeof at === 'boolean' || typeof at === 'number') return String(at);
  return text instanceof Unfit ? text.reason : text;
}
