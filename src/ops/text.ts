/** Text that came from outside, made safe to print. */
import { exactDigits } from '../model.js';

// C0 and C1 control characters: a device's name or a broker's answer must not move the cursor.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/g;

/** The text with every control character replaced by `·`. */
export function printable(text: string): string {
  return text.replace(CONTROL, '·');
}

/** JSON of a value that may hold 64-bit integers: beyond 2^53 they become strings, so that no digit is lost. */
export function toJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, exactDigits, indent);
}
