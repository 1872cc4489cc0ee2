/** The `aedes` package, loaded when a broker is opened, without the part that costs memory and gains nothing. */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/** Imports `aedes`. */
export async function loadAedes(): Promise<typeof import('aedes')> {
  // With its first packet the library's writer would make a buffer for each number up to 65,535, and keep them: 8 MB.
  const packets = createRequire(fileURLToPath(import.meta.resolve('aedes')))('mqtt-packet');
  (packets as { writeToStream: { cacheNumbers: boolean } }).writeToStream.cacheNumbers = false;
  return import('aedes');
}
