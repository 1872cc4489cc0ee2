/** Listens to a device that tells by itself, and can be waited for. */
import { EventEmitter, once } from 'node:events';
import type { Listener } from '../../src/driver.js';
import type { Push, Value } from '../../src/model.js';

/** What was told, the newest last. */
export class Told extends EventEmitter implements Listener {
  readonly pushes: Push[] = [];
  readonly silences: string[] = [];
  error: unknown;

  push(push: Push): void {
    this.pushes.push(push);
    this.emit('news');
  }

  silent(reason: string): void {
    this.silences.push(reason);
    this.emit('news', reason);
  }

  broke(error: unknown): void {
    this.error = error;
    this.emit('news');
  }

  /** The last value of each point by its index. */
  get latest(): Map<number, Value> {
    const latest = new Map<number, Value>();
    for (const { indexes, values } of this.pushes)
      for (const [at, value] of values.entries()) latest.set(indexes?.[at] ?? at, value);
    return latest;
  }

  /** Resolves once it is true. */
  async until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) await once(this, 'news');
  }
}
