/** How the text of a segment is stored. */
import { deflateSync, inflateRawSync, inflateSync } from 'node:zlib';

/** The first byte of what zlib writes (RFC 1950), and never the first of the bare deflate of format 1. */
const ZLIB = 0x78;

/** A segment's text, smaller. Its checksum (RFC 1950) tells of every bit that the disk lost. */
export function deflated(text: string): Buffer {
  return deflateSync(text, { level: 5 });
}

/** The text of a segment, or undefined when the disk damaged it. */
export function inflated(body: Buffer): string | undefined {
  try {
    return (body[0] === ZLIB ? inflateSync(body) : inflateRawSync(body)).toString('utf8');
  } catch {
    return undefined;
  }
}
