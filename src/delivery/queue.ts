/** A first-in first-out queue of entries with a cursor: what was sent stays, in order, until it is done. */
import type { Entry } from './entry.js';

/** Entries in order of sequence. Those before the cursor were sent; `rewind` makes the unacknowledged ones wait again. */
export class EntryQueue {
  /** Those before the head are let go of at once: what lives on for a moment costs the garbage collector most. */
  #entries: (Entry | undefined)[] = [];
  #head = 0;
  #cursor = 0;
  /** Entries that wait to be sent. */
  waiting = 0;
  /** Entries sent and not yet acknowledged. */
  inFlight = 0;

  /** Entries held, done ones that others still stand before included. */
  get length(): number {
    return this.#entries.length - this.#head;
  }

  push(entry: Entry): void {
    this.#entries.push(entry);
    this.waiting++;
  }

  /** The oldest entry held. */
  peek(): Entry | undefined {
    return this.#entries[this.#head];
  }

  /** The next entry that waits, without taking it. */
  next(): Entry | undefined {
    while (this.#cursor < this.#entries.length) {
      const entry = this.#entries[this.#cursor] as Entry;
      if (entry.state === 'waiting') return entry;
      this.#cursor++;
    }
    return undefined;
  }

  /** Marks the entry that `next` gave, and left the cursor on, as sent. */
  markSent(entry: Entry): void {
    entry.state = 'sent';
    this.#cursor++;
    this.waiting--;
    this.inFlight++;
  }

  /** Makes a sent entry wait again. */
  markWaiting(entry: Entry): void {
    entry.state = 'waiting';
    this.inFlight--;
    this.waiting++;
    this.#cursor = this.#head;
  }

  /** Settles an entry, sent or waiting, and lets go of all leading entries that are done. */
  markDone(entry: Entry): void {
    if (entry.state === 'sent') this.inFlight--;
    else if (entry.state === 'waiting') this.waiting--;
    entry.state = 'done';
    while (this.#entries[this.#head]?.state === 'done') this.#entries[this.#head++] = undefined;
    this.#compact();
  }

  /** After a lost connection: whatever was sent and not acknowledged waits again, in its old place. */
  rewind(): void {
    for (let i = this.#head; i < this.#cursor; i++) {
      const entry = this.#entries[i] as Entry;
      if (entry.state === 'sent') entry.state = 'waiting';
    }
    this.waiting += this.inFlight;
    this.inFlight = 0;
    this.#cursor = this.#head;
  }

  /** Lets go of the first `count` entries, whatever their state; none of them may be in flight. */
  drop(count: number): void {
    for (const end = this.#head + count; this.#head < end; this.#head++) {
      if (this.#entries[this.#head]?.state === 'waiting') this.waiting--;
      this.#entries[this.#head] = undefined;
    }
    this.#compact();
  }

  /** Events that are not done, gaps left out. */
  open(): number {
    let count = 0;
    for (const { state, event } of this) if (state !== 'done' && event.kind !== 'gap') count++;
    return count;
  }

  *[Symbol.iterator](): IterableIterator<Entry> {
    for (let i = this.#head; i < this.#entries.length; i++) yield this.#entries[i] as Entry;
  }

  #compact(): void {
    if (this.#cursor < this.#head) this.#cursor = this.#head;
    if (this.#head < 256 || this.#head * 2 < this.#entries.length) return;
    this.#entries = this.#entries.slice(this.#head);
    this.#cursor -= this.#head;
    this.#head = 0;
  }
}
