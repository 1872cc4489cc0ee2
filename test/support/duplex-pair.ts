/** Two ends of a stream within the process: what is written to one is read from the other. */
import { Duplex } from 'node:stream';

class End extends Duplex {
  other: End | undefined;

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.other?.push(chunk);
    done();
  }

  override _final(done: () => void): void {
    this.other?.push(null);
    done();
  }
}

/** A pair of connected ends. */
export function duplexPair(): [Duplex, Duplex] {
  const [a, b] = [new End(), new End()];
  a.other = b;
  b.other = a;
  return [a, b];
}
