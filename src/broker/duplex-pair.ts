/** Two ends of a connection within the process: what is written to one is read from the other. */
import { Duplex } from 'node:stream';

/** Two joined ends; when one is destroyed, so is the other. */
export function duplexPair(): [Duplex, Duplex] {
  const [a, b] = [new End(), new End()];
  a.other = b;
  b.other = a;
  return [a, b];
}

class End extends Duplex {
  other: End | undefined;
  /** Whoever wrote to the other end and waits until this one is read. */
  #written: (() => void) | undefined;

  override _read(): void {
    const written = this.#written;
    this.#written = undefined;
    written?.();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const { other } = this;
    if (!other || other.destroyed || other.push(chunk)) done();
    else other.#written = done;
  }

  override _final(done: () => void): void {
    this.other?.push(null);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const { other } = this;
    this.other = undefined;
    // Not within the call of whoever destroyed this end: both may be his.
    if (other) setImmediate(() => other.destroy());
    done(error);
  }
}
