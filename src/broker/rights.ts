/** Topic rights: which filters a user may subscribe to, and which topics it may publish to. */
import type { Rights } from '../config/broker.js';

/** The first level of the gateway's own topics. Nobody from outside publishes there: readings cannot be faked. */
export const SITE = 'site';

/** Whether all that a subscription would get is within the user's rights to read. */
export function mayRead({ read }: Rights, filter: string): boolean {
  return read.some((right) => covers(right, filter));
}

/** Whether a user may publish to a topic. Below `$` only the broker speaks (MQTT 3.1.1 §4.7.2). */
export function mayWrite({ write }: Rights, topic: string): boolean {
  if (topic === SITE || topic.startsWith(`${SITE}/`) || topic.startsWith('$')) return false;
  return write.some((right) => covers(right, topic));
}

/** Whether a message can have a topic: it is not empty, and has no wildcard and no NUL (§4.7.1, §4.7.3). */
export function isTopic(text: string): boolean {
  return text !== '' && !['+', '#', '\0'].some((no) => text.includes(no));
}

/**
 * Whether every topic that matches `filter` (or is it) also matches `right` (MQTT 3.1.1 §4.7), a topic filter. Takes no memory: it is
 * asked for each retained message, and for each subscription of a client.
 */
export function covers(right: string, filter: string): boolean {
  // §4.7.2: no filter that begins with a wildcard matches topics that begin with $.
  if (filter.startsWith('$') && (right.startsWith('+') || right.startsWith('#'))) return false;
  let at = 0;
  for (let index = 0; index < right.length; index++) {
    const have = right[index];
    if (have === '#') return true;
    if (have === '+') {
      if (filter[at] === '#') return false;
      const end = filter.indexOf('/', at);
      at = end < 0 ? filter.length : end;
    } else if (have === filter[at]) at++;
    // It stands for the level above, too (§4.7.1.2).
    else return at === filter.length && right.length === index + 2 && right.endsWith('/#');
  }
  return at === filter.length;
}
