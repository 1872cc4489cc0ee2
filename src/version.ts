import { readFileSync } from 'node:fs';

/** The version of this Tidegate, from package.json. */
export const VERSION: string = (
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
).version;

/** A wall clock before this time, milliseconds since 1970, was never set: this Tidegate is younger. */
export const RELEASED = Date.UTC(2026, 0, 1);
