/** A stream that gives all that it has. */
import { Duplex } from 'node:stream';

/** aedes reads once for each `readable`, and waits for the next: Node 26 gives it one chunk, and tells no more of the others. */
export class WholeDuplex extends Duplex {
  override read(size?: number | null): Buffer | null {
    return super.read(size ?? (this.readableLength || undefined));
  }
}
