/** Work that was asked for (a write, a scan, a subscription), and that waits for its turn on the wire. */
import type { Session } from '../driver.js';
import { isKind } from '../errors.js';
import type { Turn } from '../field/turn.js';

/** One piece of work, done once or not at all. */
export class Job<T> {
  /** What the work gives. */
  readonly result: Promise<T>;
  /** True when nobody waits for it any more. */
  over = false;
  readonly #work: (turn: Turn) => Promise<T>;
  readonly #abort = new AbortController();
  #resolve!: (result: T) => void;
  #reject!: (reason: unknown) => void;
  #aliveAt = Number.POSITIVE_INFINITY;

  constructor(work: (turn: Turn) => Promise<T>, signal?: AbortSignal) {
    this.#work = work;
    const gone = (): void => this.drop(signal?.reason);
    this.result = new Promise<T>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    }).finally(() => signal?.removeEventListener('abort', gone));
    if (signal?.aborted) gone();
    else signal?.addEventListener('abort', gone);
  }

  /** Does the work. Never rejects; resolves when the wire is free again, with the error if the wire is gone. */
  async run(session: Session): Promise<unknown> {
    const alive = (): void => {
      this.#aliveAt = performance.now();
    };
    alive();
    try {
      const result = await this.#work({ session, signal: this.#abort.signal, alive });
      this.over = true;
      this.#resolve(result);
    } catch (error) {
      this.drop(error);
      if (isKind(error, 'reconnect')) return error;
    }
    return undefined;
  }

  /** Tells whoever waits that there will be no result. Work under way is asked to end. */
  drop(reason: unknown): void {
    if (this.over) return;
    this.over = true;
    this.#reject(reason);
    this.#abort.abort(reason);
  }

  /** True while it is under way without a sign of life since the given monotonic time. */
  isBusySince(time: number): boolean {
    return this.#aliveAt < time;
  }
}
