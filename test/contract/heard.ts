/** The listener of the contract. */
import { expect } from 'vitest';
import type { Listener } from '../../src/driver.js';
import type { Flaw, Push, Value } from '../../src/model.js';

/** Remembers what it was told, and expects it to be what a driver may tell. */
export class Heard implements Listener {
  readonly known = new Map<number, { readonly value: Value; readonly flaw: Flaw | undefined }>();
  readonly silences: string[] = [];
  readonly breaks: unknown[] = [];
  calls = 0;
  close = async (): Promise<void> => {};
  readonly #count: number;

  constructor(count: number) {
    this.#count = count;
  }

  values(): Value[] {
    return Array.from({ length: this.#count }, (_, index) => this.known.get(index)?.value ?? null);
  }

  take({ indexes = Array.from({ length: this.#count }, (_, index) => index), values, flaws }: Push): void {
    expect(values).toHaveLength(indexes.length);
    expect(indexes).toEqual([...new Set(indexes)].sort((a, b) => a - b));
    for (const [place, index] of indexes.entries()) {
      expect([index, values[place] === null]).toEqual([index, flaws?.has(place) ?? false]);
      this.known.set(index, { value: values[place] as Value, flaw: flaws?.get(place) });
    }
  }

  push(push: Push): void {
    this.calls += 1;
    this.take(push);
  }

  silent(reason: string): void {
    this.calls += 1;
    this.silences.push(reason);
  }

  broke(error: unknown): void {
    this.calls += 1;
    this.breaks.push(error);
  }
}
