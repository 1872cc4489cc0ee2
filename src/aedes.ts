/** The `aedes` package, an MQTT 3.1.1 broker: for the site's own broker, the simulator and the demo. Loaded when one is opened. */
import { createRequire } from 'node:module';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Aedes, AedesOptions } from 'aedes';

/** A broker that takes all that has come of its streams, and that does not cost the memory which gains nothing. */
export async function createAedes(options: AedesOptions): Promise<Aedes> {
  // With its first packet the library's writer would make a buffer for each number up to 65,535, and keep them: 8 MB.
  const packets = createRequire(fileURLToPath(import.meta.resolve('aedes')))('mqtt-packet');
  (packets as { writeToStream: { cacheNumbers: boolean } }).writeToStream.cacheNumbers = false;
  const library = await import('aedes');
  const aedes = await library.Aedes.createBroker(options);
  const { handle } = aedes;
  aedes.handle = (stream, request) => handle(whole(stream), request);
  return aedes;
}

/** The library reads once for each `readable`, and waits for the next: Node 26 gives it one chunk, and tells no more of the others. */
function whole<Stream extends Duplex>(stream: Stream): Stream {
  const { read } = stream;
  stream.read = (size?: number | null) => read.call(stream, size ?? (stream.readableLength || undefined));
  return stream;
}
