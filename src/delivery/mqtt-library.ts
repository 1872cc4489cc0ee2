/** The `mqtt` package, loaded when the first connection is opened, without the part that a gateway pays for and never needs. */
import { createRequire } from 'node:module';

/** The writer of packets, as far as it is touched here. */
interface PacketLibrary {
  readonly writeToStream: { cacheNumbers: boolean };
}

/** Imports `mqtt`. */
export async function loadMqtt(): Promise<typeof import('mqtt')> {
  // With its first packet the library would make a buffer for each number up to 65,535, and keep them: 8 MB.
  packetLibrary().writeToStream.cacheNumbers = false;
  return import('mqtt');
}

/** The very `mqtt-packet` that `mqtt` uses. */
export function packetLibrary(): PacketLibrary {
  const mqtt = createRequire(import.meta.url).resolve('mqtt');
  return createRequire(mqtt)('mqtt-packet');
}
