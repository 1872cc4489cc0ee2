/** JSON pointers (RFC 6901): where in a payload a value is. */

/** A pointer, taken apart; no steps for the whole document. */
export type Steps = readonly string[];

/** Takes a pointer apart; gives what is wrong with it as text. */
export function parsePointer(text: string): Steps | string {
  if (text === '') return [];
  if (!text.startsWith('/')) return 'a JSON pointer begins with "/", as in /ENERGY/Power; "" is the whole payload';
  const steps = text.slice(1).split('/');
  const wrong = steps.find((step) => /~(?![01])/.test(step));
  if (wrong !== undefined) return `"${wrong}": write ~0 for "~" and ~1 for "/" within a name`;
  return steps.map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** The steps of a pointer that the schema has checked. */
export function stepsOf(pointer: string): Steps {
  const steps = parsePointer(pointer);
  return typeof steps === 'string' ? [] : steps;
}

/** What the pointer leads to; undefined when it leads nowhere. Elements of arrays are counted from 0 (RFC 6901 §4). */
export function lookUp(document: unknown, steps: Steps): unknown {
  let at = document;
  for (const step of steps) {
    if (typeof at !== 'object' || at === null) return undefined;
    if (Array.isArray(at)) at = /^(0|[1-9]\d*)$/.test(step) ? at[Number(step)] : undefined;
    else at = Object.hasOwn(at, step) ? (at as Record<string, unknown>)[step] : undefined;
  }
  return at;
}

/** The document with a value put where the pointer leads; objects on the way are made, arrays where a step is a number. */
export function put(document: unknown, [step, ...rest]: Steps, value: unknown): unknown {
  if (step === undefined) return value;
  const whole = typeof document === 'object' && document !== null ? document : /^\d+$/.test(step) ? [] : {};
  const inner = put(lookUp(whole, [step]), rest, value);
  Object.defineProperty(whole, step, { value: inner, writable: true, enumerable: true, configurable: true });
  return whole;
}
