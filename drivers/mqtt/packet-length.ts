/** Reads along how long packets claim to be, so that none fills the memory: the library would gather up to 256 MB. */
import type { Readable } from 'node:stream';

/** Tells of each packet that claims to be longer than `most` bytes (MQTT 3.1.1 §2.2.3), as soon as it does. */
export function watchLengths(stream: Readable, most: number, tooLong: (bytes: number) => void): void {
  /** Bytes of the present packet that are still to come. */
  let left = 0;
  let length = 0;
  /** Bits of the length that are known; -1 before the first byte of a packet, which is its type. */
  let bits = -1;
  stream.on('data', (chunk: Buffer) => {
    for (let at = 0; at < chunk.length; ) {
      const skipped = Math.min(left, chunk.length - at);
      left -= skipped;
      at += skipped;
      if (at === chunk.length) return;
      const byte = chunk[at++] as number;
      if (bits < 0) {
        bits = 0;
        length = 0;
        continue;
      }
      length += (byte & 0x7f) * 2 ** bits;
      bits += 7;
      if (byte >= 0x80 && bits < 28) continue;
      bits = -1;
      left = length;
      if (length > most) tooLong(length);
    }
  });
}
