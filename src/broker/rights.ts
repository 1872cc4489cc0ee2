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

/** Whether every topic that matches `filter` (or is it) also matches `right` (MQTT 3.1.1 §4.7). */
export function covers(right: string, filter: string): boolean {
  const [have, want] = [right.split('/'), filter.split('/')];
  // §4.7.2: no filter that begins with a wildcard matches topics that begin with $.
  if (filter.startsWith('$') && (have[0] === '+' || have[0] === '#')) return false;
  for (const [index, level] of have.entries()) {
    // It stands for the level above, too (§4.7.1.2).
    if (level === '#') return true;
    const wanted = want[index];
    if (wanted === undefined || wanted === '#') return false;
    if (level !== '+' && level !== wanted) return false;
  }
  return have.length === want.length;
}
